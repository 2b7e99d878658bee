"""Logs for machines: one JSON object a line, without secrets."""

import logging
import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from sextant.settings import Settings, secret

REDACTED = "<REDACTED>"
_SECRET_NAME = re.compile(r"key|secret|token|password|passphrase|authorization|dsn", re.IGNORECASE)
_HARMLESS = frozenset({"input_tokens", "output_tokens", "max_tokens", "api_key_env", "dsn_env"})
_SHORTEST_SECRET = 6  # shorter values would redact ordinary words


class Redactor:
    """Replaces secrets at any depth: values under telling names, and known values anywhere.

    The marker is fixed; a hash of a key could be matched.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        known = sorted({s for s in secrets if len(s) >= _SHORTEST_SECRET}, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, known))) if known else None

    def __call__(self, value: Any) -> Any:
        match value:
            case str():
                return self._known.sub(REDACTED, value) if self._known else value
            case Mapping():
                return {k: REDACTED if _is_secret(k) else self(v) for k, v in value.items()}
            case list() | tuple() | set() | frozenset():
                return [self(item) for item in value]
            case BaseException():
                return self(f"{type(value).__name__}: {value}")
            case _:
                return value

    def processor(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        """The same, as a step of structlog's."""
        redacted: EventDict = self(event)
        return redacted


def _is_secret(name: object) -> bool:
    return isinstance(name, str) and name not in _HARMLESS and bool(_SECRET_NAME.search(name))


def configure_logging(redactor: Redactor, *, stream: TextIO | None = None) -> None:
    """Send every log line, ours and the libraries', as redacted JSON to `stream` (stderr)."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                redactor.processor,
                structlog.processors.JSONRenderer(default=str),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
    for chatty in ("httpx", "httpx2", "httpcore"):  # one line per model call says nothing new
        logging.getLogger(chatty).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.stdlib.LoggerFactory(),
    )


def start_logging(settings: Settings, *, to_file: bool) -> None:
    """Log to stderr, or beside the view into `sextant.log` of the state folder."""
    names = [settings.storage.dsn_env, *(s.api_key_env for s in settings.seat if s.api_key_env)]
    redactor = Redactor(value for name in names if (value := secret(name)))
    stream = None
    if to_file:
        settings.state_folder.mkdir(parents=True, exist_ok=True)
        stream = (settings.state_folder / "sextant.log").open("a", encoding="utf-8")
    configure_logging(redactor, stream=stream)

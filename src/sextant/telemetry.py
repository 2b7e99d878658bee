"""Logs for machines: one JSON object a line, without secrets."""

import logging
import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any, TextIO
from urllib.parse import unquote, urlsplit

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from sextant.settings import Settings, secret

REDACTED = "<REDACTED>"
_SECRET_NAME = re.compile(
    r"key|secret|token|password|passphrase|authorization|signature|dsn", re.IGNORECASE
)
_HARMLESS = frozenset(
    {"input_tokens", "output_tokens", "max_tokens", "context_tokens", "api_key_env", "dsn_env"}
)
_SAID = re.compile(  # a secret's name and its value inside a text, as in JSON, a query or a header
    r"""((?:api|private|access)[-_]?(?:key|token)|(?:api|client)?[-_]?secret|password|passphrase
        |authorization|signature)
        (["']?\s*[:=]\s*["']?(?:(?:bearer|basic)\s+)?)
        [^\s"',;&}\])]+""",
    re.IGNORECASE | re.VERBOSE,
)
_SHORTEST_SECRET = 6  # shorter values would redact ordinary words
_TELLING_PREFIX = 8  # vendors quote a refused key by so many of its first characters


class Redactor:
    """Replaces secrets at any depth: values under telling names, and known values anywhere.

    A known secret is found by its beginning, too, with whatever masks the rest. What is no plain
    value is written as text first. The marker is fixed; a hash of a key could be matched.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        known = sorted({s for s in secrets if len(s) >= _SHORTEST_SECRET}, key=len, reverse=True)
        self._known = re.compile("|".join(map(_pattern, known))) if known else None

    def __call__(self, value: Any) -> Any:
        match value:
            case None | bool() | int() | float():
                return value
            case str():
                return self._text(value)
            case Mapping():
                return {
                    self(name): REDACTED if _is_secret(name) else self(item)
                    for name, item in value.items()
                }
            case list() | tuple() | set() | frozenset():
                return [self(item) for item in value]
            case bytes() | bytearray():
                return self._text(value.decode(errors="replace"))
            case BaseException():
                return self._text(f"{type(value).__name__}: {value}")
            case _:
                return self._text(str(value))

    def _text(self, text: str) -> str:
        if self._known is not None:
            text = self._known.sub(REDACTED, text)
        return _SAID.sub(rf"\1\2{REDACTED}", text)

    def processor(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        """The same, as a step of structlog's."""
        redacted: EventDict = self(event)
        return redacted


def _pattern(known: str) -> str:
    """Matches `known`, and its beginning followed by whatever else may stand in a key or a mask.

    An address is matched as a whole: its beginning is not secret, and its password stands apart.
    """
    if "://" in known or len(known) <= _TELLING_PREFIX:
        return re.escape(known)
    return re.escape(known[:_TELLING_PREFIX]) + r"[\w.+/=*…\-]*"


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
                structlog.processors.JSONRenderer(),
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


def secrets_of(settings: Settings) -> set[str]:
    """The values that no log may show: the keys, the database's address, and its password."""
    keys = (*(s.api_key_env for s in settings.seat if s.api_key_env), *settings.venue.secret_names)
    names = (settings.storage.dsn_env, *keys)
    known = {value for name in names if (value := secret(name))}
    passwords = {urlsplit(value).password for value in known if "://" in value}
    return known | {form for p in passwords if p for form in (p, unquote(p))}


def start_logging(settings: Settings, *, to_file: bool) -> None:
    """Log to stderr, or beside the view into `sextant.log` of the state folder."""
    redactor = Redactor(secrets_of(settings))
    stream = None
    if to_file:
        stream = (settings.make_state_folder() / "sextant.log").open("a", encoding="utf-8")
    configure_logging(redactor, stream=stream)

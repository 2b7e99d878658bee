"""How far into a private history a run has come."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import orjson

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
RIGHTS: Final = "Query closed orders & trades, Query ledger entries"
"""What a key needs for it, in the words of Kraken's settings."""
KEY_NAMES: Final = ("KRAKEN_API_KEY", "KRAKEN_API_SECRET")
"""Where the environment has the key, and its secret."""

_OVERLAP: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A stretch of history, and how many of its newest items are kept; None is all of them."""

    since: datetime
    until: datetime
    kept: int | None = 0

    def following(self, now: datetime) -> "Window":
        """This one while it is not read to its end, then the one up to `now`."""
        if self.kept is not None:
            return self
        return Window(since=max(self.until - _OVERLAP, EPOCH), until=now)

    @property
    def text(self) -> str:
        """As the store keeps it."""
        shown = {"since": self.since, "until": self.until, "kept": self.kept}
        return orjson.dumps(shown).decode()

    @classmethod
    def of(cls, text: str) -> "Window":
        told = orjson.loads(text)
        since, until = (datetime.fromisoformat(told[name]) for name in ("since", "until"))
        return cls(since=since, until=until, kept=told["kept"])

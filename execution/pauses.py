"""When a venue that could not be reached, or could not tell, is tried again."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from data.instrument import Symbol


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pause:
    failures: int
    until: datetime


class Pauses:
    """Each symbol rests by itself: for `first`, then twice as long with every failure in a row.

    From `retries` failures on the waits grow no longer, and orders are given up.
    """

    def __init__(self, *, first: timedelta, retries: int) -> None:
        self._first = first
        self._retries = retries
        self._pauses: dict[Symbol, _Pause] = {}

    def holds(self, symbol: Symbol, now: datetime) -> bool:
        """Whether `symbol` rests at `now`."""
        pause = self._pauses.get(symbol)
        return pause is not None and now < pause.until

    def is_exhausted(self, symbol: Symbol) -> bool:
        """Whether all retries in a row have failed."""
        return self._failures(symbol) >= self._retries

    def failed(self, symbol: Symbol, now: datetime) -> None:
        """Let `symbol` rest: the venue did not do, or tell, what was asked for."""
        failures = self._failures(symbol)
        rest = self._first * 2 ** min(failures, self._retries)
        self._pauses[symbol] = _Pause(failures=failures + 1, until=now + rest)

    def succeeded(self, symbol: Symbol) -> None:
        """Forget the failures of `symbol`."""
        self._pauses.pop(symbol, None)

    def _failures(self, symbol: Symbol) -> int:
        pause = self._pauses.get(symbol)
        return pause.failures if pause is not None else 0

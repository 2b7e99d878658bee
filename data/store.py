"""The port to kept bars."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from data.bar import Bar, Timeframe
from data.faults import Transient
from data.instrument import Symbol


class StoreUnavailable(Transient):
    """The store cannot be reached now; nothing was written."""


class BarStore(Protocol):
    """Bars by symbol and timeframe; `tests/contract/test_bar_store.py` holds for every one."""

    async def put(self, bars: Sequence[Bar]) -> None:
        """Keep `bars`, all or none; a bar of the same symbol, timeframe and close is replaced.

        Raises:
            StoreUnavailable: nothing was kept; safe to retry.
        """
        ...

    async def last(
        self, symbol: Symbol, timeframe: Timeframe, count: int, *, until: datetime | None = None
    ) -> list[Bar]:
        """The newest `count` bars closed at or before `until`, oldest first.

        Raises:
            StoreUnavailable: the store cannot be reached now.
        """
        ...

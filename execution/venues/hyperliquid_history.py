"""The account's fills at Hyperliquid, numbered, though it numbers none and tells them by time."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from data.clock import Clock
from data.feeds.ccxt_source import as_rows, at_milliseconds
from execution.venue import VenueUnavailable
from execution.venues.answers import reading
from execution.venues.hyperliquid_line import HyperliquidLine
from execution.venues.hyperliquid_wire import Json, milliseconds

_PAGE: Final = 2_000  # fills in one answer
_KEPT: Final = 10_000  # fills that Hyperliquid has of an account, the newest
_LATE: Final = timedelta(minutes=1)  # how long after others an older fill may still turn up
_BEFORE: Final = timedelta(hours=1)  # what is known of the time before ours


class FillHistory:
    """Rows of fills of perpetuals, in their order.

    Of those of one millisecond the order is Hyperliquid's: they were filled one after the other.
    Numbers are counted from `since` on, and from then on what is counted is read no more.
    """

    def __init__(self, line: HyperliquidLine, *, clock: Clock, since: datetime) -> None:
        self._line = line
        self._clock = clock
        self._since = since
        self._counted = (0, since)  # how many are older than that
        self._latest_from = clock.now() - _BEFORE
        self.known_from: datetime | None = None
        """From when on all fills were heard; None before the first."""

    async def after(self, number: int) -> Sequence[Json]:
        """The fills without the first `number` of them.

        Raises:
            VenueUnavailable: ask again; or there are more than Hyperliquid tells, and no number is
                certain.
        """
        before, start = self._counted if number >= self._counted[0] else (0, self._since)
        rows = await self._read(start)
        self._count(rows, before)
        return rows[number - before :]

    async def latest(self) -> Sequence[Json]:
        """The fills since some time before those that were `heard`, which repeats the last ones."""
        return await self._read(self._latest_from)

    def heard(self, rows: Sequence[Json]) -> None:
        """What `latest` has found was heard: it need not go back so far again."""
        self.known_from = self.known_from or self._latest_from
        if rows:
            start = at_milliseconds(rows[-1]["time"]) - _LATE
            self._latest_from = max(self._latest_from, start)

    def _count(self, rows: Sequence[Json], before: int) -> None:
        """Remember how many fills are older than one of `rows` that nothing will come before."""
        sure = milliseconds(self._clock.now() - _LATE)
        last = max((row["time"] for row in rows if row["time"] < sure), default=None)
        if last is not None:
            older = sum(row["time"] < last for row in rows)
            self._counted = (before + older, at_milliseconds(last))

    async def _read(self, start: datetime) -> list[Json]:
        """All fills from `start` on, page by page, oldest first."""
        symbols = await self._line.symbols()
        rows: dict[int, Json] = {}
        at, count = milliseconds(start), 0
        while True:
            page = await self._page(at)
            rows |= {row["tid"]: row for row in page}
            if len(rows) >= _KEPT:
                raise VenueUnavailable(f"hyperliquid: more fills since {start} than are told")
            if len(page) < _PAGE:
                break
            at = max(row["time"] for row in page)
            if len(rows) == count:
                raise VenueUnavailable("hyperliquid userFillsByTime: one moment fills a page")
            count = len(rows)
        ours = [row for row in rows.values() if row["coin"] in symbols]
        return sorted(ours, key=lambda row: int(row["time"]))

    async def _page(self, start: int) -> list[Json]:
        query = {"startTime": start, "aggregateByTime": False}
        told = await self._line.ask_of_account("userFillsByTime", query)
        with reading("hyperliquid userFillsByTime"):
            return [dict(row, tid=int(row["tid"]), time=int(row["time"])) for row in as_rows(told)]

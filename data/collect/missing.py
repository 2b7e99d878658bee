"""What is not there and should be: minutes without a bar, ids without a trade, and what trades have
that their bars have not.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from data.bar import Timeframe
from data.instrument import Symbol
from data.store import BarStore, TradeStore

MINUTE: Final = Timeframe.M1.delta
_PAGE: Final = 10_000  # bars read at once; a week's
_REACH: Final = timedelta(days=1)  # a hole is seen if its ends are no farther outside the range


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Span:
    """The minutes that open in [since, until); both are on the minute."""

    since: datetime
    until: datetime

    @property
    def minutes(self) -> int:
        return (self.until - self.since) // MINUTE


@dataclass(frozen=True, slots=True, kw_only=True)
class Hole:
    """Ids `first` to `last` are not kept, and the trades on both sides of them are."""

    first: int
    last: int
    span: Span  # from the minute of the trade before to that of the trade behind, both whole

    @property
    def ids(self) -> int:
        return self.last - self.first + 1


def minute_of(at: datetime) -> datetime:
    """When the minute that holds `at` opened."""
    return Timeframe.M1.close_after(at) - MINUTE


async def missing_minutes(
    bars: BarStore, symbol: Symbol, since: datetime, until: datetime
) -> list[Span]:
    """The minutes in [since, until), both on the minute, that have no bar; oldest first.

    At the ends of the range as well as inside. Memory grows with the gaps, not with the bars.
    """
    found: list[Span] = []
    edge = until  # behind it, all is known
    while edge > since:
        page = await bars.last(symbol, Timeframe.M1, _PAGE, until=edge)
        for bar in reversed(page):
            if bar.closed_at <= since:
                break
            if bar.closed_at < edge:
                found.append(Span(since=bar.closed_at, until=edge))
            edge = bar.opened_at
        if not page or page[0].closed_at <= since:
            break
    if edge > since:
        found.append(Span(since=since, until=edge))
    found.reverse()
    return found


async def poorer_minutes(
    bars: BarStore, trades: TradeStore, symbol: Symbol, since: datetime, until: datetime
) -> list[Span]:
    """The minutes in [since, until), both on the minute, whose bar has less volume than the trades
    that are kept of it, and the empty ones behind, which have its price; oldest first, those in a
    row together.

    So it is after a kill between a late trade and the correction of its bar. A minute that has no
    bar is missing, and not here.
    """
    found: list[Span] = []
    while since < until:
        edge = min(since + _PAGE * MINUTE, until)
        traded = await trades.volumes(symbol, since, edge)
        for bar in await bars.last(symbol, Timeframe.M1, _PAGE, until=edge):
            goes_on = bool(found) and found[-1].until == bar.opened_at
            if bar.volume < traded.get(bar.opened_at, bar.volume) or (goes_on and not bar.volume):
                begun = found.pop().since if goes_on else bar.opened_at
                found.append(Span(since=begun, until=bar.closed_at))
        since = edge
    return found


async def find_holes(
    trades: TradeStore, symbol: Symbol, since: datetime, until: datetime
) -> list[Hole]:
    """The ids missing between kept trades that may concern a minute in [since, until), by id.

    Right only for a venue whose ids are consecutive. Trades are read only if one is missing, and
    only until the last hole stands in time.
    """
    start, stop = since - _REACH, until + _REACH
    ranges = await trades.missing_ids(symbol, start, stop)
    before: dict[int, datetime] = {first: start for first, _ in ranges}
    behind: dict[int, datetime] = {}
    firsts = {last + 1: first for first, last in ranges}
    if ranges:
        async for trade in trades.between(symbol, start, stop):
            if (following := trade.trade_id + 1) in before:
                before[following] = trade.traded_at
            if (first := firsts.get(trade.trade_id)) is not None:
                behind[first] = trade.traded_at
                if len(behind) == len(ranges):
                    break
    holes = [
        Hole(first=first, last=last, span=_around(before[first], behind.get(first, stop)))
        for first, last in sorted(ranges)
    ]
    return [hole for hole in holes if hole.span.until > since and hole.span.since < until]


def _around(before: datetime, behind: datetime) -> Span:
    first, last = min(before, behind), max(before, behind)
    return Span(since=minute_of(first), until=minute_of(last) + MINUTE)


def joined(holes: Iterable[Hole]) -> list[list[Hole]]:
    """Holes that share a minute, or whose minutes touch, together; each group in time order."""
    groups: list[list[Hole]] = []
    until: datetime | None = None
    for hole in sorted(holes, key=lambda hole: (hole.span, hole.first)):
        if until is not None and hole.span.since <= until:
            groups[-1].append(hole)
            until = max(until, hole.span.until)
        else:
            groups.append([hole])
            until = hole.span.until
    return groups


def hull(holes: Sequence[Hole]) -> Span:
    """The minutes from the first to the last of `holes`, of which there is at least one."""
    return Span(
        since=min(hole.span.since for hole in holes),
        until=max(hole.span.until for hole in holes),
    )

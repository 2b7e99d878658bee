"""Funding that was paid, kept whole; a task of the daemon.

The store is its own progress, as with bars: what is kept is asked for again only beside a hole.
Intervals change over the years, and venues tell when they paid, not since when; so a hole is told
by the payments around it.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import pairwise
from statistics import median_low
from typing import Final

from data.clock import Clock
from data.collect.patience import Patience
from data.faults import Refused, Transient
from data.feeds.source import MarketSource
from data.funding import FundingRate
from data.instrument import Symbol
from data.store import FundingStore

_PAGE: Final = 5_000  # rates read from the store at once
_AROUND: Final = 3  # spacings on either side of one, by which it is judged
_LATE: Final = 1.5  # of the usual spacing; payments are dated some seconds to minutes late
_INSTANT: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class FundingGap:
    """Payments are missing after `since` and before `until`, at which there are some."""

    since: datetime
    until: datetime
    payments: int  # as many as usually come in that time


@dataclass(frozen=True, slots=True, kw_only=True)
class FundingFill:
    """What a run did for a symbol in [since, until]."""

    symbol: Symbol
    since: datetime
    until: datetime
    found: tuple[FundingGap, ...]  # before it
    added: int
    kept: int  # after it
    left: tuple[FundingGap, ...]  # of these the venue tells nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class FundingFailed:
    """A run came to nothing; the next one goes on where it stopped."""

    symbol: Symbol
    at: datetime
    reason: str


def funding_gaps(rates: Sequence[FundingRate], since: datetime) -> list[FundingGap]:
    """What is missing among `rates`, and between `since` and the first; oldest first.

    A spacing is a gap if it is half as long again as is usual both before and behind it, so that
    a change of interval is none. Holes that alternate with payments for long look like one.

    Args:
        rates: By time, oldest first.
    """
    if not rates:
        return []
    spacings = [after.at - before.at for before, after in pairwise(rates)]
    gaps = [
        _gap(before.at, after.at, _usual(spacings, place, after.interval))
        for place, (before, after) in enumerate(pairwise(rates))
    ]
    usual = median_low(spacings[:_AROUND]) if spacings else rates[0].interval
    return [gap for gap in (_head(since, rates[0].at, usual), *gaps) if gap is not None]


def _head(since: datetime, first: datetime, usual: timedelta) -> FundingGap | None:
    """Within a usual spacing of `since`, or at it, there should be a first."""
    if first - since <= usual:
        return None
    return FundingGap(since=since - _INSTANT, until=first, payments=(first - since) // usual)


def _usual(spacings: Sequence[timedelta], place: int, otherwise: timedelta) -> timedelta:
    around = (spacings[max(place - _AROUND, 0) : place], spacings[place + 1 : place + 1 + _AROUND])
    return max((median_low(side) for side in around if side), default=otherwise)


def _gap(since: datetime, until: datetime, usual: timedelta) -> FundingGap | None:
    if until - since <= usual * _LATE:
        return None
    return FundingGap(since=since, until=until, payments=round((until - since) / usual) - 1)


async def fill_funding(
    source: MarketSource,
    store: FundingStore,
    symbol: Symbol,
    *,
    since: datetime,
    until: datetime,
    patience: Patience,
    given_up: Collection[FundingGap] = (),
) -> FundingFill:
    """Ask for what is missing of [since, until], and for what was paid since the newest rate.

    May be killed at any point and run again; a second run adds nothing.

    Args:
        given_up: Gaps that are not asked for: the venue had nothing to tell before.

    Raises:
        SourceUnavailable, StoreUnavailable: the last of many tries.
        SourceRefused: the venue has no such market, or no funding.
    """
    before = await _kept(store, symbol, since, until, patience)
    found = funding_gaps(before, since)
    spans = [(gap.since, gap.until) for gap in found if gap not in given_up]
    spans.append((before[-1].at if before else since - _INSTANT, until))
    for after, last in spans:
        await _ask_between(source, store, symbol, after, last, patience)
    kept = await _kept(store, symbol, since, until, patience)
    return FundingFill(
        symbol=symbol,
        since=since,
        until=until,
        found=tuple(found),
        added=len(kept) - len(before),
        kept=len(kept),
        left=tuple(funding_gaps(kept, since)),
    )


async def _kept(
    store: FundingStore, symbol: Symbol, since: datetime, until: datetime, patience: Patience
) -> list[FundingRate]:
    """What the store has in [since, until], oldest first."""
    pages: list[list[FundingRate]] = []
    edge = until
    while True:
        page = await patience.ask(partial(store.last, symbol, _PAGE, until=edge))
        pages.insert(0, [rate for rate in page if rate.at >= since])
        if len(page) < _PAGE or page[0].at < since:
            return [rate for page in pages for rate in page]
        edge = page[0].at - _INSTANT


async def _ask_between(
    source: MarketSource,
    store: FundingStore,
    symbol: Symbol,
    after: datetime,
    last: datetime,
    patience: Patience,
) -> None:
    """Keep what was paid in (after, last], page by page.

    A page begins with the rate at `after`, so that the adapter can tell since when the next one is;
    the one at `last` is put again, as it may have been told without the one before it.
    """
    while after < last:
        page = await patience.ask(partial(source.past_funding, symbol, after))
        fresh = [rate for rate in page if rate.at > after]
        wanted = [rate for rate in fresh if rate.at <= last]
        if wanted:
            await patience.ask(partial(store.put, wanted))
        if not wanted or len(wanted) < len(fresh):
            return
        after = wanted[-1].at


async def collect_funding(
    source: MarketSource,
    store: FundingStore,
    symbols: Sequence[Symbol],
    clock: Clock,
    *,
    since: datetime,
    every: timedelta,
    report: Callable[[FundingFill | FundingFailed], None],
) -> None:
    """Keep the funding of `symbols` whole from `since` on, for ever.

    A venue or a store that is away is waited out, and one that refuses is asked again later.
    A gap of which the venue had nothing to tell is not asked for again before a restart.
    """
    patience = Patience(clock=clock)
    given_up: dict[Symbol, tuple[FundingGap, ...]] = {}
    while True:
        for symbol in symbols:
            try:
                fill = await fill_funding(
                    source,
                    store,
                    symbol,
                    since=since,
                    until=clock.now(),
                    patience=patience,
                    given_up=given_up.get(symbol, ()),
                )
            except (Transient, Refused) as error:
                report(FundingFailed(symbol=symbol, at=clock.now(), reason=str(error)))
                continue
            given_up[symbol] = fill.left
            report(fill)
        await clock.sleep(every)

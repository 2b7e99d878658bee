"""What every feed of prepared events shares: when an event is known, and telling it no sooner."""

from collections.abc import AsyncGenerator, Iterator
from datetime import datetime

from data.bar import Bar
from data.clock import Clock
from data.feed import FeedInterrupted, MarketEvent
from data.funding import FundingRate
from data.order_book import OrderBook
from data.trade import Trade


def known_at(event: MarketEvent) -> datetime:
    """The earliest market time at which `event` can be told: a gap shows with the bar after it."""
    match event:
        case Bar():
            return event.closed_at
        case FeedInterrupted():
            return event.until or event.since
        case Trade():
            return event.traded_at
        case OrderBook():
            return event.at
        case FundingRate():
            return event.seen_at


async def play(events: Iterator[MarketEvent], clock: Clock) -> AsyncGenerator[MarketEvent, None]:
    """Tell each of `events`, given in time order, once `clock` reaches it; a late one at once."""
    for event in events:
        await clock.sleep_until(known_at(event))
        yield event

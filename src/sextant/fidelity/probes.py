"""Orders that nobody sent, to ask what would have come of them."""

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from data.faults import Refused
from data.instrument import Instrument, Price, Quantity, Side
from data.order_book import OrderBook
from sextant.fidelity.tape import Tape

_DEPTH = 10  # levels that a size is a share of
_BEHIND = 2  # levels behind the best


class TooShort(Refused):
    """The recording ends before a probe could live in it."""


class Placement(StrEnum):
    """Where a limit order is put, seen from the best price of its own side."""

    INSIDE = "inside"  # one tick better, where that takes nothing
    TOUCH = "at the touch"
    BEHIND = "behind"  # at the third level


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Which probes are sent; the same seed sends the same ones."""

    seed: int
    each: int  # probes of each size, and of each placement
    sizes: Sequence[Decimal]  # of market orders, as shares of the ten best levels
    share: Decimal  # size of limit orders, as a share of what stands at the best price
    latency: timedelta  # of a message, as the rules know it
    latency_spread: float  # the real one lies within this factor of it, either way
    lifetime: timedelta  # of limit orders, until their cancellation is sent
    warm_up: timedelta  # from the recording's begin

    def __post_init__(self) -> None:
        if self.each < 1 or self.latency_spread < 1 or min(*self.sizes, self.share) <= 0:
            raise ValueError(f"no such probes: {self}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One order; without `limit` a market order."""

    group: str  # its size or its placement, by name
    at: datetime  # when it is sent
    side: Side
    quantity: Quantity
    limit: Price | None
    latency: timedelta  # the real one, which no rule is told
    mid: Price  # of the newest book that the sender has


def market_probes(tape: Tape, plan: Plan) -> list[Probe]:
    """By size, then by time.

    Raises:
        TooShort: the recording has no room for them.
    """
    return [
        probe
        for size in plan.sizes
        for probe in _market(tape, plan, size, _chances(tape, plan, f"market {size}"))
    ]


def limit_probes(tape: Tape, plan: Plan) -> list[Probe]:
    """By placement, then by time; one that finds no room inside the spread is left out.

    Raises:
        TooShort: the recording has no room for them.
    """
    return [
        probe
        for placement in Placement
        for probe in _limit(tape, plan, placement, _chances(tape, plan, f"limit {placement}"))
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chance:
    """An instant, a side, a real latency, and the book that the sender has."""

    at: datetime
    side: Side
    latency: timedelta
    book: OrderBook
    mid: Price


def _chances(tape: Tape, plan: Plan, name: str) -> Iterator[_Chance]:
    """Uniform in time, both sides alike, latencies log-uniform; in the order of time."""
    begin = tape.feed.first + plan.warm_up
    room = tape.feed.last - begin - plan.lifetime - 2 * plan.latency * plan.latency_spread
    if room <= timedelta(0):
        raise TooShort(
            f"the recording lasts {tape.feed.last - tape.feed.first}; shorten warm-up or lifetime"
        )
    draw = random.Random(f"{plan.seed} {name}")  # a stream of its own, whatever else is asked
    for share in sorted(draw.random() for _ in range(plan.each)):
        at, side = begin + share * room, draw.choice(tuple(Side))
        stretch = math.exp(draw.uniform(-1.0, 1.0) * math.log(plan.latency_spread))
        book = tape.feed.book_at(at)
        if book is not None and book.mid is not None:
            yield _Chance(at=at, side=side, latency=plan.latency * stretch, book=book, mid=book.mid)


def _market(tape: Tape, plan: Plan, size: Decimal, chances: Iterator[_Chance]) -> Iterator[Probe]:
    for chance in chances:
        levels = chance.book.taken_by(chance.side)[:_DEPTH]
        wished = size * sum((level.quantity for level in levels), Decimal(0))
        yield _probe(chance, f"{size:%} of depth", _on_lot(tape.instrument, wished), None)


def _limit(
    tape: Tape, plan: Plan, placement: Placement, chances: Iterator[_Chance]
) -> Iterator[Probe]:
    for chance in chances:
        own = chance.book.taken_by(chance.side.opposite)
        limit = _limit_price(tape.instrument, placement, chance)
        if limit is not None:
            quantity = _on_lot(tape.instrument, plan.share * own[0].quantity)
            yield _probe(chance, placement.value, quantity, limit)


def _limit_price(instrument: Instrument, placement: Placement, chance: _Chance) -> Price | None:
    own = chance.book.taken_by(chance.side.opposite)
    match placement:
        case Placement.TOUCH:
            return own[0].price
        case Placement.BEHIND:
            return own[_BEHIND].price if len(own) > _BEHIND else None
        case Placement.INSIDE:
            better = Price(own[0].price + chance.side.sign * instrument.tick)
            best = chance.book.taken_by(chance.side)[0].price
            return better if (best - better) * chance.side.sign > 0 else None


def _on_lot(instrument: Instrument, wished: Decimal) -> Quantity:
    """At least one lot, else rounded down."""
    rounded = instrument.quantity(wished)
    return max(rounded, instrument.min_quantity)


def _probe(chance: _Chance, group: str, quantity: Quantity, limit: Price | None) -> Probe:
    return Probe(
        group=group,
        at=chance.at,
        side=chance.side,
        quantity=quantity,
        limit=limit,
        latency=chance.latency,
        mid=chance.mid,
    )

"""What a recording says would have come of a probe, in code that no rule of filling shares.

A market order walks the first book that was recorded after its real arrival: none of the rules has
seen that book. Of a limit order, books and trades give two bounds.

At least: it joins behind the greater of the quantities told before and after its arrival; of those
ahead nobody cancels, so that only trades at its price shorten the queue; a trade beyond its price
has emptied the level and would have met it.

At most: it joins behind the lesser; each fall of its level was of orders ahead, and each trade at
its price came off them besides, though both may tell of the same; and whoever offers at its price
or better would have traded with it.

Both leave out what others would have done otherwise had they seen the order.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from data.instrument import Price, Quantity, Side
from data.order_book import Level, OrderBook
from data.trade import Trade
from sextant.fidelity.outcome import Bounds, Outcome
from sextant.fidelity.probes import Plan, Probe
from sextant.fidelity.tape import Event, Tape

_ZERO = Decimal(0)


def market_reality(tape: Tape, probe: Probe) -> Outcome:
    """What the recorded levels would have given; what they do not reach stays unfilled."""
    book = tape.truth.book_after(probe.at + probe.latency)
    offered = book.taken_by(probe.side) if book is not None else ()
    return Outcome.of(_taken(offered, probe.quantity))


def limit_reality(tape: Tape, probe: Probe, plan: Plan) -> Bounds:
    """The bounds of what a limit order would have been filled.

    Raises:
        ValueError: the probe has no limit.
    """
    if probe.limit is None:
        raise ValueError(f"a market order has no bounds: {probe}")
    arrival = probe.at + probe.latency
    met = tape.truth.book_after(arrival)
    before = tape.truth.book_at(arrival)
    if met is None or before is None:
        nothing = Outcome.of(())
        return Bounds(least=nothing, most=nothing)
    end = arrival + plan.lifetime
    arrived = _Arrived(probe, probe.limit, before, met)
    return Bounds(
        least=_least(tape.truth.between(met.at, end), arrived),
        most=_most(tape.truth.between(arrival, end), arrived),
    )


@dataclass(frozen=True, slots=True)
class _Arrived:
    """A limit order between the last book before it and the first that it meets."""

    probe: Probe
    limit: Price
    before: OrderBook
    met: OrderBook

    def taken(self) -> tuple[Level, ...]:
        """What it takes at once of the book that it meets."""
        side = self.probe.side
        inside = [
            level
            for level in self.met.taken_by(side)
            if not _is_beyond(self.limit, level.price, side.opposite)
        ]
        return _taken(inside, self.probe.quantity)

    def queues(self) -> list[Quantity]:
        """What stands at its price, in those of the two books that reach so deep."""
        told = (_standing(book, self.probe.side, self.limit) for book in (self.before, self.met))
        return [quantity for quantity in told if quantity is not None]


def _least(events: Iterable[Event], arrived: _Arrived) -> Outcome:
    fills, limit, side = list(arrived.taken()), arrived.limit, arrived.probe.side
    left = arrived.probe.quantity - sum(level.quantity for level in fills)
    ahead = max(arrived.queues(), default=Decimal("Infinity"))
    for event in events:
        if not left:
            break
        if isinstance(event, OrderBook) or event.side is side:
            continue
        ahead, reaching = _traded(event, limit, ahead)
        left = _fill(fills, limit, left, reaching)
    return Outcome.of(fills)


def _most(events: Iterable[Event], arrived: _Arrived) -> Outcome:
    fills, limit, side = list(arrived.taken()), arrived.limit, arrived.probe.side
    left = arrived.probe.quantity - sum(level.quantity for level in fills)
    standing = ahead = min(arrived.queues(), default=_ZERO)
    for event in events:
        if not left:
            break
        if isinstance(event, OrderBook):
            now = _standing(event, side, limit)
            if now is not None:
                ahead = max(ahead - max(standing - now, _ZERO), _ZERO)
                standing = now
            reaching = _offered(event, side, limit) if event is not arrived.met else _ZERO
        elif event.side is not side:
            ahead, reaching = _traded(event, limit, ahead)
        else:
            continue
        left = _fill(fills, limit, left, reaching)
    return Outcome.of(fills)


def _traded(trade: Trade, limit: Price, ahead: Decimal) -> tuple[Decimal, Decimal]:
    """What is ahead after a trade against our side, and how much of it gets to us."""
    if _is_beyond(limit, trade.price, trade.side.opposite):
        return _ZERO, trade.quantity
    if trade.price != limit:
        return ahead, _ZERO
    return max(ahead - trade.quantity, _ZERO), max(trade.quantity - ahead, _ZERO)


def _fill(fills: list[Level], limit: Price, left: Decimal, reaching: Decimal) -> Decimal:
    """Fill what reaches us, and say what is left."""
    part = min(left, reaching)
    if part:
        fills.append(Level(limit, Quantity(part)))
    return left - part


def _taken(offered: Sequence[Level], quantity: Decimal) -> tuple[Level, ...]:
    taken, left = [], quantity
    for price, there in offered:
        part = min(there, left)
        if part:
            taken.append(Level(price, Quantity(part)))
        left -= part
    return tuple(taken)


def _standing(book: OrderBook, side: Side, limit: Price) -> Quantity | None:
    """On `side` at `limit`; None where the book ends before it."""
    levels = book.bids if side is Side.BUY else book.asks
    if not levels or _is_beyond(levels[-1].price, limit, side):
        return None
    there = (level.quantity for level in levels if level.price == limit)
    return next(there, Quantity(_ZERO))


def _offered(book: OrderBook, side: Side, limit: Price) -> Decimal:
    """What stands against `side` at `limit` or better."""
    levels = book.taken_by(side)
    inside = (q for price, q in levels if not _is_beyond(limit, price, side.opposite))
    return sum(inside, _ZERO)


def _is_beyond(limit: Price, price: Price, side: Side) -> bool:
    """Whether `price` is past `limit` to whoever rests on `side`: lower for a bid."""
    return price < limit if side is Side.BUY else price > limit

"""A resting limit order among the others at its price, as far as books and trades tell.

Venues fill by price, then by time. Public data say how much stands at a price and not whose it is,
so a place in the queue is an estimate, and every doubt is settled against us.

Source:
    E. Rigtorp, "Estimating order queue position", 2013: what trades comes off what is ahead, and a
    cancelled quantity with the share p = V / Q, where V of the level's Q is ahead. hftbacktest,
    "Queue Models": trades are taken out of the fall of the level first, and no more is ahead than
    the level holds. Databento, "Queue position of an order": orders ahead are cancelled less often
    than those behind, hence `QueueTerms.cancelled_ahead`.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, Context, Decimal
from typing import NamedTuple, Self

from data.instrument import Price, Quantity, Side
from data.order_book import OrderBook
from data.trade import Trade
from execution.paper_terms import limit_is_passed

_ZERO = Quantity(Decimal(0))
_UNSEEN = Quantity(Decimal("Infinity"))
_QUANTUM = Decimal("1e-12")  # of base, to which what is ahead is rounded up
_EXACT = Context(prec=120)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueTerms:
    """What is believed of orders that vanish, and of two streams that tell of the same."""

    cancelled_ahead: Decimal  # of the part ahead of us, pro rata: 0 believes none of it, 1 all
    settling: timedelta  # by which a trade and the fall of its level may be told apart

    def __post_init__(self) -> None:
        if not 0 <= self.cancelled_ahead <= 1:
            raise ValueError(f"cancelled_ahead is a share in [0, 1]: {self.cancelled_ahead}")
        if self.settling < timedelta(0):
            raise ValueError(f"settling is not below 0: {self.settling}")


class Told(NamedTuple):
    """A quantity that one of the two streams told of, and the other not yet."""

    at: datetime
    quantity: Decimal
    credit: Decimal = _ZERO  # by how much it moved us up, where a level's fall told of it


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuePlace:
    """What stands before us at our price; we ourselves are in no quantity told.

    A trade and the fall of the level that it makes are told one after the other, in either order;
    whichever comes second, within the settling time, moves us no further than the first has.
    """

    ahead: Quantity
    standing: Quantity  # of all others at the price, as last told
    traded: tuple[Told, ...] = ()  # at the price, of which no fall of the level has told yet
    fallen: tuple[Told, ...] = ()  # of the level, of which no trade has told yet

    @classmethod
    def behind(cls, standing: Quantity | None) -> Self:
        """The last of all; None is a level that the book does not reach: endless, until it does."""
        known = _UNSEEN if standing is None else standing
        return cls(ahead=known, standing=known)

    def after_level(self, standing: Quantity, at: datetime, terms: QueueTerms) -> "QueuePlace":
        """The level is told anew: what has come stands behind us, what has gone partly before."""
        if self.standing == _UNSEEN:
            return QueuePlace.behind(standing)
        traded, fallen = self._recent(at, terms)
        fall = self.standing - standing
        if fall <= 0:
            return replace(self, standing=standing, traded=traded, fallen=fallen)
        explained, _, traded = _claimed(traded, fall)
        cancelled = fall - explained
        ahead = min(self._without(cancelled, explained, terms), standing)
        if cancelled:
            fallen = (*fallen, Told(at, cancelled, self.ahead - ahead))
        return QueuePlace(ahead=ahead, standing=standing, traded=traded, fallen=fallen)

    def after_trade(
        self, quantity: Quantity, at: datetime, terms: QueueTerms
    ) -> tuple["QueuePlace", Quantity]:
        """A trade at our price: our place behind it, and how much of it got past those ahead."""
        traded, fallen = self._recent(at, terms)
        told, credit, fallen = _claimed(fallen, quantity)
        news = quantity - credit
        moved = min(news, self.ahead)
        if told < quantity:
            traded = (*traded, Told(at, quantity - told))
        ahead = Quantity(self.ahead - moved)
        place = replace(self, ahead=ahead, traded=traded, fallen=fallen)
        return place, Quantity(news - moved)

    def after(
        self, trade: Trade, limit: Price, at: datetime, terms: QueueTerms
    ) -> tuple["QueuePlace", Quantity]:
        """Our place at `limit` behind a trade told at `at`, and how much of it reaches us.

        Nothing unless its taker could meet us: at our price once nothing is ahead, and beyond our
        price in any case, where those ahead have gone before.
        """
        ours = trade.side.opposite
        if limit_is_passed(limit, trade.price, ours):
            return replace(self, ahead=_ZERO), trade.quantity
        if trade.price == limit:
            return self.after_trade(trade.quantity, at, terms)
        return self, _ZERO

    def _without(self, cancelled: Decimal, explained: Decimal, terms: QueueTerms) -> Quantity:
        """What is ahead once the believed share of `cancelled` has left, rounded up."""
        before = self.standing - explained
        if not cancelled:
            return self.ahead
        kept = before - terms.cancelled_ahead * cancelled
        ahead = _EXACT.divide(_EXACT.multiply(self.ahead, kept), before)
        return min(self.ahead, Quantity(ahead.quantize(_QUANTUM, ROUND_CEILING, _EXACT)))

    def _recent(self, at: datetime, terms: QueueTerms) -> tuple[tuple[Told, ...], tuple[Told, ...]]:
        since = at - terms.settling
        return _from(self.traded, since), _from(self.fallen, since)


def standing_at(book: OrderBook, side: Side, price: Price) -> Quantity | None:
    """How much stands on `side` at `price`; None where the book does not reach so deep."""
    levels = book.taken_by(side.opposite)
    for level in levels:
        if level.price == price:
            return level.quantity
        if limit_is_passed(price, level.price, side):
            return _ZERO
    return None


def _claimed(told: tuple[Told, ...], most: Decimal) -> tuple[Decimal, Decimal, tuple[Told, ...]]:
    """Up to `most` out of `told`, the oldest first; the credit of that; and what is left."""
    left, credit, rest = most, Decimal(0), []
    for item in told:
        part = min(left, item.quantity)
        left -= part
        used = min(part, item.credit)
        credit += used
        if item.quantity > part:
            rest.append(Told(item.at, item.quantity - part, item.credit - used))
    return most - left, credit, tuple(rest)


def _from(told: tuple[Told, ...], since: datetime) -> tuple[Told, ...]:
    return tuple(t for t in told if t.at >= since) if told else told

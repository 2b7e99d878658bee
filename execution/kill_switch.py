"""What the kill switch does with orders, and whether the venue says that nothing of ours is left.

What could still add to a position, and what waits for a better price, is cancelled at once. A stop
stands until its position is flat. It is given up before that only together with the exit that
replaces it, where the venue has refused one while the stop stood: a venue may hold back for the
stop what the exit would sell.
"""

from collections.abc import Collection, Iterable, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta

from data.account import AccountState
from data.instrument import Symbol
from execution.blotter import FillBooked, OrderDone, Settled
from execution.difference import Difference, DifferenceKind, Reconciliation
from execution.tracking import TrackedOrder
from risk.intent import OrderIntent

_AGAIN_AFTER = timedelta(seconds=5)  # a venue that has just refused an exit is not hammered


class KillSwitch:
    """Remembers which exits were asked for and refused; a restart begins anew."""

    def __init__(self) -> None:
        self._asked: dict[Symbol, datetime] = {}
        self._refused: set[Symbol] = set()

    def hear(self, settled: Settled) -> None:
        """Take in what came of an order."""
        match settled:
            case OrderDone(order=TrackedOrder(order=order), refused=True) if order.exits:
                self._refused.add(order.symbol)
            case FillBooked(order=order) if order.exits:
                self._refused.discard(order.symbol)
            case _:
                pass

    def ask(self, exits: Iterable[OrderIntent], now: datetime) -> None:
        """Note that these are asked for at `now`."""
        self._asked |= {intent.symbol: now for intent in exits}

    def resting(self, orders: Sequence[TrackedOrder], now: datetime) -> frozenset[Symbol]:
        """Symbols to ask for no exit in: one works already, or was asked for a moment ago."""
        asked = {s for s, at in self._asked.items() if now - at < _AGAIN_AFTER}
        return frozenset(asked) | closing(orders)

    def in_the_way(
        self,
        orders: Sequence[TrackedOrder],
        exits: Iterable[OrderIntent],
        *,
        symbols: AbstractSet[Symbol] | None = None,
    ) -> tuple[str, ...]:
        """The orders to cancel before these exits are sent; only those in `symbols`, if given."""
        freed = self._refused & {intent.symbol for intent in exits}
        return tuple(
            tracked.client_order_id
            for tracked in within(orders, symbols)
            if not tracked.cancelling
            and (
                tracked.order.symbol in freed if tracked.is_protective else not tracked.order.exits
            )
        )


def within(
    orders: Sequence[TrackedOrder], symbols: AbstractSet[Symbol] | None
) -> Sequence[TrackedOrder]:
    """The orders in `symbols`; all of them where none are given."""
    if symbols is None:
        return orders
    return [tracked for tracked in orders if tracked.order.symbol in symbols]


def closing(orders: Iterable[TrackedOrder]) -> frozenset[Symbol]:
    """Symbols that an order at market is closing already."""
    return frozenset(tracked.order.symbol for tracked in orders if tracked.order.exits)


def still_open(account: AccountState, orders: Sequence[TrackedOrder]) -> tuple[str, ...]:
    """What our books show of our own, in words: positions but for dust, then orders."""
    held = [f"{symbol} {p.quantity:+,f}" for symbol, p in sorted(account.positions.items())]
    return (*held, *map(_in_words, orders))


def doubts(found: Reconciliation, bases: Collection[str]) -> tuple[str, ...]:
    """What keeps the venue's answer from meaning that our books are right, in words.

    Cash that differs is no position; `bases` are the assets that would be one.
    """
    return tuple(
        f"{d.kind} {d.subject}: {d.ours} here, {d.theirs} at the venue"
        for d in found.differences
        if _casts_doubt(d, bases)
    )


def _casts_doubt(difference: Difference, bases: Collection[str]) -> bool:
    match difference.kind:
        case DifferenceKind.BALANCE:
            return difference.subject in bases
        case DifferenceKind.UNRESOLVED | DifferenceKind.RISEN:
            return True
        case _:
            return False


def _in_words(tracked: TrackedOrder) -> str:
    order = tracked.order
    what = "target" if tracked.is_target else "exit" if order.reduce_only else "entry"
    what = "stop" if tracked.is_protective else what
    if order.purpose.exchanges:
        what = "exchange"
    return (
        f"{what} {order.client_order_id[:8]}: {order.side} {tracked.remaining:,f} {order.symbol}, "
        f"{tracked.status}"
    )

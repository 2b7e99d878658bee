"""Holding our books against the venue's: the venue is the truth about orders, fills and balances.

What it did and we missed is taken over; what we meant to send and it never saw is over, and is not
sent again; what it took from us by force is booked, and whoever listens halts the desk whose it
was; what is not ours is left alone. If the balances differ after all that, or an order still has no
answer, the account is not reconciled and takes on no new exposure.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final

from data.instrument import Instrument, Symbol
from execution.difference import Difference, DifferenceKind, Reconciliation
from execution.engine import Engine
from execution.order import OrderStatus
from execution.tracking import TrackedOrder
from execution.venue import OrderChanged, VenueOrder

_LOOKS = 3  # fills may come while we look; then we look again
_NOTHING = Decimal(0)


async def reconcile(engine: Engine) -> Reconciliation:
    """Bring the engine's books in line with its venue's, and say what differed.

    At start after `Engine.recover`, and whenever in doubt: it may run beside the engine. The result
    is on record, and `Engine.reconciled` follows it. A venue's limits may have us wait between two
    questions; what only reduces a position does not wait for the last of them.

    Raises:
        VenueUnavailable: the venue could not be asked; nothing is concluded.
    """
    async with engine.outbox.wire:
        engine.settle()
        differences = await _resolve_unanswered(engine)
        balances = await engine.venue.balances()
        for _ in range(_LOOKS):
            for step in _STEPS:
                await engine.outbox.send_reducing()
                differences += await step(engine)
            before, balances = balances, await engine.venue.balances()
            if balances == before:
                break
        engine.settle()
        differences += _open_questions(engine)
        differences += compare_balances(
            engine.ledger.balances, balances, engine.instruments, lambda a: _leeway(engine, a)
        )
        reconciliation = Reconciliation(
            at=engine.clock.now(),
            differences=tuple(dict.fromkeys(differences)),
            fills_seen=engine.fills_seen,
        )
        engine.conclude(reconciliation)
    return reconciliation


def compare_balances(
    ours: Mapping[str, Decimal],
    theirs: Mapping[str, Decimal],
    instruments: Mapping[Symbol, Instrument],
    leeway: Callable[[str], Decimal],
) -> list[Difference]:
    """The assets that differ by more than their `leeway`, and by a lot or more of what has lots.

    What no instrument is of, a deposit perhaps, is foreign, and no concern of the ledger.
    """
    lots = {symbol.base: instrument.lot for symbol, instrument in instruments.items()}
    traded = lots.keys() | {symbol.quote for symbol in instruments}
    differences = []
    for asset in sorted(ours.keys() | theirs.keys()):
        mine, other = ours.get(asset, _NOTHING), theirs.get(asset, _NOTHING)
        apart = abs(mine - other)
        if apart > leeway(asset) and apart >= lots.get(asset, _NOTHING):
            is_ours = asset in traded
            kind = DifferenceKind.BALANCE if is_ours else DifferenceKind.FOREIGN_ASSET
            differences.append(_difference(kind, asset, mine, other))
    return differences


def _leeway(engine: Engine, asset: str) -> Decimal:
    """What the venue's rounding can have come to since the books began."""
    return engine.venue.rounding(asset).leeway(engine.ledger.bookings(asset))


async def _resolve_unanswered(engine: Engine) -> list[Difference]:
    asked = engine.outbox.unanswered
    await engine.outbox.ask_unanswered(at_once=True)
    differences = []
    for client_order_id in asked - engine.outbox.unanswered:
        order = engine.blotter.find(client_order_id)
        if order is None:
            continue
        arrived = order.status is not OrderStatus.REJECTED
        kind = DifferenceKind.MISSED_CHANGE if arrived else DifferenceKind.NEVER_ARRIVED
        differences.append(_difference(kind, client_order_id, "no answer", order.status))
    return differences


async def _take_over_fills(engine: Engine) -> list[Difference]:
    found = await engine.collect_fills()
    kinds = {
        DifferenceKind.MISSED_FILL: [(fill_id, "filled") for fill_id in found.booked],
        DifferenceKind.LIQUIDATION: [(fill.fill_id, fill.forced) for fill in found.liquidated],
        DifferenceKind.FOREIGN_FILL: [(fill_id, "filled") for fill_id in found.foreign],
    }
    return [
        _difference(kind, fill_id, "absent", said)
        for kind, fills in kinds.items()
        for fill_id, said in fills
    ]


async def _take_over_charges(engine: Engine) -> list[Difference]:
    """Most venues tell of charges only when asked, so that one we did not know is no difference."""
    foreign = await engine.collect_charges()
    return [_difference(DifferenceKind.FOREIGN_CHARGE, c, "absent", "charged") for c in foreign]


async def _take_over_orders(engine: Engine) -> list[Difference]:
    """Learn where every order stands that works here or there."""
    before = {order.client_order_id: order for order in engine.orders}
    there = {order.client_order_id: order for order in await engine.venue.open_orders()}
    engine.settle()
    differences = []
    for client_order_id, said in there.items():
        order = before.get(client_order_id) or engine.blotter.find(client_order_id)
        if order is None:
            differences.append(
                _difference(DifferenceKind.FOREIGN_ORDER, client_order_id, "absent", said.status)
            )
        else:
            differences += _adopt(engine, order, said)
    for client_order_id, order in before.items():
        if client_order_id not in there and order.status.works:
            differences += await _find(engine, order)
    return differences


def _adopt(engine: Engine, order: TrackedOrder, said: VenueOrder) -> list[Difference]:
    """Take over what the venue says of `order`, as it stood when the venue was asked."""
    client_order_id = order.client_order_id
    if order.status.is_final:
        engine.insist_cancelled(order)
        return [_difference(DifferenceKind.RISEN, client_order_id, order.status, said.status)]
    if order.cancelling:
        engine.insist_cancelled(order)
    now = engine.blotter.find(client_order_id) or order
    event = OrderChanged(order=said, at=order.told_at, reason="reconciled")
    if now.after(event) is now:
        return []
    engine.record(event)
    return [_difference(DifferenceKind.MISSED_CHANGE, client_order_id, now.status, said.status)]


async def _find(engine: Engine, order: TrackedOrder) -> list[Difference]:
    """Ask after an order that worked here and is not open there."""
    client_order_id = order.client_order_id
    said = await engine.venue.order(client_order_id)
    engine.settle()
    now = engine.blotter.find(client_order_id) or order
    if now.status.is_final:
        return []
    if said is not None:
        return _adopt(engine, order, said)
    if engine.may_yet_show(now):
        return [_difference(DifferenceKind.UNRESOLVED, client_order_id, now.status, "absent")]
    engine.record(_vanished(now))
    return [_difference(DifferenceKind.VANISHED, client_order_id, now.status, "absent")]


def _vanished(order: TrackedOrder) -> OrderChanged:
    asked = order.order
    gone = VenueOrder(
        client_order_id=asked.client_order_id,
        symbol=asked.symbol,
        side=asked.side,
        quantity=order.size,
        filled=order.reported,
        trigger=asked.trigger,
        limit=asked.limit,
        reduce_only=asked.reduce_only,
        status=OrderStatus.CANCELLED,
        parent=order.parent,
    )
    return OrderChanged(order=gone, at=order.told_at, reason="the venue knows it no more")


_STEPS: Final = (_take_over_fills, _take_over_orders, _take_over_charges)


def _open_questions(engine: Engine) -> list[Difference]:
    """Orders without an answer, or that do not end, or whose reported fills have not come."""
    open_ones: list[tuple[str, object, object]]
    open_ones = [(name, "no answer", "absent") for name in sorted(engine.outbox.unanswered)]
    for order in engine.orders:
        if order.reported > order.filled:
            open_ones.append((order.client_order_id, order.filled, order.reported))
        elif engine.is_overdue(order):
            open_ones.append((order.client_order_id, "being cancelled", order.status))
    return [_difference(DifferenceKind.UNRESOLVED, *one) for one in open_ones]


def _difference(kind: DifferenceKind, subject: str, ours: object, theirs: object) -> Difference:
    return Difference(kind=kind, subject=subject, ours=str(ours), theirs=str(theirs))

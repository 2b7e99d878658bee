"""A wish put into the form that risk reads: an entry with its stop, or an exit of what is held.

The id of an intent is that of its bar, so that deciding twice on one bar asks for one order;
`decided_at` is when the snapshot was taken.
"""

from dataclasses import replace
from decimal import Decimal

from data.instrument import Price, Quantity
from data.snapshot import Snapshot
from risk.intent import Direction, Envelope, OrderIntent, Purpose, attempt_id, intent_id


def open_quantity(snapshot: Snapshot) -> Quantity:
    """The signed position in the snapshot's symbol; dust, which no venue takes, is flat."""
    instrument = snapshot.instrument
    held = snapshot.account.held(instrument.symbol)
    if held and instrument.is_dust(held, snapshot.bar.close):
        return Quantity(Decimal(0))
    return held


def entry_in_flight(snapshot: Snapshot) -> bool:
    """Whether an order that adds to a position in the snapshot's symbol may still fill."""
    symbol = snapshot.instrument.symbol
    return any(o.symbol == symbol and not o.reduce_only for o in snapshot.account.in_flight)


def entry(
    strategy_id: str,
    snapshot: Snapshot,
    *,
    direction: Direction,
    confidence: float,
    stop: Price,
    target: Price | None = None,
    quantity: Quantity | None = None,
    thesis: str = "",
    falsified_at: Price | None = None,
) -> OrderIntent:
    """Open a position in `direction`; `quantity` is signed, None is as much as the rules give."""
    return OrderIntent(
        intent_id=_id(strategy_id, snapshot, Purpose.ENTRY),
        strategy_id=strategy_id,
        symbol=snapshot.instrument.symbol,
        purpose=Purpose.ENTRY,
        direction=direction,
        decided_at=snapshot.taken_at,
        confidence=confidence,
        quantity=quantity,
        stop=stop,
        target=target,
        thesis=thesis,
        falsified_at=falsified_at,
    )


def exit_of(
    strategy_id: str, snapshot: Snapshot, *, held: Quantity, confidence: float
) -> OrderIntent:
    """Close all of `held`, the signed position."""
    return OrderIntent(
        intent_id=_id(strategy_id, snapshot, Purpose.EXIT),
        strategy_id=strategy_id,
        symbol=snapshot.instrument.symbol,
        purpose=Purpose.EXIT,
        direction=Direction.CLOSE,
        decided_at=snapshot.taken_at,
        confidence=confidence,
        quantity=Quantity(-held),
        reduce_only=True,
    )


def within(envelope: Envelope, intent: OrderIntent) -> OrderIntent:
    """`intent` as it was meant, moved no farther than `envelope` asks: the second attempt."""
    sign = intent.direction.sign
    stop, target, wish = intent.stop, intent.target, intent.quantity
    near, far = envelope.nearest_stop, envelope.farthest_stop
    if stop is not None:
        stop = near if sign * (near - stop) < 0 else far if sign * (stop - far) < 0 else stop
    least = envelope.nearest_target
    if target is not None and least is not None and sign * (target - least) < 0:
        target = least
    if wish is not None:
        wish = Quantity(sign * min(abs(wish), envelope.max_quantity))
    attempt = intent.attempt + 1
    return replace(
        intent,
        intent_id=attempt_id(intent.intent_id, attempt),
        stop=stop,
        target=target,
        quantity=wish,
        attempt=attempt,
    )


def _id(strategy_id: str, snapshot: Snapshot, purpose: Purpose) -> str:
    return intent_id(strategy_id, snapshot.instrument.symbol, snapshot.bar.closed_at, purpose)

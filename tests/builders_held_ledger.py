"""What a world of `tests.builders_held` comes to in the end, held against one without the crash.

What died with a process before it was on the wire is not sent again: by design an approval does not
outlive its process. So two differences are allowed, and only of what a kill met in flight:

    lacking   a desk's entry that was being decided or sent: the reference is then the run in which
              nobody decided on it
    again     what reduces a position or guards it, and was being asked for or sent: it is asked for
              again, under the id of a later moment; all else about the order is the same
"""

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from functools import cache

from execution.exact import EXACT
from execution.order import Submitting
from tests.builders_held import ENTRIES, Fate, decided_at, id_of, live_through
from tests.builders_lies_life import codecs
from tests.builders_venue import BTC, XRP


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """An order as the exchange has it in the end, without its id and its times."""

    purpose: str
    symbol: str
    side: str
    quantity: Decimal
    kind: str
    trigger: Decimal | None
    limit: Decimal | None
    reduce_only: bool
    status: str
    fills: tuple[tuple[Decimal, Decimal, Decimal], ...]  # quantity, price and fee, in their order


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """What there is in the end, at the exchange and here; what both have is held to be the same."""

    orders: dict[str, Placed]  # by client order id; a venue's own stop by its entry's, numbered
    booked: dict[str, tuple[tuple[Decimal, Decimal, Decimal], ...]]  # fills here, by order
    balances: dict[str, Decimal]  # here, to the last digit
    theirs: dict[str, Decimal]  # the exchange's
    positions: dict[str, Decimal]
    open: tuple[str, ...]  # orders that still work here
    decided: dict[str, datetime] = field(compare=False)  # of what is on record here, sent or not


@dataclass(frozen=True, slots=True, kw_only=True)
class Convergence:
    """How a run with a kill came to the ledger of the run without."""

    moment: str
    lacking: frozenset[str]  # entries, by their names
    again: frozenset[str]  # purposes

    @property
    def word(self):
        """The kind of difference, for a count."""
        if self.lacking:
            return "lacks the entry that died"
        return f"asked again: {', '.join(sorted(self.again))}" if self.again else "same ids"


def ledger_of(world):
    """The ledger of a world at its end."""
    engine, exchange = world.life.engine, world.exchange
    asked = {fact.order.client_order_id: fact for fact in _submitting(world)}
    names = {txid: order.ticket.cl_ord_id for txid, order in exchange.orders.items()}
    children = Counter()
    orders = {}
    for txid, order in exchange.orders.items():
        name = names[txid]
        if order.parent is not None:
            children[order.parent] += 1
            name = f"{names[order.parent]}/{children[order.parent]}"
        assert order.parent is not None or name in asked, f"not on record: {name}"
        purpose = asked[name].order.purpose if order.parent is None else "attached"
        orders[name] = _placed(order, purpose, exchange)
    booked = {}
    for fill in world.life.books.fills.values():
        booked.setdefault(fill.client_order_id, []).append((fill.quantity, fill.price, fill.fee))
    return Ledger(
        orders=orders,
        booked={name: tuple(fills) for name, fills in booked.items()},
        balances=dict(engine.ledger.balances),
        theirs=_holdings(exchange),
        positions={symbol: world.held(symbol) for symbol in (BTC, XRP)},
        open=tuple(sorted(order.client_order_id for order in engine.orders)),
        decided={name: fact.decided_at for name, fact in asked.items()},
    )


def _placed(order, purpose, exchange):
    ticket = order.ticket
    fills = [exchange.trades[txid].fill for txid in order.trades]
    return Placed(
        purpose=purpose,
        symbol=ticket.listing.symbol,
        side=ticket.side,
        quantity=ticket.quantity,
        kind=ticket.kind,
        trigger=ticket.trigger,
        limit=ticket.limit,
        reduce_only=ticket.reduce_only,
        status=order.status,
        fills=tuple((fill.quantity, fill.price, fill.fee) for fill in fills),
    )


def _holdings(exchange):
    """Balances with the open margin positions in them."""
    held = {asset: Decimal(amount) for asset, amount in exchange.wallet.balances.items()}
    for symbol, lots in exchange.wallet.lots.items():
        for lot in lots:
            sign = lot.opened_by.side.sign
            for asset, amount in ((symbol.base, lot.open), (symbol.quote, -lot.cost)):
                held[asset] = EXACT.add(
                    held.get(asset, Decimal(0)), EXACT.multiply(Decimal(sign), amount)
                )
    return held


def _submitting(world):
    ours, _ = codecs()
    facts = (ours.decode(record.topic, record.body) for record in world.life.diary.records)
    return [fact for fact in facts if isinstance(fact, Submitting)]


@cache
def reference(*, attach, without=frozenset()):
    """The ledger of a life without a kill, and how many moments it has."""
    world = live_through(Fate(attach=attach, without=without))
    assert not world.deaths
    require_whole(world)
    return ledger_of(world), tuple(world.moments)


def moments_of(*, attach):
    """Every moment of the life without a kill, in its order."""
    return reference(attach=attach)[1]


def require_whole(world):
    """Here and there agree, and no position was ever naked for longer than it may be."""
    assert world.last.reconciled, world.last
    assert not world.last.differences, world.last
    found = ledger_of(world)
    for asset in found.balances.keys() | found.theirs.keys():
        assert found.balances.get(asset, 0) == found.theirs.get(asset, 0), found
    for span in world.spans:
        assert span.lasted <= world.settings.protection.deadline, span
        assert not world.fate.attach, span
    for death in world.deaths:
        assert not (world.fate.attach and death.naked), death


def converged(world):
    """How the world came to its reference.

    Raises:
        AssertionError: it did not.
    """
    require_whole(world)
    whole, _ = reference(attach=world.fate.attach)
    found = ledger_of(world)
    died_at = {death.at for death in world.deaths}
    lacking = frozenset(
        name for name in ENTRIES if id_of(name) in whole.orders.keys() - found.orders.keys()
    )
    assert len(lacking) <= len(died_at)
    assert {decided_at(name) for name in lacking} <= died_at, f"lacking, and nobody died: {lacking}"
    expected, _ = reference(attach=world.fate.attach, without=lacking)
    again = _asked_again(expected, found)
    assert {expected.decided[name] for name in again} <= died_at, f"again, and nobody died: {again}"
    assert renamed(expected, again) == found
    return Convergence(
        moment=", ".join(death.moment for death in world.deaths),
        lacking=lacking,
        again=frozenset(expected.orders[name].purpose for name in again),
    )


def _asked_again(expected, found):
    """Of each order of `expected` that never got there, the one that was asked for later."""
    left = {name: found.orders[name] for name in found.orders.keys() - expected.orders.keys()}
    again = {}
    for name in expected.orders.keys() - found.orders.keys():
        order = expected.orders[name]
        same = [other for other, placed in left.items() if placed == order]
        assert same, f"{name} is missing: {order}; there are {left}"
        again[name] = same[0]
        del left[same[0]]
        assert found.decided[same[0]] > expected.decided[name]
    assert not left, f"nobody asked for {left}"
    return again


def renamed(ledger, names):
    """The ledger, with these orders under other ids."""

    def under(each):
        return {names.get(name, name): value for name, value in each.items()}

    return replace(
        ledger,
        orders=under(ledger.orders),
        booked=under(ledger.booked),
        open=tuple(sorted(names.get(name, name) for name in ledger.open)),
    )

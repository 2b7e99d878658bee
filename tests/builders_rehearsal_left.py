"""Daemons that trade at a rehearsal exchange, and an audit of what they and it leave behind that
shares no code with `sextant audit`.
"""

import textwrap
from collections import Counter, defaultdict
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

from data.instrument import Side
from execution.fill import Fill
from execution.order import Submitting
from sextant.facts import RunStarted, rehearsal_codec
from sextant.rehearsal.account import Account, AccountChanged
from tests.builders_daemon import (
    EAGER,
    ROOT,
    Left,
    chains_hold,
    every_bar_is_seen_once,
    time_goes_forward,
)

SPEED = 120.0


def a_rehearsal(folder: Path, text: str = EAGER, **market: object) -> Path:
    """A configuration over config/rehearsal.toml that keeps its state in `folder`."""
    path = folder / "rehearsal.toml"
    keys = "".join(f"{key} = {value}\n" for key, value in ({"speed": SPEED} | market).items())
    path.write_text(
        f'extends = "{ROOT / "config" / "rehearsal.toml"}"\n'
        + textwrap.dedent(text)
        + f'[market]\n{keys}[storage]\nfolder = "{folder / "state"}"\n'
    )
    return path


def account_of(left: Left) -> Account:
    """The account at the exchange as its own journal has it."""
    codec, account = rehearsal_codec(), None
    for record in left.venue:
        fact = codec.decode(record.topic, record.body)
        assert isinstance(fact, AccountChanged)
        account = account or Account(at=fact.at, stamped=fact.stamped, counters=fact.counters)
        account.take(fact)
    assert account is not None
    return account


def rehearsal_flaws(left: Left) -> list[str]:
    """Everything that is wrong with what was left; empty if it is sound."""
    return [*record_flaws(left), *(f"stops: {flaw}" for flaw in stops_missing_there(left))]


def record_flaws(left: Left) -> list[str]:
    """The same, whatever stands at the exchange at this moment."""
    return [f"{check.__name__}: {flaw}" for check in CHECKS for flaw in check(left)]


def every_order_is_there_once(left: Left) -> Iterator[str]:
    """No id is submitted twice, none is at the exchange twice, and none there is not ours; but for
    liquidations, which are the exchange's."""
    ours = Counter(fact.order.client_order_id for fact in left.of(Submitting))
    orders = account_of(left).orders.values()
    placed = (order for order in orders if order.parent is None and not order.liquidates)
    theirs = Counter(order.ticket.cl_ord_id for order in placed)
    yield from (f"submitted twice: {i}" for i, n in ours.items() if n > 1)
    yield from (f"placed twice: {i}" for i, n in theirs.items() if n > 1)
    yield from (f"not ours: {i}" for i in theirs.keys() - ours.keys())


def every_trade_is_booked_once(left: Left) -> Iterator[str]:
    """What the exchange has filled is in our journal, once and as it was."""
    ours = Counter(_essence(fill.fill_id, fill) for fill in left.of(Fill))
    trades = account_of(left).trades.values()
    theirs = Counter(_essence(trade.txid, trade.fill) for trade in trades)
    yield from (f"not there: {fill}" for fill in ours - theirs)
    yield from (f"not here: {fill}" for fill in theirs - ours)


def _essence(txid: str, fill: Fill) -> tuple[object, ...]:
    return txid, fill.symbol, fill.side, fill.quantity, fill.price, fill.fee


def entries_make_the_balances(left: Left) -> Iterator[str]:
    """Each entry says what is left after it, from the first on."""
    balances: defaultdict[str, Decimal] = defaultdict(Decimal)
    for number, entry in enumerate(account_of(left).entries):
        balances[entry.asset] += entry.amount - entry.fee
        if balances[entry.asset] != entry.balance:
            yield f"{number}: {entry.balance} {entry.asset}, not {balances[entry.asset]}"


def stops_missing_there(left: Left) -> Iterator[str]:
    """Of each margin position at least its size waits at the exchange, to reduce it."""
    account = account_of(left)
    waiting: Counter[tuple[str, Side]] = Counter()
    for order in account.orders.values():
        kind = order.ticket.kind
        if order.is_open and kind.waits and not kind.takes_profit:
            key = (order.ticket.listing.symbol, order.ticket.side)
            waiting[key] += order.ticket.quantity - order.filled
    for symbol, lots in account.lots.items():
        for side in Side:
            held = sum((lot.open for lot in lots if lot.opened_by.side is side), Decimal(0))
            if held > waiting[symbol, side.opposite]:
                yield f"{symbol}: {held} held, stops for {waiting[symbol, side.opposite]}"


def the_account_is_opened_once(left: Left) -> Iterator[str]:
    """However often the daemon starts, the money comes once."""
    opening = [
        (entry.asset, entry.amount)
        for entry in account_of(left).entries
        if entry.kind == "deposit" and entry.amount
    ]
    if opening != [(asset, b) for asset, b in left.settings.account.balances.items() if b]:
        yield f"{opening}"
    if not left.of(RunStarted):
        yield "no run began"


CHECKS = (
    chains_hold,
    time_goes_forward,
    every_bar_is_seen_once,
    every_order_is_there_once,
    every_trade_is_booked_once,
    entries_make_the_balances,
    the_account_is_opened_once,
)

"""After every fill the books balance, to the last digit."""

from collections import defaultdict
from dataclasses import replace
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from execution.charge import Charge, ChargeKind
from execution.exact import EXACT
from execution.ledger import Ledger
from tests.builders_venue import BTC, CROSS, NOON, XRP, a_fill, an_instrument, instruments

SYMBOLS = (BTC, XRP, CROSS)
ASSETS = ("BTC", "XRP", "USDT", "EUR")
OPENING = {"USDT": Decimal(2100), "BTC": Decimal("0.05"), "EUR": Decimal(7)}


def decimals(low, high, places):
    return st.decimals(Decimal(low), Decimal(high), places=places)


quantities = st.one_of(
    decimals("-3", "3", 8).filter(bool), st.sampled_from([Decimal(1), Decimal(-1), Decimal(-2)])
)
fills = st.builds(
    lambda symbol, quantity, price, fee, asset: a_fill(
        0, quantity, price, symbol=symbol, fee=fee, fee_asset=asset
    ),
    st.sampled_from(SYMBOLS),
    quantities,
    decimals("0.00000001", "99999", 8),
    decimals("0", "0.01", 12),
    st.sampled_from(ASSETS),
)
sequences = st.lists(fills, min_size=1, max_size=25).map(
    lambda drawn: [replace(fill, fill_id=f"F-{n}") for n, fill in enumerate(drawn)]
)
charges = st.builds(
    lambda kind, asset, amount, symbol: Charge(
        charge_id="C", kind=kind, asset=asset, amount=amount, symbol=symbol, charged_at=NOON
    ),
    st.sampled_from(ChargeKind),
    st.sampled_from(ASSETS),
    decimals("-9", "9", 12),
    st.sampled_from((*SYMBOLS, None)),
)
mixed = st.lists(st.one_of(fills, charges), min_size=1, max_size=25).map(
    lambda drawn: [_numbered(fact, n) for n, fact in enumerate(drawn)]
)
marks = st.fixed_dictionaries({symbol: decimals("0.01", "99999", 8) for symbol in SYMBOLS})


def _numbered(fact, number):
    if isinstance(fact, Charge):
        return replace(fact, charge_id=f"C-{number}")
    return replace(fact, fill_id=f"F-{number}")


def take(ledger, fact):
    return ledger.charge(fact) if isinstance(fact, Charge) else ledger.book(fact)


def exact_sum(amounts):
    total = Decimal(0)
    for amount in amounts:
        total = EXACT.add(total, amount)
    return total


def position_value(ledger, symbol, price):
    return EXACT.multiply(ledger.held(symbol), price)


def balances_by_hand(done):
    balances = defaultdict(Decimal, OPENING)
    for fill in done:
        if isinstance(fill, Charge):
            balances[fill.asset] = EXACT.subtract(balances[fill.asset], fill.amount)
            continue
        change = fill.side.sign * fill.quantity
        paid = EXACT.multiply(change, fill.price)
        for asset, amount in (
            (fill.symbol.base, change),
            (fill.symbol.quote, -paid),
            (fill.fee_asset, -fill.fee),
        ):
            balances[asset] = EXACT.add(balances[asset], amount)
    return balances


def check_every_currency(ledger, prices):
    for asset in ASSETS:
        quoted = [s for s in SYMBOLS if s.quote == asset]
        values = [position_value(ledger, s, prices[s]) for s in quoted]
        unrealised = [
            EXACT.subtract(value, ledger.cost(s)) for s, value in zip(quoted, values, strict=True)
        ]
        left = exact_sum([ledger.cash.get(asset, Decimal(0)), *values])
        right = exact_sum(
            [
                OPENING.get(asset, Decimal(0)),
                ledger.realised.get(asset, Decimal(0)),
                *unrealised,
                EXACT.minus(ledger.fees.get(asset, Decimal(0))),
                EXACT.minus(ledger.charges.get(asset, Decimal(0))),
            ]
        )
        assert left == right, asset


@given(sequence=mixed, prices=marks)
@settings(max_examples=150, deadline=None)
def test_cash_and_positions_are_opening_balance_and_profit_less_costs(sequence, prices):
    ledger = Ledger("USDT", OPENING, instruments())
    for done, fact in enumerate(sequence, start=1):
        take(ledger, fact)
        check_every_currency(ledger, prices)
        by_hand = balances_by_hand(sequence[:done])
        assert {a: ledger.balances.get(a, Decimal(0)) for a in ASSETS} == {
            a: by_hand[a] for a in ASSETS
        }


@given(sequence=sequences, prices=marks)
@settings(max_examples=100, deadline=None)
def test_equity_is_the_sum_of_its_parts_and_never_out_of_date(sequence, prices):
    currency_of = {"USDT": Decimal(1), "BTC": prices[BTC], "XRP": prices[XRP]}
    ledger = Ledger("USDT", {"USDT": Decimal(2100)}, instruments())
    for symbol, price in prices.items():
        ledger.mark(symbol, price, NOON)
    for fill in sequence:
        assert ledger.equity is not None
        ledger.book(replace(fill, fee_asset=fill.symbol.quote))
        parts = [EXACT.multiply(v, currency_of[a]) for a, v in ledger.cash.items()]
        parts += [
            EXACT.multiply(position_value(ledger, s, prices[s]), currency_of[s.quote])
            for s in SYMBOLS
        ]
        assert ledger.equity == exact_sum(parts)


@given(sequence=sequences)
@settings(max_examples=100, deadline=None)
def test_closed_trades_add_up_to_what_was_realised_less_fees(sequence):
    """One symbol, closed at the end, and nothing is dust: every amount belongs to one trade."""
    dustless = {BTC: an_instrument(BTC, "0.01", "0.00000001", "0.00000001", "0")}
    ledger = Ledger("USDT", OPENING, dustless)
    fills = [replace(fill, symbol=BTC, fee_asset="USDT") for fill in sequence]
    trades = [ledger.book(fill) for fill in fills]
    if ledger.held(BTC):
        trades.append(ledger.book(a_fill("end", -ledger.held(BTC), "17.3", fee="0.1")))
    pnl = exact_sum(trade.pnl for trade in trades if trade is not None)
    assert pnl == EXACT.subtract(ledger.realised["USDT"], ledger.fees["USDT"])


@given(sequence=mixed, doubled=st.data())
@settings(max_examples=100, deadline=None)
def test_the_same_facts_make_the_same_book(sequence, doubled):
    """Replayed in order, with any of them booked twice."""
    once, again = (Ledger("USDT", OPENING, instruments()) for _ in range(2))
    came = [take(once, fact) for fact in sequence]
    came_again = []
    for fact in sequence:
        came_again.append(take(again, fact))
        assert not take(again, doubled.draw(st.sampled_from(sequence[: len(came_again)])))
    assert came == came_again
    for name in ("balances", "cash", "fees", "charges", "realised"):
        assert getattr(once, name) == getattr(again, name)
    assert once.account(as_of=NOON) == again.account(as_of=NOON)

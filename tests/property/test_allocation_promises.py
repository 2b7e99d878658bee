"""What no rebalance and no hodl bag may ever do."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from agents.allocation import (
    Holdings,
    after,
    allocation_intent,
    drifts,
    equal_targets,
    resized,
    trades_to_target,
)
from agents.hodl import HodlState, after_trade, ended, purchase_due, purchased, split
from agents.rebalancing import RebalanceState, batches, step
from data.account import Holding
from data.instrument import Quantity, Side
from risk.approval import ApprovedOrder, judge
from risk.intent import Purpose
from sextant.journal.codec import Codec
from tests.builders_allocation import (
    HOUR,
    INSTRUMENTS,
    TARGETS,
    a_profit,
    hodl_settings,
    settings_with,
)
from tests.builders_risk import a_market, a_state, an_account, limits_with
from tests.builders_venue import BTC, CROSS, NOON, XRP

ANY_TRADE = Decimal("0.00000001")
NONE = Decimal(0)


def decimals(low, high, places):
    return st.decimals(Decimal(low), Decimal(high), places=places)


books = st.builds(
    lambda btc, xrp, usdt, bitcoin, ripple: Holdings(
        quantities={"BTC": btc, "XRP": xrp, "USDT": usdt},
        prices={"BTC": bitcoin, "XRP": ripple, "USDT": Decimal(1)},
    ),
    decimals("0", "3", 8),
    decimals("0", "90000", 5),
    decimals("0", "60000", 2),
    decimals("5000", "120000", 2),
    decimals("0.1", "4", 5),
)
pairs = st.sampled_from([(BTC, XRP, CROSS), (BTC, XRP), (BTC, CROSS), (XRP, CROSS)])


def instruments_of(symbols):
    return {symbol: INSTRUMENTS[symbol] for symbol in symbols}


@given(count=st.integers(2, 40))
@settings(max_examples=40, deadline=None)
def test_targets_are_everything(count):
    assert sum(t.share for t in equal_targets([f"A{n}" for n in range(count)])) == 1


@given(book=books, symbols=st.sampled_from([(BTC, XRP, CROSS), (BTC, XRP)]))
@settings(max_examples=150, deadline=None)
def test_after_its_trades_every_asset_is_within_a_lot_of_its_target(book, symbols):
    offered = {
        symbol: replace(
            INSTRUMENTS[symbol], min_quantity=INSTRUMENTS[symbol].lot, min_notional=NONE
        )
        for symbol in symbols
    }
    found = trades_to_target(book, TARGETS, offered, min_trade=ANY_TRADE)
    left = after(book, found)
    lots = sum(offered[symbol].lot * book.prices[symbol.base] for symbol in symbols)
    assert all(drift.size * left.total < lots for drift in drifts(left, TARGETS))


@given(book=books)
@settings(max_examples=150, deadline=None)
def test_what_no_venue_takes_is_all_that_is_left_over(book):
    found = trades_to_target(book, TARGETS, INSTRUMENTS, min_trade=ANY_TRADE)
    left = after(book, found)
    smallest = sum(
        max(i.min_quantity, i.min_notional / book.price(i.symbol)) * book.prices[i.symbol.base]
        + i.lot * book.prices[i.symbol.base]
        for i in INSTRUMENTS.values()
    )
    assert all(drift.size * left.total <= smallest for drift in drifts(left, TARGETS))


@given(book=books, symbols=pairs)
@settings(max_examples=150, deadline=None)
def test_sells_precede_buys_and_can_be_paid_for_one_after_the_other(book, symbols):
    found = trades_to_target(book, TARGETS, instruments_of(symbols), min_trade=ANY_TRADE)
    sides = [trade.side for trade in found]
    assert sides == sorted(sides, key=lambda side: side is Side.BUY)
    assert len({trade.symbol for trade in found}) == len(found)
    total = sum(trade.value for trade in found)
    excess = sum(max(d.share - d.target, Decimal(0)) for d in drifts(book, TARGETS)) * book.total
    assert total <= 2 * excess + Decimal("0.01")
    if symbols == (BTC, XRP, CROSS):
        assert total <= excess + Decimal("0.01")  # no road moves less
    for trade in found:
        book = after(book, [trade])  # raises where something would go below zero


@given(book=books, most=st.integers(1, 8))
@settings(max_examples=150, deadline=None)
def test_batches_sum_to_the_whole(book, most):
    numbers = settings_with(batches=most, batch_interval="PT1H")
    trades = trades_to_target(book, TARGETS, INSTRUMENTS, min_trade=numbers.min_trade)
    found = batches(trades, INSTRUMENTS, numbers, NOON)
    assert len(found) <= most
    for trade in trades:
        parts = [t for batch in found for t in batch.trades if t.symbol == trade.symbol]
        assert sum(t.quantity for t in parts) == trade.quantity
        assert all(t.side is trade.side for t in parts)
        assert parts[0].quantity >= parts[-1].quantity
        for part in parts:
            assert not INSTRUMENTS[part.symbol].is_dust(part.quantity, part.price)
            assert part.value >= numbers.min_trade or len(parts) == 1


@given(
    book=books,
    moves=st.lists(
        st.tuples(st.integers(1, 30), decimals("0.8", "1.25", 2), st.booleans()), max_size=12
    ),
)
@settings(max_examples=60, deadline=None)
def test_a_restart_at_any_moment_asks_for_the_same_batches(book, moves):
    """And asking never goes past a target, nor for two batches within their interval."""
    codec, numbers = Codec({"rebalance": RebalanceState}), settings_with()
    state, at, asked = RebalanceState(), NOON, []
    for hours, change, restarts in moves:
        at += hours * HOUR
        book = Holdings(
            quantities=book.quantities, prices={**book.prices, "XRP": book.prices["XRP"] * change}
        )
        found = step(state, book, TARGETS, INSTRUMENTS, numbers, now=at)
        if restarts:
            state = codec.decode(*codec.encode(state))
            assert step(state, book, TARGETS, INSTRUMENTS, numbers, now=at) == found
        state = found.state
        if found.due is None:
            continue
        asked.append((at, found.due.planned_at))
        wanted = trades_to_target(book, TARGETS, INSTRUMENTS, min_trade=numbers.min_trade)
        largest = {(t.symbol, t.side): t.quantity for t in wanted}
        assert all(t.quantity <= largest[t.symbol, t.side] for t in found.due.trades)
        book = after(book, found.due.trades)
    times = [when for when, _ in asked]
    assert len({plan for _, plan in asked}) == len(asked)
    assert all(b - a >= numbers.batch_interval for a, b in pairwise(times))


steps = st.lists(
    st.one_of(
        decimals("-500", "30000", 2),
        st.sampled_from(["buy", "miss"]),
    ),
    min_size=1,
    max_size=25,
)


@given(taken=steps)
@settings(max_examples=100, deadline=None)
def test_bags_only_grow_and_nothing_set_aside_is_lost(taken):
    numbers, state, at = hodl_settings(), HodlState(), NOON
    prices = {"BTC": Decimal(40000), "XRP": Decimal("0.5"), "USDT": Decimal(1)}
    days = {}
    for what in taken:
        at += timedelta(hours=3)
        before = {asset: bag.quantity for asset, bag in state.bags.items()}
        if isinstance(what, Decimal):
            state = after_trade(state, a_profit(what, at), numbers)
            if state.day is not None:
                days[state.day] = state.set_aside
        else:
            state, purchase = purchase_due(state, prices, INSTRUMENTS, numbers, now=at)
            if purchase is not None:
                assert purchase.trade.side is Side.BUY
                if what == "buy":
                    state = purchased(
                        state, purchase.asset, purchase.trade.quantity, purchase.trade.value
                    )
                state = ended(
                    state, purchase.asset, has_bought=what == "buy", settings=numbers, now=at
                )
        assert all(state.bag(asset).quantity >= quantity for asset, quantity in before.items())
        assert all(bag.waiting >= 0 for bag in state.bags.values())
    assert sum(b.waiting + b.cost for b in state.bags.values()) == sum(days.values())
    assert all(amount <= numbers.max_a_day for amount in days.values())


@given(amount=decimals("0.0001", "5000", 4))
@settings(max_examples=100, deadline=None)
def test_a_split_is_the_whole(amount):
    parts = split(amount, hodl_settings())
    assert sum(parts.values()) == amount
    assert all(part >= 0 for part in parts.values())


GATE = {
    "allowed_symbols": [BTC, XRP, CROSS],
    "allocation": {
        "targets": {target.asset: str(target.share) for target in TARGETS},
        "max_order": "1000000",
        "max_slippage": "0.005",
        "max_cost": "0.0075",
    },
}


def judged_at_marks(book, trade, planned_at, now):
    """What the gate says of one trade of a plan."""
    instrument = INSTRUMENTS[trade.symbol]
    intent = allocation_intent(
        "allocation",
        trade,
        instrument,
        purpose=Purpose.ALLOCATION,
        planned_at=planned_at,
        decided_at=now,
        max_slippage=Decimal("0.005"),
    )
    found = tuple(
        Holding(asset=asset, quantity=quantity, value=book.value(asset))
        for asset, quantity in book.quantities.items()
    )
    return judge(
        intent,
        account=an_account("1000", as_of=now, holdings=found),
        market=a_market(
            instrument=instrument,
            price=trade.price,
            priced_at=now,
            rate=book.prices[trade.symbol.quote],
        ),
        state=a_state("1000", at=now),
        limits=limits_with(**GATE),
        now=now,
    )


@pytest.mark.req("S0-1", "S0-2")
@given(book=books)
@settings(max_examples=60, deadline=None)
def test_the_gate_lets_a_rebalance_through_batch_by_batch(book):
    """Sells before buys: each trade is judged by what those before it have brought."""
    assume(book.total > 3000)  # beside which the smallest trades are nothing
    numbers, state, now = settings_with(batch_interval="PT1H"), RebalanceState(), NOON
    drifted = [drift.size for drift in drifts(book, TARGETS)]
    began = False
    for _ in range(numbers.batches):
        found = step(state, book, TARGETS, INSTRUMENTS, numbers, now=now)
        state, began = found.state, began or found.due is not None
        for trade in found.due.trades if found.due is not None else ():
            verdict = judged_at_marks(book, trade, found.due.planned_at, now)
            assert isinstance(verdict, ApprovedOrder), verdict
            assert {o.rule for o in verdict.reductions} <= {"exchange_funds"}  # the fee is kept
            book = after(book, [resized(trade, Quantity(abs(verdict.quantity)))])
        now += numbers.batch_interval
    assert not state.pending
    if began:
        left = max(drift.size for drift in drifts(book, TARGETS))
        assert left < min(max(drifted), Decimal("0.02"))

"""When a rebalance begins, in which batches it is worked off, and what a restart changes."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from agents.allocation import DriftLevel, trades_to_target
from agents.rebalancing import Batch, RebalanceState, batches, step
from data.instrument import Side
from sextant.journal.codec import Codec
from tests.builders_allocation import (
    HOUR,
    INSTRUMENTS,
    PRICES,
    TARGETS,
    holdings_worth,
    settings_with,
)
from tests.builders_venue import BTC, CROSS, NOON, XRP

FRESH = RebalanceState()
DRIFTED = holdings_worth(btc=1000, xrp=1000, usdt=1300)
BALANCED = holdings_worth(btc=1000, xrp=1000, usdt=1000)


def look(state, holdings, at=NOON, **changes):
    return step(state, holdings, TARGETS, INSTRUMENTS, settings_with(**changes), now=at)


def asked(found):
    return [(t.symbol, t.side) for t in found.due.trades] if found.due is not None else None


@pytest.mark.parametrize(
    ("usdt", "begins"),
    [
        pytest.param("1241", False, id="just below 5 points"),
        pytest.param("1300", True, id="beyond"),
    ],
)
def test_drift_begins_a_rebalance(usdt, begins):
    found = look(FRESH, holdings_worth(btc=1000, xrp=1000, usdt=usdt))
    assert (found.due is not None) is begins
    assert (found.state is FRESH) is not begins


@pytest.mark.parametrize(
    ("age", "begins"),
    [
        pytest.param(24 * HOUR, True, id="a day after"),
        pytest.param(24 * HOUR - timedelta(microseconds=1), False, id="just before"),
    ],
)
def test_a_day_lies_between_two_rebalances(age, begins):
    state = RebalanceState(began_at=NOON - age)
    critical = holdings_worth(usdt=3000)
    found = look(state, critical)
    assert found.level is DriftLevel.CRITICAL
    assert (found.due is not None) is begins


def test_a_small_rebalance_is_one_batch():
    found = look(FRESH, DRIFTED)
    assert asked(found) == [(BTC, Side.BUY), (XRP, Side.BUY)]
    assert found.state == RebalanceState(began_at=NOON, not_before=NOON + 4 * HOUR, pending=())


def test_a_large_one_is_six_four_hours_apart():
    state, holdings, taken = FRESH, holdings_worth(usdt=30000), []
    for hour in range(30):
        found = look(state, holdings, NOON + hour * HOUR)
        state = found.state
        if found.due is not None:
            taken.append((hour, [t.quantity for t in found.due.trades]))
    btc, xrp = Decimal("0.0416"), Decimal(3333)
    assert taken[0] == (0, [Decimal("0.2499") - 5 * btc, Decimal(19998) - 5 * xrp])
    assert taken[1:6] == [(hour, [btc, xrp]) for hour in (4, 8, 12, 16, 20)]
    assert taken[6][0] == 24  # nothing has filled: a day after its beginning it begins again


@pytest.mark.parametrize(
    ("above", "count"),
    [pytest.param("195.49", 6, id="above"), pytest.param("195.5", 1, id="not above")],
)
def test_only_a_large_turnover_is_cut(above, count):
    trades = trades_to_target(DRIFTED, TARGETS, INSTRUMENTS, min_trade=Decimal(10))
    assert len(batches(trades, INSTRUMENTS, settings_with(batch_above=above), NOON)) == count


def test_no_part_is_smaller_than_a_trade_may_be():
    trades = trades_to_target(
        holdings_worth(btc=1045, xrp=2000, usdt=1000), TARGETS, INSTRUMENTS, min_trade=Decimal(10)
    )
    found = batches(trades, INSTRUMENTS, settings_with(batch_above="1"), NOON)
    assert all(t.value >= 10 for batch in found for t in batch.trades)
    assert [len(batch.trades) for batch in found] == [2, 2, 2, 2, 2, 2]


def test_in_every_batch_sells_come_first():
    trades = trades_to_target(
        holdings_worth(btc=2000, xrp=300, usdt=700), TARGETS, INSTRUMENTS, min_trade=Decimal(10)
    )
    assert {t.symbol for t in trades} == {BTC, CROSS}
    for batch in batches(trades, INSTRUMENTS, settings_with(), NOON):
        sides = [t.side for t in batch.trades]
        assert sides == sorted(sides, key=lambda side: side is Side.BUY)


def test_what_was_missed_does_not_come_all_at_once():
    state = look(FRESH, holdings_worth(usdt=30000)).state
    late = NOON + 13 * HOUR
    first = look(state, holdings_worth(usdt=30000), late)
    assert first.due is not None
    assert first.due.planned_at == NOON + 4 * HOUR
    again = look(first.state, holdings_worth(usdt=30000), late + HOUR)
    assert again.due is None
    assert again.state is first.state
    assert look(first.state, holdings_worth(usdt=30000), late + 4 * HOUR).due is not None


def test_a_batch_asks_for_no_more_than_is_still_wanted():
    state = look(FRESH, holdings_worth(usdt=30000)).state
    risen = {**PRICES, "XRP": Decimal(1)}
    nearly = holdings_worth(btc=1000, xrp=9900, usdt=19100, prices=risen)
    found = look(state, nearly, NOON + 4 * HOUR)
    assert {t.symbol: t.quantity for t in found.due.trades} == {
        BTC: Decimal("0.0416"),
        XRP: Decimal(99),
    }


def test_a_batch_that_nothing_wants_any_more_asks_for_nothing():
    state = look(FRESH, holdings_worth(usdt=30000)).state
    found = look(state, BALANCED, NOON + 4 * HOUR)
    assert found.due is not None
    assert found.due.trades == ()
    assert len(found.state.pending) == 4


def test_a_look_that_leads_to_nothing_changes_nothing():
    found = look(FRESH, BALANCED)
    assert found.state is FRESH
    assert found.due is None
    assert found.level is DriftLevel.CALM


def test_drift_without_a_trade_worth_its_while_begins_nothing():
    found = look(FRESH, holdings_worth(usdt=20), min_trade="15")
    assert found.level is DriftLevel.CRITICAL
    assert found.state is FRESH


def test_a_restart_goes_on_where_the_journal_ends():
    """After a crash between the orders and the state, the same batch is asked for again."""
    codec = Codec({"rebalance": RebalanceState})
    begun = look(FRESH, holdings_worth(usdt=30000)).state
    topic, body = codec.encode(begun)
    restored = codec.decode(topic, body)
    assert restored == begun
    at = NOON + 4 * HOUR
    once, again = (look(s, holdings_worth(usdt=30000), at) for s in (begun, restored))
    assert once == again
    assert once.due.planned_at == at


def test_every_batch_has_a_name_of_its_own():
    first = look(FRESH, holdings_worth(usdt=30000))
    names = [first.due.planned_at, *(batch.planned_at for batch in first.state.pending)]
    assert len(set(names)) == 6
    assert max(names) < NOON + 24 * HOUR
    assert isinstance(first.due, Batch)
    assert replace(first.due, trades=()) != first.due

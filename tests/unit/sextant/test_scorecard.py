"""What is counted while bars go by, and what the summary makes of it."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from data.instrument import Side
from execution.charge import Charge, ChargeKind
from risk.intent import Direction, Purpose
from sextant.evaluation.counterfactual import MANY
from sextant.evaluation.scorecard import LISTED
from tests.builders_evaluation import (
    BTC,
    START,
    XRP,
    a_bar,
    a_fill,
    a_scorecard,
    a_summary,
    a_trade,
    a_veto,
    a_vote,
)


def test_bars_are_counted_and_marked():
    card = a_scorecard()
    for index, equity in enumerate(["100", None, "90"]):
        money = Decimal(equity) if equity is not None else None
        card.see(a_bar(index, 100 + index), money)
    assert (card.bars, card.first_bar, card.last_bar) == (3, START, START + timedelta(minutes=2))
    assert card.equity.max_drawdown == pytest.approx(0.1)
    assert card.prices[BTC].newest.close == 102


@pytest.mark.req("S0-43", "S1-174")
@pytest.mark.parametrize(
    ("came", "presence"),
    [
        pytest.param({BTC: []}, None, id="nothing"),
        pytest.param({BTC: [0, 1, 2, 3]}, 1.0, id="all"),
        pytest.param({BTC: [0, 3]}, 0.5, id="a hole"),
        pytest.param({BTC: [0, 1, 2, 3], XRP: [2, 3]}, 1.0, id="a symbol that began later"),
        pytest.param({BTC: [0, 1, 1, 1]}, 1.0, id="repeats are no more than all"),
    ],
)
def test_presence_is_the_share_of_due_bars(came, presence):
    card = a_scorecard()
    for symbol, indices in came.items():
        for index in indices:
            card.see(a_bar(index, symbol=symbol), None)
    assert card.presence == presence


def test_charges_add_up_in_the_currency_of_the_account():
    card = a_scorecard()
    for amount, rate in (("3", "1"), ("-0.5", "2"), ("9", None)):
        charge = Charge(
            charge_id=amount,
            kind=ChargeKind.FUNDING,
            asset="USDT",
            amount=Decimal(amount),
            symbol=BTC,
            charged_at=START,
        )
        card.charge(charge, Decimal(rate) if rate else None)
    assert (card.charged, card.unvalued) == (2.0, 1)
    assert a_summary(card).trading.charged == 2.0


@pytest.mark.req("S1-191")
def test_fills_add_to_turnover_in_the_currency_of_the_account():
    card = a_scorecard()
    card.see(a_bar(0), Decimal(1_000))
    card.fill(a_fill(Side.BUY, "2", "100"), Decimal(1))
    card.fill(a_fill(Side.SELL, "1000", "0.00002"), Decimal(40_000))
    card.fill(a_fill(Side.SELL), None)
    assert (card.buys, card.sells, card.unvalued) == (1, 2, 1)
    assert a_summary(card).trading.turnover == pytest.approx(1.0)


@pytest.mark.req("S0-42", "S1-190", "S1-193")
def test_closed_trades():
    card = a_scorecard()
    for pnl in ("30", "10", "-10", "0"):
        card.close(a_trade(pnl, fees="2.5"))
    card.close(a_trade(None))
    trading = a_summary(card).trading
    assert (trading.trades, trading.unvalued) == (5, 1)
    assert trading.hit_rate == 0.4
    assert trading.profit_factor == 4.0
    assert trading.win_loss_ratio == 2.0  # 20 a win, 10 a loss
    assert trading.cost_share == 0.25  # 10 of the 40 before fees


def test_lists_of_fills_and_trades_are_bounded():
    card = a_scorecard()
    for index in range(LISTED + 5):
        card.fill(a_fill(price=str(index + 1)), Decimal(1))
    assert len(card.fills) == LISTED
    assert (card.fills[-1].price, card.buys) == (LISTED + 5, LISTED + 5)


def test_a_veto_counts_under_every_rule_that_objected():
    card = a_scorecard()
    card.verdicts.reject(a_veto("drawdown", "leverage"))
    card.verdicts.reject(a_veto("drawdown"))
    gate = a_summary(card).gate
    assert gate.vetoes == 2
    assert list(gate.rejections.items()) == [("drawdown", 2), ("leverage", 1)]


WISH = a_veto("any").intent
EXIT = replace(WISH, purpose=Purpose.EXIT, direction=Direction.CLOSE)
STOP = replace(WISH, purpose=Purpose.PROTECTION, direction=Direction.CLOSE)


def decide(card, intent=None, *ballots, desk="desk"):
    card.decided(desk, BTC, Decimal(100), ballots, intent)


def objections(*rules):
    return a_veto(*rules).objections


@pytest.mark.req("S2-47")
def test_every_deliberation_counts_whatever_it_came_to():
    card = a_scorecard()
    decide(card)
    decide(card, WISH, a_vote())
    assert (card.decisions, card.verdicts.intents) == (2, 1)
    assert card.seats.by_voter["gpt"].votes.total() == 1


@pytest.mark.req("S1-223")
def test_each_desk_has_its_own_count():
    card = a_scorecard()
    decide(card)
    decide(card, WISH)
    decide(card, desk="other")
    card.verdicts.approve(WISH, ())
    card.verdicts.reject(replace(a_veto("trend"), intent=EXIT))
    counts = {d.strategy_id: (d.decisions, d.intents) for d in a_summary(card).gate.desks}
    assert counts == {"desk": (2, 1), "other": (1, 0)}
    ours = a_summary(card).gate.desks[0]
    assert (ours.approved, ours.vetoed) == (1, 1)


def test_what_protection_asks_for_is_no_wish_of_the_desk():
    card = a_scorecard()
    card.verdicts.approve(STOP, ())
    card.verdicts.reject(replace(a_veto("reconciled"), intent=STOP))
    assert a_summary(card).gate.desks == ()
    assert a_summary(card).gate.vetoes == 1


@pytest.mark.req("S1-125", "S1-126")
def test_what_went_through_against_a_shadowed_rule_stands_beside_what_others_vetoed():
    card = a_scorecard(horizon=2)
    card.verdicts.approve(WISH, objections("trend"))
    card.verdicts.reject(a_veto("trend", "kelly"))
    card.see(a_bar(1, 100), None)
    card.see(a_bar(2, 111), None)  # the target, 110, is 2 R away
    rows = {(row.rule, row.shadow): row for row in a_summary(card).gate.rules}
    assert list(rows) == [("kelly", False), ("trend", False), ("trend", True)]
    for key, alone in (("trend", True), 1), (("trend", False), 0), (("kelly", False), 0):
        row = rows[key]
        assert (row.vetoes, row.alone, row.trades, row.won) == (1, alone, 1, 1.0)
        assert row.total_r == pytest.approx(2.2)


def test_shadowed_objections_to_a_vetoed_entry_are_not_taken_for_passed():
    card = a_scorecard()
    card.verdicts.reject(replace(a_veto("kelly"), shadowed=objections("trend")))
    assert [(row.rule, row.shadow) for row in a_summary(card).gate.rules] == [("kelly", False)]


@pytest.mark.req("S1-196")
def test_days_of_many_vetoes_are_held_against_the_others():
    card = a_scorecard()
    for day, (equity, vetoes) in enumerate([(1000, 0), (900, MANY + 1), (990, MANY)]):
        card.see(a_bar(day * 1440), Decimal(equity))
        for _ in range(vetoes):
            at = START + timedelta(days=day)
            card.verdicts.reject(replace(a_veto("trend"), intent=replace(WISH, decided_at=at)))
    summary = a_summary(card)
    assert [(d.vetoes, d.rejections) for d in summary.gate.days] == [
        (0, {}),
        (MANY + 1, {"trend": MANY + 1}),
        (MANY, {"trend": MANY}),
    ]
    assert (summary.gate.busy_days.count, summary.gate.other_days.count) == (1, 2)
    assert summary.gate.busy_days.mean_change == pytest.approx(-0.1)
    assert summary.gate.other_days.mean_change == pytest.approx(0.05)


def test_second_looks_are_counted():
    card = a_scorecard()
    verdicts = card.verdicts
    for intent, approved in ((WISH, True), (WISH, False), (None, False)):
        verdicts.send_back(a_veto("stop_distance"))
        verdicts.ask_again(intent, approved=approved)
    for end in ("denied", "consented", "denied"):
        verdicts.refer(a_veto("referral"))
        verdicts.end_referral(end)
    gate = a_summary(card).gate
    assert (gate.revisions, gate.asked_again, gate.approved_again) == (3, 2, 1)
    assert (gate.referrals, gate.referral_ends) == (3, {"denied": 2, "consented": 1})
    assert (gate.desks[0].sent_back, gate.desks[0].referred) == (3, 3)


@pytest.mark.req("S1-192", "S1-194")
def test_numbers_a_day_and_what_worse_fills_would_leave():
    card = a_scorecard()
    card.see(a_bar(0), Decimal(1_000))
    card.fill(a_fill(Side.BUY, "10", "100"), Decimal(1))
    card.close(a_trade("10"))
    card.see(a_bar(2 * 1440), Decimal(1_010))
    summary = a_summary(card)
    assert summary.trading.trades_per_day == 0.5
    assert summary.trading.turnover_per_day == pytest.approx(0.5)
    assert summary.returns.return_if_worse == pytest.approx({5: 0.0095, 10: 0.009, 25: 0.0075})


def test_a_run_of_an_hour_says_nothing_about_days_and_years():
    card = a_scorecard()
    card.see(a_bar(0), Decimal(1_000))
    card.see(a_bar(60), Decimal(1_010))
    summary = a_summary(card)
    assert (summary.trading.trades_per_day, summary.trading.turnover_per_day) == (None, None)
    assert summary.returns.annual_return is None
    assert summary.returns.total_return == pytest.approx(0.01)


def test_a_run_without_a_bar_has_a_summary():
    summary = a_summary(a_scorecard(), equity=None)
    assert (summary.bars, summary.first_bar, summary.equity_end) == (0, None, None)
    assert (summary.trading.turnover, summary.trading.hit_rate) == (None, None)
    assert summary.returns.total_return is None
    assert summary.returns.return_if_worse == {}


def test_the_last_figure_is_the_ledgers_own():
    exact = Decimal("9820.820794927830415664")
    assert a_summary(a_scorecard(), equity=str(exact)).equity_end == exact

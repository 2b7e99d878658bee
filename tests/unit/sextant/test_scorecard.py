"""What is counted while bars go by, and what the summary makes of it."""

from datetime import timedelta
from decimal import Decimal

import pytest

from data.instrument import Side
from risk.approval import Rejection
from risk.objection import Objection
from sextant.evaluation.scorecard import LISTED
from tests.builders_evaluation import (
    BTC,
    START,
    XRP,
    a_bar,
    a_deliberation,
    a_fill,
    a_scorecard,
    a_sighting,
    a_summary,
    a_trade,
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


@pytest.mark.req("S1-191")
def test_fills_add_to_turnover_in_the_currency_of_the_account():
    card = a_scorecard()
    card.see(a_bar(0), Decimal(1_000))
    card.fill(a_fill(Side.BUY, "2", "100"), Decimal(1))
    card.fill(a_fill(Side.SELL, "1000", "0.00002"), Decimal(40_000))
    card.fill(a_fill(Side.SELL), None)
    assert (card.buys, card.sells, card.unvalued) == (1, 2, 1)
    assert a_summary(card).turnover == pytest.approx(1.0)


@pytest.mark.req("S0-42", "S1-190", "S1-193")
def test_closed_trades():
    card = a_scorecard()
    for pnl in ("30", "10", "-10", "0"):
        card.close(a_trade(pnl, fees="2.5"))
    card.close(a_trade(None))
    summary = a_summary(card)
    assert (summary.trades, summary.unvalued) == (5, 1)
    assert summary.hit_rate == 0.4
    assert summary.profit_factor == 4.0
    assert summary.win_loss_ratio == 2.0  # 20 a win, 10 a loss
    assert summary.cost_share == 0.25  # 10 of the 40 before fees


def test_lists_of_fills_and_trades_are_bounded():
    card = a_scorecard()
    for index in range(LISTED + 5):
        card.fill(a_fill(price=str(index + 1)), Decimal(1))
    assert len(card.fills) == LISTED
    assert (card.fills[-1].price, card.buys) == (LISTED + 5, LISTED + 5)


def test_a_veto_counts_under_every_rule_that_objected():
    card = a_scorecard()
    objections = [
        Objection(rule=rule, observed="1", limit="0", unit="of equity")
        for rule in ("drawdown", "leverage")
    ]
    card.reject(
        Rejection(intent=None, objections=tuple(objections), shadowed=(), rejected_at=START)
    )
    card.reject(
        Rejection(intent=None, objections=tuple(objections[:1]), shadowed=(), rejected_at=START)
    )
    summary = a_summary(card)
    assert summary.vetoes == 2
    assert list(summary.rejections.items()) == [("drawdown", 2), ("leverage", 1)]


@pytest.mark.req("S2-47")
def test_every_deliberation_counts_whatever_it_came_to():
    card = a_scorecard()
    bar = a_bar(0)
    card.count(a_sighting(bar), a_deliberation())
    card.count(a_sighting(bar), a_deliberation(a_vote(), intent=object()))
    assert (card.decisions, card.intents) == (2, 1)
    assert card.seats.by_voter["gpt"].votes.total() == 1


@pytest.mark.req("S1-192", "S1-194")
def test_numbers_a_day_and_what_worse_fills_would_leave():
    card = a_scorecard()
    card.see(a_bar(0), Decimal(1_000))
    card.fill(a_fill(Side.BUY, "10", "100"), Decimal(1))
    card.close(a_trade("10"))
    card.see(a_bar(2 * 1440), Decimal(1_010))
    summary = a_summary(card)
    assert summary.trades_per_day == 0.5
    assert summary.turnover_per_day == pytest.approx(0.5)
    assert summary.return_if_worse == pytest.approx({5: 0.0095, 10: 0.009, 25: 0.0075})


def test_a_run_of_an_hour_says_nothing_about_days_and_years():
    card = a_scorecard()
    card.see(a_bar(0), Decimal(1_000))
    card.see(a_bar(60), Decimal(1_010))
    summary = a_summary(card)
    assert (summary.trades_per_day, summary.turnover_per_day, summary.annual_return) == (None,) * 3
    assert summary.total_return == pytest.approx(0.01)


def test_a_run_without_a_bar_has_a_summary():
    summary = a_summary(a_scorecard(), equity=None)
    assert (summary.bars, summary.first_bar, summary.equity_end) == (0, None, None)
    assert (summary.total_return, summary.turnover, summary.hit_rate) == (None,) * 3
    assert summary.return_if_worse == {}


def test_the_last_figure_is_the_ledgers_own():
    exact = Decimal("9820.820794927830415664")
    assert a_summary(a_scorecard(), equity=str(exact)).equity_end == exact

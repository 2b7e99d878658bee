"""What the end of a journal says of where the last run stopped."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from agents.baseline_strategy import SeededRandomSettings
from data.bar import Bar, Timeframe
from data.instrument import Notional, Price, Quantity, Symbol
from data.news_window import NewsWindow
from data.quality import Flaw, FlawKind
from risk.breaker import initial_state
from sextant.facts import BarSeen, DecisionFailed, DecisionSkipped, FlawsSeen, ModelCosts
from sextant.outside import Outside
from sextant.recovery import Recollection
from sextant.settings import DeskSettings

BTC = Symbol("BTC/USDT")
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
CHANCE = SeededRandomSettings(
    kind="seeded_random", seed=1, quantity="1", stop_distance="0.01", confidence=0.9
)


def a_desk(timeframe=Timeframe.M1, symbol=BTC):
    return DeskSettings(
        strategy_id="chance", instruments=(symbol,), timeframe=timeframe, strategy=CHANCE
    )


def seen(minute, symbol=BTC):
    price = Price(Decimal(1))
    bar = Bar(
        symbol=symbol,
        timeframe=Timeframe.M1,
        closed_at=at(minute),
        open=price,
        high=price,
        low=price,
        close=price,
        volume=Quantity(price),
    )
    return BarSeen(at=at(minute), bar=bar)


def at(minute):
    return NOON + timedelta(minutes=minute)


def skipped(minute):
    return DecisionSkipped(
        at=NOON, strategy_id="chance", symbol=BTC, bar_closed_at=at(minute), reason="busy"
    )


def failed(minute):
    return DecisionFailed(
        at=NOON, strategy_id="chance", symbol=BTC, bar_closed_at=at(minute), error="no"
    )


def flawed(minute):
    flaw = Flaw(
        kind=FlawKind.JUMP,
        symbol=BTC,
        timeframe=Timeframe.M1,
        closed_at=at(minute),
        observed=0.2,
        limit=0.1,
    )
    return FlawsSeen(at=NOON, symbol=BTC, flaws=(flaw,))


@pytest.mark.parametrize(
    ("desk", "facts", "undecided"),
    [
        pytest.param(a_desk(), [], [], id="nothing happened"),
        pytest.param(a_desk(), [seen(1)], [1], id="seen, not decided on"),
        pytest.param(a_desk(), [seen(1), skipped(1)], [], id="skipped"),
        pytest.param(a_desk(), [seen(1), failed(1), seen(2)], [2], id="failed, then one more"),
        pytest.param(a_desk(), [seen(1), flawed(1)], [], id="flawed: nobody decides on it"),
        pytest.param(a_desk(), [seen(1), seen(2), skipped(2)], [1], id="the older one is missing"),
        pytest.param(a_desk(Timeframe.M5), [seen(m) for m in range(1, 7)], [5], id="of 5 minutes"),
        pytest.param(a_desk(symbol=Symbol("XRP/USDT")), [seen(1)], [], id="another's symbol"),
    ],
)
def test_bars_without_a_decision_are_found(desk, facts, undecided):
    before = Recollection([desk], Outside(NewsWindow()))
    for fact in facts:
        before.take(fact)
    left = before.undecided(NOON)
    assert [fact.bar_closed_at for fact in left] == [at(minute) for minute in undecided]
    assert all((fact.strategy_id, fact.at) == ("chance", NOON) for fact in left)


def test_the_newest_bar_of_each_symbol_is_known():
    before = Recollection([], Outside(NewsWindow()))
    for fact in (seen(1), seen(1, Symbol("XRP/USDT")), seen(2)):
        before.take(fact)
    assert before.newest == {BTC: at(2), Symbol("XRP/USDT"): at(1)}


def test_costs_count_on_their_own_day():
    before = Recollection([], Outside(NewsWindow()))
    assert before.spent_on(NOON) == 0
    for usd in ("1.5", "2.25"):
        before.take(ModelCosts(at=NOON, spent_today_usd=Decimal(usd)))
    assert before.spent_on(NOON + timedelta(hours=11)) == Decimal("2.25")
    assert before.spent_on(NOON + timedelta(hours=12)) == 0


async def test_the_newest_risk_state_counts_and_facts_pass_through():
    old, new = (initial_state(Notional(Decimal(equity)), NOON) for equity in (1, 2))

    async def facts():
        for fact in (old, seen(1), new):
            yield fact

    before = Recollection([], Outside(NewsWindow()))
    assert [fact async for fact in before.following(facts())] == [old, seen(1), new]
    assert before.state == new
    assert before.state.day.date == date(2026, 1, 5)

"""What holds for every strategy, whatever it makes of the market."""

import math
from dataclasses import replace

import pytest

from agents.baseline_strategy import (
    EmaCross,
    EmaCrossSettings,
    Hold,
    HoldSettings,
    SeededRandom,
    SeededRandomSettings,
)
from agents.council.baselines import BASELINES
from agents.council.strategy import Council
from agents.panel import Panel, RuleSeat
from agents.vote import VoterId
from data.bar import Timeframe
from risk.intent import Direction, Purpose
from tests.builders_agents import COUNCIL, a_market, an_account, council_of

TERMS = {"quantity": "1", "stop_distance": "0.05", "confidence": 0.6}


def a_panel_of_rules():
    """Six seats, each filled by another rule."""
    rules = [make() for make in BASELINES.values()]
    return Panel([RuleSeat(voter=VoterId(r.name), rule=r.opine, name=r.name) for r in rules])


def a_council(panel):
    return Council(
        strategy_id="council",
        timeframe=Timeframe.H1,
        overlays=(Timeframe.H4,),
        panel=panel,
        settings=COUNCIL,
    )


def an_ema_cross():
    terms = {**TERMS, "kind": "ema_cross", "fast": 20, "slow": 50, "seed": "first"}
    settings = EmaCrossSettings.model_validate(terms)
    return EmaCross(strategy_id="ema", timeframe=Timeframe.H1, settings=settings)


def a_hold():
    settings = HoldSettings.model_validate({**TERMS, "kind": "hold"})
    return Hold(strategy_id="hold", timeframe=Timeframe.H1, settings=settings)


def a_seeded_random():
    terms = {**TERMS, "kind": "seeded_random", "seed": 3}
    settings = SeededRandomSettings.model_validate(terms)
    return SeededRandom(strategy_id="chance", timeframe=Timeframe.H1, settings=settings)


MAKERS = {
    "council of rules": lambda: a_council(a_panel_of_rules()),
    "council for long": lambda: a_council(council_of(Direction.LONG)),
    "council for short": lambda: a_council(council_of(Direction.SHORT)),
    "ema_cross": an_ema_cross,
    "hold": a_hold,
    "seeded_random": a_seeded_random,
}
FRAMES = (Timeframe.H1, Timeframe.H4)
WAVES = [round(100 + 0.05 * i + 8 * math.sin(i / 40) + math.sin(i / 3), 2) for i in range(400)]
MARKET = a_market(WAVES, frames=FRAMES)


@pytest.fixture(params=MAKERS)
def make(request):
    return MAKERS[request.param]


async def run(strategy, market):
    """Trade `market` with fills at the close, one unit where no quantity is wished."""
    held, made = 0, []
    for snapshot in market[strategy.requirements.warm_up - 1 :]:
        seen = replace(snapshot, account=an_account(str(held)))
        deliberation = await strategy.decide(seen)
        made.append((seen, deliberation))
        if (intent := deliberation.intent) is not None:
            held += intent.direction.sign if intent.quantity is None else intent.quantity
    return made


async def test_every_strategy_trades_this_market(make):
    assert any(d.intent is not None for _, d in await run(make(), MARKET))


async def test_the_same_bars_are_decided_the_same_way_again(make):
    assert await run(make(), MARKET) == await run(make(), MARKET)


async def test_deciding_twice_on_a_snapshot_gives_the_same(make):
    strategy = make()
    for snapshot in MARKET[strategy.requirements.warm_up - 1 :]:
        assert await strategy.decide(snapshot) == await strategy.decide(snapshot)


async def test_a_shifted_future_changes_no_past_decision(make):
    other = a_market(WAVES[:200] + [3 * close for close in WAVES[200:]], frames=FRAMES)
    assert other[200].bar != MARKET[200].bar
    warm = make().requirements.warm_up
    made, remade = await run(make(), MARKET), await run(make(), other)
    known = 200 - warm + 1
    assert [d for _, d in made[:known]] == [d for _, d in remade[:known]]


async def test_an_intent_is_about_its_snapshot(make):
    for snapshot, deliberation in await run(make(), MARKET):
        if (intent := deliberation.intent) is not None:
            assert intent.symbol == snapshot.instrument.symbol
            assert intent.decided_at == snapshot.taken_at
            assert 0.0 <= intent.confidence <= 1.0


@pytest.mark.req("S0-26")
async def test_an_entry_has_its_stop_on_the_right_side_and_on_the_grid(make):
    for snapshot, deliberation in await run(make(), MARKET):
        intent = deliberation.intent
        if intent is None or intent.purpose is not Purpose.ENTRY:
            continue
        sign, close = intent.direction.sign, snapshot.bar.close
        assert sign * (close - intent.stop) > 0
        assert intent.stop % snapshot.instrument.tick == 0
        assert intent.quantity is None or intent.quantity * sign > 0
        if intent.target is not None:
            assert sign * (intent.target - close) > 0
            assert intent.target % snapshot.instrument.tick == 0


async def test_an_exit_closes_exactly_what_is_held(make):
    for snapshot, deliberation in await run(make(), MARKET):
        intent = deliberation.intent
        if intent is not None and intent.purpose is Purpose.EXIT:
            assert intent.quantity == -snapshot.account.held(intent.symbol) != 0
            assert intent.reduce_only
            assert intent.direction is Direction.CLOSE


async def test_every_intent_has_an_id_of_its_own(make):
    ids = [d.intent.intent_id for _, d in await run(make(), MARKET) if d.intent is not None]
    assert len(set(ids)) == len(ids)


def test_what_it_must_see_includes_one_frame_to_decide_on(make):
    requirements = make().requirements
    assert Timeframe.H1 in requirements.frames
    assert requirements.bars >= 1
    assert requirements.warm_up >= 1

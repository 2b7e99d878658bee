"""From a consensus to an intent, or to none."""

from dataclasses import replace
from decimal import Decimal

import pytest
from pydantic import ValidationError

from agents.analysts.regime import RegimeState
from agents.council.strategy import Council, CouncilSettings, exit_prices, thesis
from data.bar import Timeframe
from data.regime import Regime
from risk.intent import Direction, Purpose
from tests.builders_agents import (
    BTC,
    COUNCIL,
    START,
    a_bar,
    a_snapshot,
    a_vote,
    an_abstention,
    an_order,
    council_of,
)

LONG, SHORT, HOLD, CLOSE = Direction.LONG, Direction.SHORT, Direction.HOLD, Direction.CLOSE
NAN = float("nan")
FALLING = {"ema_21": 98.0, "ema_50": 100.0}


def a_council(panel, regime=Regime.RANGING):
    """A council that has `regime` in force."""
    state = RegimeState(regime=regime, candidate=regime, streak=0, read_at=START)
    return Council(
        strategy_id="council",
        timeframe=Timeframe.H1,
        overlays=(Timeframe.H4,),
        panel=panel,
        settings=COUNCIL,
        regimes={BTC: state},
    )


async def decided(direction, *, agreeing=6, regime=Regime.RANGING, **snapshot):
    return await a_council(council_of(direction, agreeing), regime).decide(a_snapshot(**snapshot))


@pytest.mark.req("S0-7", "S0-16")
async def test_a_consensus_to_enter_becomes_an_entry_with_its_stop_and_target():
    deliberation = await decided(LONG)
    intent = deliberation.intent
    assert (intent.purpose, intent.direction, intent.symbol) == (Purpose.ENTRY, LONG, BTC)
    assert intent.strategy_id == "council"
    assert intent.quantity is None
    # ATR 1 x 2.5 x 0.8 below the close of 104; the target 1.5 x 1.5 times as far above it
    assert (intent.stop, intent.target) == (Decimal("102.00"), Decimal("108.50"))
    assert intent.confidence == deliberation.consensus.confidence == pytest.approx(0.75)
    assert deliberation.regime is Regime.RANGING


async def test_a_short_entry_is_its_mirror():
    intent = (await decided(SHORT, values=FALLING)).intent
    assert (intent.direction, intent.stop, intent.target) == (
        SHORT,
        Decimal("106.00"),
        Decimal("99.50"),
    )


@pytest.mark.parametrize(
    ("direction", "held", "quantity"),
    [
        pytest.param(SHORT, "0.5", "-0.5", id="long, and the council turns"),
        pytest.param(LONG, "-0.5", "0.5", id="short, and the council turns"),
        pytest.param(CLOSE, "0.5", "-0.5", id="long, and the council wants out"),
        pytest.param(CLOSE, "-0.5", "0.5", id="short, and the council wants out"),
        pytest.param(LONG, "0.5", None, id="long already"),
        pytest.param(SHORT, "-0.5", None, id="short already"),
        pytest.param(HOLD, "0.5", None, id="hold changes nothing"),
        pytest.param(CLOSE, "0", None, id="nothing to close"),
        pytest.param(CLOSE, "0.000001", None, id="dust is nothing"),
        pytest.param(HOLD, "0", None, id="hold opens nothing"),
    ],
)
async def test_what_is_held_decides_what_a_direction_means(direction, held, quantity):
    intent = (await decided(direction, held=held)).intent
    if quantity is None:
        assert intent is None
    else:
        assert (intent.purpose, intent.direction) == (Purpose.EXIT, CLOSE)
        assert (intent.quantity, intent.reduce_only) == (Decimal(quantity), True)


@pytest.mark.req("S0-17")
@pytest.mark.parametrize(
    ("direction", "changed", "why"),
    [
        pytest.param(LONG, {"values": FALLING}, "the trend is -1.00", id="long against the trend"),
        pytest.param(SHORT, {}, "the trend is +1.00", id="short against the trend"),
        pytest.param(
            LONG, {"values": {"ema_21": 100.0}}, "the trend is +0.00", id="no trend to follow"
        ),
        pytest.param(
            LONG, {"regime": Regime.TRENDING_BEAR}, "regime is trending_bear", id="long in a bear"
        ),
        pytest.param(
            LONG, {"regime": Regime.VOLATILE_BEAR}, "regime is volatile_bear", id="or a wild one"
        ),
        pytest.param(
            SHORT,
            {"regime": Regime.VOLATILE_BULL, "values": FALLING},
            "regime is volatile_bull",
            id="short in a bull",
        ),
        pytest.param(
            SHORT, {"values": FALLING, "leverage": "1"}, "cannot be sold short", id="short on spot"
        ),
        pytest.param(LONG, {"in_flight": [an_order()]}, "in flight", id="one entry at a time"),
        pytest.param(LONG, {"values": {"atr_14": NAN}}, "trend", id="no range known"),
    ],
)
async def test_what_stands_against_an_entry(direction, changed, why):
    deliberation = await decided(direction, **changed)
    assert deliberation.intent is None
    assert deliberation.consensus.direction is direction
    assert why in deliberation.rationale


async def test_an_order_that_only_reduces_does_not_stand_against_an_entry():
    deliberation = await decided(LONG, in_flight=[an_order("-1", reduce_only=True)])
    assert deliberation.intent is not None


async def test_a_position_is_left_though_the_trend_says_stay():
    deliberation = await decided(CLOSE, held="1", regime=Regime.TRENDING_BULL)
    assert deliberation.intent.purpose is Purpose.EXIT


@pytest.mark.req("S0-18")
@pytest.mark.parametrize("agreeing", [0, 1, 2, 3])
async def test_without_four_seats_nothing_happens(agreeing):
    deliberation = await decided(LONG, agreeing=agreeing)
    assert deliberation.intent is None
    assert deliberation.rationale == f"{agreeing} valid ballots, 4 needed"


async def test_the_same_bar_gives_the_same_intent_id():
    snapshot = a_snapshot()
    council = a_council(council_of(LONG))
    first, second = await council.decide(snapshot), await council.decide(snapshot)
    assert first == second
    assert first.intent.decided_at == snapshot.taken_at
    later = await council.decide(a_snapshot(bars=[a_bar(index=1)]))
    assert later.intent.intent_id != first.intent.intent_id


@pytest.mark.parametrize(
    ("regime", "stop", "target"),
    [
        pytest.param(Regime.TRENDING_BULL, "101.60", "111.20", id="trending"),
        pytest.param(Regime.VOLATILE_BULL, "99.50", "120.87", id="volatile"),
        pytest.param(Regime.CHOPPY, "102.00", "107.00", id="choppy"),
        pytest.param(Regime.BREAKOUT_POTENTIAL, "102.50", "110.75", id="breakout"),
    ],
)
def test_exits_scale_with_the_regime(regime, stop, target):
    exits = exit_prices(a_snapshot(), LONG, regime, COUNCIL)
    assert (exits.stop, exits.target) == (Decimal(stop), Decimal(target))


@pytest.mark.parametrize(
    ("direction", "average", "falsified_at"),
    [
        pytest.param(LONG, 102.994, "103.00", id="long: half-way to the stop, rounded nearer"),
        pytest.param(LONG, 103.001, None, id="long: nearer than that is noise"),
        pytest.param(LONG, 102.001, "102.01", id="long: just before the stop"),
        pytest.param(LONG, 102.0, None, id="long: at the stop, which comes first"),
        pytest.param(LONG, 100.0, None, id="long: beyond the stop"),
        pytest.param(LONG, 105.0, None, id="long: above the price already"),
        pytest.param(LONG, NAN, None, id="long: not known"),
        pytest.param(SHORT, 105.006, "105.00", id="short: half-way to the stop, rounded nearer"),
        pytest.param(SHORT, 104.5, None, id="short: nearer than that is noise"),
        pytest.param(SHORT, 106.0, None, id="short: at the stop, which comes first"),
        pytest.param(SHORT, 103.0, None, id="short: below the price already"),
    ],
)
def test_back_at_the_slow_average_an_entry_was_wrong(direction, average, falsified_at):
    snapshot = a_snapshot(values={"ema_50": average})  # the stop is 2 away from 104
    exits = exit_prices(snapshot, direction, Regime.RANGING, COUNCIL)
    assert exits.falsified_at == (Decimal(falsified_at) if falsified_at else None)


def test_at_one_nothing_falsifies_an_entry():
    never = COUNCIL.model_copy(update={"falsified_from": Decimal(1)})
    for average in (103.0, 102.01, 102.0):
        snapshot = a_snapshot(values={"ema_50": average})
        assert exit_prices(snapshot, LONG, Regime.RANGING, never).falsified_at is None


async def test_an_entry_carries_why_it_is_made_and_where_that_is_wrong():
    values = {"ema_21": 104.0, "ema_50": 102.5}
    intent = (await decided(LONG, values=values)).intent
    assert (intent.thesis, intent.falsified_at) == ("seat-0: said so", Decimal("102.50"))


def test_the_thesis_is_that_of_the_surest_seat_of_the_direction():
    ballots = [
        a_vote(0, LONG, 0.6),
        replace(a_vote(1, LONG, 0.7), rationale="it rises"),
        a_vote(2, LONG, 0.7),
        a_vote(3, SHORT, 0.9),
        an_abstention(4),
    ]
    assert thesis(ballots, LONG) == "seat-1: it rises"


@pytest.mark.parametrize(
    ("direction", "atr"),
    [
        pytest.param(LONG, NAN, id="no range known"),
        pytest.param(LONG, 0.0, id="no range"),
        pytest.param(LONG, 0.001, id="less than a tick"),
        pytest.param(LONG, 60.0, id="a stop below zero"),
        pytest.param(SHORT, 30.0, id="a target below zero"),
        pytest.param(LONG, float("inf"), id="infinite"),
    ],
)
def test_a_range_that_gives_no_sensible_stop_gives_no_entry(direction, atr):
    snapshot = a_snapshot(values={"atr_14": atr})
    assert exit_prices(snapshot, direction, Regime.RANGING, COUNCIL) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"exits": {}}, "no exits for trending_bull", id="a regime is missing"),
        pytest.param({"qurom": 4}, "Extra inputs", id="misspelt"),
        pytest.param({"reward": float("nan")}, "finite", id="not a number"),
        pytest.param({"reward": 0}, "greater than 0", id="no reward"),
        pytest.param({"falsified_from": 0}, "greater than 0", id="wrong from the start"),
    ],
)
def test_settings_that_cannot_be(change, message):
    with pytest.raises(ValidationError, match=message):
        CouncilSettings.model_validate({**COUNCIL.model_dump(), **change})

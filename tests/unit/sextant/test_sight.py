"""What the rules are shown of a market: measured on closed bars, and only where they ask."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest

from data.bar import Timeframe
from data.indicators import Atr, Ema, MeanAtr
from data.order_book import Level, OrderBook
from data.regime import Regime
from risk.intent import Direction
from sextant import sight
from tests.builders_agents import a_market, with_overlay
from tests.builders_market import a_bar
from tests.builders_risk import an_entry, limits_with

M1, M5, H1, H4, D1 = Timeframe.M1, Timeframe.M5, Timeframe.H1, Timeframe.H4, Timeframe.D1
OFF = {
    "overlay_timeframes": [],
    "max_adv_share": 0,
    "spike_ratio": 0.0,
    "min_stop_atr": 0.0,
    "volatility_target": 0.0,
    "volatility_guard": 0.0,
    "dynamic_floor_volatility": 0.0,
    "max_value_at_risk": 0,
}
PRICES = [100 + 3 * float(np.sin(i / 3)) for i in range(300)]
HOUR = timedelta(hours=1)
NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)


def limits(**on):
    return limits_with(**{**OFF, **on})


@pytest.mark.parametrize(
    ("on", "needed"),
    [
        pytest.param({}, {}, id="all off: nothing is computed"),
        pytest.param({"min_stop_atr": 1.5}, {M5: ["atr_14"]}, id="stops by ATR"),
        pytest.param({"spike_ratio": 3.0}, {M5: ["atr_14", "mean_atr_14_20"]}, id="spikes"),
        pytest.param(
            {"overlay_timeframes": ["4h", "1h", "5m", "1m"]},
            {H1: ["ema_9", "ema_21"], H4: ["ema_9", "ema_21"]},
            id="overlays above the deciding timeframe",
        ),
        pytest.param({"max_adv_share": "0.02"}, {D1: []}, id="days for their volume"),
    ],
)
def test_histories_hold_what_the_rules_need(on, needed):
    frames = sight.frames(limits(**on), M5)
    assert {t: [n for i in given for n in i.names] for t, given in frames.items()} == needed


@pytest.mark.parametrize(
    ("on", "count"),
    [
        pytest.param({}, 1, id="no rule looks back"),
        pytest.param({"volatility_guard": 0.8}, 31, id="thirty returns"),
    ],
)
def test_how_many_bars_the_rules_look_back(on, count):
    assert sight.bars(limits(**on)) == count


def test_an_indicator_of_the_strategy_is_not_computed_twice():
    both = sight.joined({M5: (Ema(21), Atr())}, {M5: (Atr(), MeanAtr()), H1: (Ema(9),)})
    assert both == {M5: (Ema(21), Atr(), MeanAtr()), H1: (Ema(9),)}


@pytest.mark.parametrize(
    ("closes", "move"),
    [
        pytest.param([], None, id="nothing before"),
        pytest.param([(1, "100")], 0.10, id="a minute ago"),
        pytest.param([(5, "100"), (1, "109")], 0.10, id="five minutes ago counts"),
        pytest.param([(6, "50"), (1, "100")], 0.10, id="six do not"),
        pytest.param([(4, "120"), (1, "105")], 110 / 120 - 1, id="the farthest, whichever way"),
    ],
)
def test_the_largest_move_within_five_minutes(closes, move):
    watch = sight.MoveWatch()
    for minutes, close in closes:
        watch.after(a_bar(NOON - timedelta(minutes=minutes), close=close, timeframe=M1))
    seen = watch.after(a_bar(NOON, close="110", timeframe=M1))
    assert seen == (None if move is None else pytest.approx(move))


def the_market(snapshot, intent=None, *, orders=None, **on):
    return sight.market_of(
        snapshot,
        intent or an_entry(),
        price=snapshot.bar.close,
        priced_at=snapshot.bar.closed_at,
        rate=Decimal(1),
        regime=Regime.RANGING,
        orders=orders,
        limits=limits(**on),
    )


@pytest.mark.req("S1-81")
def test_volatility_is_that_of_thirty_log_returns_and_of_a_year():
    snapshot = a_market(PRICES)[-1]
    closes = snapshot.primary.series.close[-31:]
    market = the_market(snapshot)
    assert market.bar_volatility == pytest.approx(np.std(np.diff(np.log(closes)), ddof=1))
    bars_a_year = timedelta(days=365) / snapshot.bar.timeframe.delta
    assert market.realised_volatility == pytest.approx(market.bar_volatility * bars_a_year**0.5)


def test_volatility_without_thirty_returns_is_unknown():
    snapshot = a_market(PRICES)[-1]
    short = replace(snapshot.primary, series=snapshot.primary.series.last(30))
    bare = replace(snapshot, frames={**snapshot.frames, snapshot.bar.timeframe: short})
    assert the_market(bare).realised_volatility is None
    assert the_market(bare).bar_volatility is None


@pytest.mark.req("S1-103", "S1-107")
def test_only_the_overlays_that_the_rules_ask_for_are_shown():
    snapshot = with_overlay(a_market(PRICES)[-1], H4, fast=101, slow=100, age=HOUR)
    assert the_market(snapshot).overlays == ()
    (shown,) = the_market(snapshot, overlay_timeframes=["4h"]).overlays
    frame = snapshot.frames[H4]
    assert (shown.timeframe, shown.updated_at) == (H4, frame.closed_at)
    assert shown.trend == pytest.approx(frame.series.close[-1] / frame.indicators["ema_21"] - 1)


@pytest.mark.parametrize(
    ("direction", "depth"),
    [
        pytest.param(Direction.LONG, "3", id="a long takes the asks"),
        pytest.param(Direction.SHORT, "7", id="a short takes the bids"),
    ],
)
def test_the_order_book_is_read_on_the_side_that_is_taken(direction, depth):
    snapshot = a_market(PRICES)[-1]
    orders = OrderBook(
        symbol=snapshot.instrument.symbol,
        at=snapshot.bar.closed_at,
        bids=(Level(Decimal("99.9"), Decimal(5)), Level(Decimal("99.8"), Decimal(2))),
        asks=(Level(Decimal("100.1"), Decimal(3)),),
    )
    market = the_market(snapshot, an_entry(direction=direction), orders=orders)
    assert market.depth == Decimal(depth)
    assert market.spread_bps == pytest.approx(20)
    assert market.book_at == snapshot.bar.closed_at


def test_without_an_order_book_what_it_would_tell_is_unknown():
    market = the_market(a_market(PRICES)[-1])
    assert (market.depth, market.spread_bps, market.book_at) == (None, None, None)


def test_the_daily_volume_is_the_mean_of_closed_days():
    snapshot = with_overlay(a_market(PRICES)[-1], D1, fast=101, slow=100, age=HOUR)
    volumes = snapshot.frames[D1].series.last(20).volume
    assert the_market(snapshot).adv is None
    assert float(the_market(snapshot, max_adv_share="0.02").adv) == pytest.approx(volumes.mean())


def test_the_daily_volume_is_unknown_before_a_day_has_closed():
    assert the_market(a_market(PRICES)[-1], max_adv_share="0.02").adv is None

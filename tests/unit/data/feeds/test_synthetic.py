"""The made-up market: on its grids, sane, lively, and the same again at any minute."""

import itertools
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest

from data.bar import BarSeries
from data.clock import ManualClock
from data.feeds.synthetic import SyntheticFeed, SyntheticMarket
from data.instrument import UnknownSymbol
from data.utc import NaiveTime
from tests.builders_feeds import BTC, CROSS, MINUTE, OPENING, TRIANGLE, XRP, an_instrument

DAY = 1440
ORIGIN = datetime(2020, 1, 1, tzinfo=UTC)


def a_market(seed=7, instruments=TRIANGLE):
    return SyntheticMarket(seed=seed, instruments=instruments)


def bars_of(count, *, after=OPENING, **market):
    return list(itertools.islice(a_market(**market).bars_after(after), count))


@pytest.fixture(scope="module")
def month():
    """Thirty days of the three pairs."""
    market = a_market()
    until = OPENING + timedelta(days=30)
    return {i.symbol: market.history(i.symbol, until, 30 * DAY) for i in TRIANGLE}


def returns(bars):
    return np.diff(np.log(BarSeries.of(bars).close))


def test_each_minute_tells_every_pair_in_the_order_of_the_instruments():
    bars = bars_of(3 * 500, instruments=TRIANGLE[::-1])
    assert [bar.symbol for bar in bars] == [CROSS, XRP, BTC] * 500
    assert [bar.closed_at for bar in bars[::3]] == [OPENING + n * MINUTE for n in range(1, 501)]


def test_prices_and_volumes_are_on_the_grid(month):
    for instrument in TRIANGLE:
        for bar in month[instrument.symbol]:
            assert all(p % instrument.tick == 0 for p in (bar.open, bar.high, bar.low, bar.close))
            assert bar.volume % instrument.lot == 0
            assert bar.volume > 0


def test_the_cross_closes_within_a_tick_of_the_ratio(month):
    for btc, xrp, cross in zip(month[BTC], month[XRP], month[CROSS], strict=True):
        assert abs(cross.close - xrp.close / btc.close) <= Decimal("0.00000001")


def test_volatility_clusters_and_volume_follows_it(month):
    moves = np.abs(returns(month[BTC]))
    volume = BarSeries.of(month[BTC]).volume[1:]
    assert np.corrcoef(moves[1:], moves[:-1])[0, 1] > 0.1
    assert np.corrcoef(moves[60:], moves[:-60])[0, 1] > 0.05
    assert np.corrcoef(moves, volume)[0, 1] > 0.2


def test_returns_are_heavy_tailed_and_not_to_be_guessed_from_the_last(month):
    moves = returns(month[BTC])
    assert np.mean((moves / moves.std()) ** 4) > 4  # a normal distribution has 3
    assert abs(np.corrcoef(moves[1:], moves[:-1])[0, 1]) < 0.03
    assert 0.0002 < moves.std() < 0.002  # a minute's; that of 2021-05 was 0.0014


def test_bitcoin_and_ripple_move_together(month):
    assert 0.5 < np.corrcoef(returns(month[BTC]), returns(month[XRP]))[0, 1] < 0.9


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_prices_stay_plausible_for_a_year(seed):
    market = a_market(seed)
    closes = {BTC: [], XRP: []}
    for day in range(1, 366, 3):
        for symbol, seen in closes.items():
            seen += market.history(symbol, OPENING + timedelta(days=day), 60)
    for symbol, usual in ((BTC, 40_000), (XRP, 1)):
        lows, highs = [b.low for b in closes[symbol]], [b.high for b in closes[symbol]]
        assert usual / 8 < min(lows)
        assert max(highs) < usual * 8
        assert max(highs) / min(lows) > Decimal("1.3")  # and it does go somewhere


def test_one_seed_is_one_market_and_two_are_two():
    assert bars_of(900) == bars_of(900)
    assert bars_of(900) != bars_of(900, seed=8)


def test_a_pair_does_not_depend_on_which_others_are_traded():
    alone = bars_of(500, instruments=TRIANGLE[2:])
    assert alone == [bar for bar in bars_of(1500) if bar.symbol == CROSS]


def test_a_restart_years_later_is_quick():
    began = time.thread_time()
    bars_of(3, after=datetime(2027, 1, 1, tzinfo=UTC))
    assert time.thread_time() - began < 1


@pytest.mark.parametrize("minute", [0, 1, 239, 240, 241, 1440])
def test_history_ends_where_the_bars_after_begin(minute):
    market, at = a_market(), OPENING + minute * MINUTE
    past = market.history(XRP, at, 300)
    coming = [bar for bar in itertools.islice(market.bars_after(at), 900) if bar.symbol == XRP]
    closes = [bar.closed_at for bar in past + coming]
    assert closes == [at + n * MINUTE for n in range(-299, 301)]
    assert market.history(XRP, at + 300 * MINUTE, 600) == past + coming


def test_history_within_a_minute_ends_with_the_last_closed_bar():
    [bar] = a_market().history(BTC, OPENING + 0.9 * MINUTE, 1)
    assert bar.closed_at == OPENING
    assert bars_of(1, after=OPENING + 0.9 * MINUTE)[0].closed_at == OPENING + MINUTE


def test_history_starts_with_the_market():
    bars = a_market().history(BTC, ORIGIN + 5 * MINUTE, 100)
    assert [bar.closed_at for bar in bars] == [ORIGIN + n * MINUTE for n in range(1, 6)]
    assert a_market().history(BTC, ORIGIN, 100) == []


@pytest.mark.parametrize("count", [0, 1, 240])
def test_history_has_as_many_bars_as_asked_for(count):
    assert len(a_market().history(BTC, OPENING, count)) == count


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        pytest.param(lambda: a_market(-1), ValueError, "non-negative", id="negative seed"),
        pytest.param(
            lambda: a_market(instruments=()), ValueError, "no bars", id="nothing to trade"
        ),
        pytest.param(
            lambda: a_market(instruments=[an_instrument("ETH/USDT", "1", "1")]),
            UnknownSymbol,
            "trades BTC/USDT, XRP/USDT, XRP/BTC, not ETH/USDT",
            id="a pair it does not know",
        ),
        pytest.param(
            lambda: bars_of(1, after=ORIGIN - MINUTE), ValueError, "begins", id="before its origin"
        ),
        pytest.param(
            lambda: bars_of(1, after=OPENING.replace(tzinfo=None)), NaiveTime, "UTC", id="naive"
        ),
    ],
)
def test_what_it_cannot_do_it_says(make, error, says):
    with pytest.raises(error, match=says):
        make()


def test_it_says_that_it_is_made_up():
    market = a_market(42)
    feed = SyntheticFeed(market, ManualClock(OPENING), start_after=OPENING)
    assert market.name == feed.name == "synthetic:42"

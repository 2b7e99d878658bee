"""The equity curve: exact peak, drawdown and days; a thinned drawing."""

from datetime import date
from decimal import Decimal

import pytest

from sextant.evaluation.performance import sharpe_ratio, simple_returns
from tests.builders_evaluation import DAY, MINUTE, START, curve_of


@pytest.mark.req("S0-40", "S1-189")
@pytest.mark.parametrize(
    ("values", "largest", "now"),
    [
        pytest.param([100], 0.0, 0.0, id="one mark"),
        pytest.param([100, 110, 120], 0.0, 0.0, id="only up"),
        pytest.param([110_000, 88_000], 0.2, 0.2, id="the example of the requirements"),
        pytest.param([100, 80, 100, 95], 0.2, 0.05, id="recovered, and down again"),
        pytest.param([100, 80, 200, 170], 0.2, 0.15, id="a deeper fall in money, not in share"),
        pytest.param([100, 90, 200, 140], 0.3, 0.3, id="a deeper fall after a new peak"),
        pytest.param([100, -20], 1.2, 1.2, id="more lost than there was"),
        pytest.param([0, -5], 0.0, 0.0, id="no peak above zero"),
    ],
)
def test_drawdown(values, largest, now):
    curve = curve_of(values)
    assert curve.max_drawdown == pytest.approx(largest)
    assert curve.last.drawdown == pytest.approx(now)


def test_an_empty_curve_knows_nothing():
    curve = curve_of([])
    assert (curve.first, curve.last, curve.total_return, curve.sharpe) == (None,) * 4
    assert (curve.drawn, curve.days, curve.max_drawdown) == ([], [], 0.0)


@pytest.mark.req("S1-212")
def test_a_day_ends_with_its_last_mark():
    curve = curve_of([])
    for at, value in [
        (START + 10 * MINUTE, "100"),
        (START + DAY - MINUTE, "110"),
        (START + DAY, "99"),  # midnight is the next day's
        (START + 3 * DAY, "198"),  # a day without a mark is no day
    ]:
        curve.mark(at, Decimal(value))
    days = [(day.date, day.equity, round(day.change, 9)) for day in curve.days]
    assert days == [
        (date(2026, 1, 5), 110.0, 0.1),
        (date(2026, 1, 6), 99.0, -0.1),
        (date(2026, 1, 8), 198.0, 1.0),
    ]


@pytest.mark.parametrize(
    ("values", "total"),
    [
        pytest.param([100, 150], 0.5, id="up"),
        pytest.param([100, 25], -0.75, id="down"),
        pytest.param([0, 10], None, id="from nothing"),
    ],
)
def test_total_return(values, total):
    assert curve_of(values).total_return == total


@pytest.mark.req("S1-159")
def test_the_rolling_sharpe_forgets_what_is_older_than_thirty_days():
    rough, calm = [100, 50, 100], [100 * 1.01**i * (1 + i % 2 * 0.001) for i in range(31)]
    expected = sharpe_ratio(simple_returns(calm), periods_per_year=365)
    curve = curve_of([*rough, *calm])
    assert curve.rolling_sharpe == pytest.approx(expected)
    assert curve.sharpe < expected


def test_the_deepest_point_is_drawn_however_many_there_are():
    values = [100.0] * 20_000
    values[12_345] = 60.0
    curve = curve_of(values, step=MINUTE)
    assert len(curve.drawn) < 4_100
    assert min(curve.drawn, key=lambda p: p.equity).at == START + 12_345 * MINUTE
    assert [p.at for p in curve.drawn] == sorted(p.at for p in curve.drawn)
    assert curve.drawn[-1] == curve.last
    assert curve.max_drawdown == pytest.approx(0.4)


def test_ruin_leaves_the_ratios_undefined():
    curve = curve_of([100, 90, 0, 5])
    assert (curve.sharpe, curve.sortino) == (None, None)

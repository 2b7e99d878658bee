"""Formulas of return and risk, against numbers worked out by hand."""

import numpy as np
import pytest

from sextant.evaluation.performance import (
    annual_return,
    sharpe_ratio,
    simple_returns,
    sortino_ratio,
)


@pytest.mark.parametrize(
    ("values", "returns"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param([100.0], [], id="one value"),
        pytest.param([100.0, 110.0, 99.0], [0.1, -0.1], id="up and down"),
        pytest.param([100.0, 0.0, 50.0], [], id="ruin has no return after it"),
        pytest.param([100.0, -5.0], [], id="below zero"),
    ],
)
def test_simple_returns(values, returns):
    assert simple_returns(values) == pytest.approx(returns)


@pytest.mark.req("S0-41", "S1-187")
@pytest.mark.parametrize(
    ("returns", "sharpe"),
    [
        pytest.param([], None, id="nothing"),
        pytest.param([0.01], None, id="one return"),
        pytest.param([0.01, 0.01, 0.01], None, id="no variance"),
        pytest.param([0.01, -0.01], 0.0, id="no mean"),
        # mean 0.01, deviation 0.01: the daily ratio is 1
        pytest.param([0.0, 0.01, 0.02], 365**0.5, id="a daily ratio of one, over 365 days"),
        pytest.param([0.0, -0.01, -0.02], -(365**0.5), id="a loss"),
    ],
)
def test_sharpe_ratio(returns, sharpe):
    assert sharpe_ratio(np.array(returns), periods_per_year=365) == pytest.approx(sharpe)


@pytest.mark.req("S1-188")
@pytest.mark.parametrize(
    ("returns", "sortino"),
    [
        pytest.param([], None, id="nothing"),
        pytest.param([0.01], None, id="one return"),
        pytest.param([0.01, 0.02], None, id="nothing lost"),
        # mean 0.01; downside sqrt(0.02^2 / 4) = 0.01
        pytest.param([0.02, 0.02, 0.02, -0.02], 365**0.5, id="one loss in four days"),
        # every day lost the same: mean -0.01 over downside 0.01
        pytest.param([-0.01, -0.01], -(365**0.5), id="losses alone"),
    ],
)
def test_sortino_ratio(returns, sortino):
    assert sortino_ratio(np.array(returns), periods_per_year=365) == pytest.approx(sortino)


@pytest.mark.req("S0-39")
@pytest.mark.parametrize(
    ("total", "days", "annual"),
    [
        pytest.param(0.5, 365.0, 0.5, id="a year"),
        pytest.param(0.21, 730.0, 0.1, id="two years"),
        pytest.param(0.1, 182.5, 0.21, id="half a year"),
        pytest.param(0.1, 29.9, None, id="too short to say"),
        pytest.param(-1.0, 365.0, None, id="nothing left"),
        pytest.param(-1.2, 365.0, None, id="less than nothing left"),
    ],
)
def test_annual_return(total, days, annual):
    assert annual_return(total, days=days) == pytest.approx(annual)

"""Fees by tier: which step a volume has reached, and what counts as volume."""

from datetime import timedelta
from decimal import Decimal

import pytest

from execution.fee_schedule import FeeSchedule, FeeStep, TradedVolume
from execution.fill import Fill
from execution.matching import Matching
from tests.builders_venue import (
    BTC,
    CROSS,
    MINUTE,
    NOON,
    a_bar,
    a_fill,
    an_order,
    instruments,
    terms,
)

DAY = 24 * 60
STEPS = (
    FeeStep(volume=Decimal(1_000), maker=Decimal("0.002"), taker=Decimal("0.003")),
    FeeStep(volume=Decimal(5_000), maker=Decimal("0.001"), taker=Decimal("0.002")),
)
SCHEDULE = FeeSchedule(currency="USDT", steps=STEPS)


@pytest.mark.parametrize(
    ("volume", "step"),
    [
        pytest.param("0", None, id="below the first"),
        pytest.param("999.99", None, id="nearly there"),
        pytest.param("1000", 0, id="reached"),
        pytest.param("4999", 0, id="between two"),
        pytest.param("9999999", 1, id="beyond the last"),
    ],
)
def test_a_volume_reaches_a_step(volume, step):
    assert SCHEDULE.step(Decimal(volume)) == (None if step is None else STEPS[step])


@pytest.mark.parametrize(
    "volumes",
    [
        pytest.param(("5", "5"), id="the same twice"),
        pytest.param(("5", "1"), id="falling"),
        pytest.param(("0",), id="from nothing on"),
    ],
)
def test_steps_rise(volumes):
    steps = tuple(FeeStep(volume=Decimal(v), maker=Decimal(0), taker=Decimal(0)) for v in volumes)
    with pytest.raises(ValueError, match="rise"):
        FeeSchedule(currency="USDT", steps=steps)


def test_only_the_last_thirty_days_in_the_currency_count():
    fills = [a_fill(1, "2", "100"), a_fill(2, "-3", "100", minute=DAY)]
    volume = TradedVolume(fills, "USDT")
    assert volume.until(NOON + DAY * MINUTE) == 500
    fills.append(a_fill(3, "10", "0.1", symbol=CROSS, minute=2 * DAY))
    assert volume.until(NOON + 2 * DAY * MINUTE) == 500
    assert volume.until(NOON + timedelta(days=30)) == 300
    assert volume.until(NOON + timedelta(days=31)) == 0


def a_matching(facts=()):
    matching = Matching(
        venue="paper",
        instruments=instruments("5"),
        terms=terms(taker_fee=Decimal("0.004"), maker_fee=Decimal("0.0025"), schedule=SCHEDULE),
        balances={"USDT": Decimal(100_000)},
    )
    for fact in facts:
        matching.apply(fact)
    return matching


def fees(facts):
    return [f"{f.fee / f.quantity / f.price:f}" for f in facts if isinstance(f, Fill)]


def test_who_has_traded_more_pays_less_and_a_restart_changes_nothing():
    matching, facts = a_matching(), []
    for minute, quantity in enumerate(("9.99", "0.01", "1", "40")):
        facts += matching.place(an_order(f"order {minute}", quantity), NOON + minute * MINUTE)
        facts += matching.observe(a_bar("100 100 100 100", number=minute))
    assert fees(facts) == ["0.004", "0.004", "0.003", "0.003"]
    matching = a_matching(facts)
    later = matching.place(an_order("later", "1", limit="99"), NOON + 4 * MINUTE)
    later += matching.observe(a_bar("100 100 98 100", number=5))
    assert fees(later) == ["0.001"]
    assert later[-1].order.symbol == BTC

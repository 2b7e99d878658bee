"""The stop that a position has earned: break-even, trailing, and when it is worth an order."""

from datetime import timedelta
from decimal import Decimal

import pytest
from pydantic import ValidationError

from data.account import Position
from execution.tightening import CareSettings, is_too_old, stop_due
from tests.builders_venue import BTC, NOON, instruments

EVEN = CareSettings(break_even_from=Decimal("0.01"), break_even_buffer=Decimal("0.001"))
TRAIL = CareSettings(trail_from=Decimal("0.01"), trail_distance=Decimal("0.015"))
BOTH = CareSettings(
    **{**EVEN.model_dump(), **TRAIL.model_dump(include={"trail_from", "trail_distance"})}
)


def a_position(held, mark, entry="100"):
    quantity = Decimal(held)
    return Position(
        symbol=BTC,
        quantity=quantity,
        entry_price=Decimal(entry),
        mark=Decimal(mark),
        notional=abs(quantity) * Decimal(mark),
        opened_at=NOON,
    )


@pytest.mark.req("S0-26")
@pytest.mark.parametrize(
    ("settings", "held", "standing", "mark", "due"),
    [
        pytest.param(EVEN, "1", "95", "100.99", "95", id="not yet at break-even"),
        pytest.param(EVEN, "1", "95", "101", "100.1", id="break-even and its buffer"),
        pytest.param(EVEN, "1", "100.5", "101", "100.5", id="a stop that is tighter stays"),
        pytest.param(EVEN, "-1", "105", "99.01", "105", id="short, not yet at break-even"),
        pytest.param(EVEN, "-1", "105", "99", "99.9", id="short, break-even and its buffer"),
        pytest.param(TRAIL, "1", "95", "100.99", "95", id="not yet trailing"),
        pytest.param(TRAIL, "1", "95", "101", "99.49", id="trailing, rounded to less loss"),
        pytest.param(TRAIL, "1", "95", "120", "118.2", id="trailing far up"),
        pytest.param(TRAIL, "1", "118.2", "110", "118.2", id="the way back loosens nothing"),
        pytest.param(TRAIL, "-1", "105", "99", "100.48", id="short, trailing, to less loss"),
        pytest.param(BOTH, "1", "95", "101", "100.1", id="of both the tighter, break-even"),
        pytest.param(BOTH, "1", "95", "110", "108.35", id="of both the tighter, trailing"),
        pytest.param(CareSettings(), "1", "95", "200", "95", id="all off"),
    ],
)
def test_the_stop_that_is_due(settings, held, standing, mark, due):
    position = a_position(held, mark)
    assert stop_due(Decimal(standing), position, instruments()[BTC], settings) == Decimal(due)


BY_ATR = CareSettings(trail_from=Decimal("0.01"), trail_distance=Decimal("0.015"), trail_atr=1.5)


@pytest.mark.req("S0-26")
@pytest.mark.parametrize(
    ("settings", "held", "standing", "mark", "atr", "due"),
    [
        pytest.param(BY_ATR, "1", "95", "100.99", 2.0, "95", id="not yet trailing"),
        pytest.param(BY_ATR, "1", "95", "110", 2.0, "107", id="1.5 ATR behind the mark"),
        pytest.param(BY_ATR, "-1", "105", "90", 2.0, "93", id="short"),
        pytest.param(BY_ATR, "1", "107", "108", 2.0, "107", id="the way back loosens nothing"),
        pytest.param(BY_ATR, "1", "95", "110", 0.0049, "109.99", id="a tick at least"),
        pytest.param(BY_ATR, "1", "95", "110", 0.0166, "109.98", id="in ticks, to less loss"),
        pytest.param(BY_ATR, "1", "95", "110", 50.0, "95", id="wider than the stop that stands"),
        pytest.param(BY_ATR, "1", "95", "110", None, "108.35", id="unknown: the share instead"),
        pytest.param(BY_ATR, "1", "95", "110", float("nan"), "108.35", id="unreadable: the same"),
        pytest.param(BY_ATR, "1", "95", "110", 1.7e308, "108.35", id="beyond all numbers"),
        pytest.param(CareSettings(trail_atr=1.5), "1", "95", "110", None, "95", id="no share"),
        pytest.param(TRAIL, "1", "95", "110", 2.0, "108.35", id="off"),
    ],
)
def test_a_stop_trails_by_the_average_true_range_at_entry(settings, held, standing, mark, atr, due):
    position = a_position(held, mark)
    found = stop_due(Decimal(standing), position, instruments()[BTC], settings, atr=atr)
    assert found == Decimal(due)


@pytest.mark.parametrize(
    ("mark", "due"),
    [
        pytest.param("102.02", "100.50", id="a move that is too small"),
        pytest.param("102.14", "100.61", id="a move of a thousandth of the mark"),
    ],
)
def test_a_small_move_is_not_worth_an_order(mark, due):
    settings = TRAIL.model_copy(update={"min_move": Decimal("0.001")})
    standing = Decimal("100.50")
    assert stop_due(standing, a_position("1", mark), instruments()[BTC], settings) == Decimal(due)


def test_a_distance_below_the_tick_never_puts_the_stop_at_the_mark():
    near = CareSettings(trail_distance=Decimal("0.00001"))
    due = stop_due(Decimal(95), a_position("1", "101"), instruments()[BTC], near)
    assert due == Decimal(95)


@pytest.mark.parametrize(
    ("max_age", "hours", "old"),
    [
        pytest.param(timedelta(hours=48), 47, False, id="young"),
        pytest.param(timedelta(hours=48), 48, True, id="at the limit"),
        pytest.param(timedelta(0), 10_000, False, id="off"),
    ],
)
def test_a_position_is_too_old(max_age, hours, old):
    settings = CareSettings(max_age=max_age)
    assert is_too_old(a_position("1", "100"), NOON + timedelta(hours=hours), settings) is old


def test_a_buffer_that_leaves_no_room_is_an_error():
    with pytest.raises(ValidationError, match="break_even_buffer must be less"):
        CareSettings(break_even_from=Decimal("0.01"), break_even_buffer=Decimal("0.01"))

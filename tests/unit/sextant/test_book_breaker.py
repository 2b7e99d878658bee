"""What a breaker wants closed is asked for by the book itself, and judged like any other order."""

import pytest

from risk.breaker import DRAWDOWN, Halt, RiskState, TradingState
from risk.breaker_orders import BREAKER
from risk.intent import Purpose
from tests.builders_book import a_book_house, enter
from tests.builders_venue import BTC


async def holding(**limits):
    """A house that holds 900 BTC, bought at 100 of 100,000."""
    house = await a_book_house(**limits)
    await enter(house, "A", "900", stop="1")
    await house.bar("100 100 100 100", 0)
    return house


@pytest.mark.req("S0-25", "S1-97")
async def test_a_drawdown_closes_everything_once_and_waits_for_the_venues_word():
    house = await holding(max_drawdown="0.2", derisk_drawdown="0.1")
    held = house.held(BTC)
    assert held > 0
    await house.bar("75 75 75 75", 1)
    assert house.state.trading is TradingState.HALTED
    asked = house.asked_for(BREAKER)
    assert [(o.purpose, o.quantity, o.reduce_only) for o in asked] == [
        (Purpose.FLATTEN, held, True)
    ]
    for number in (2, 3):
        await house.bar("75 75 75 75", number)
    assert house.held(BTC) == 0
    assert house.asked_for(BREAKER) == asked
    assert (
        DRAWDOWN
        in [fact for fact in house.journal.durable if isinstance(fact, RiskState)][-1].acted
    )
    assert not house.state.latch.is_done
    await house.ask_the_venue()
    assert house.state.latch.is_done
    assert house.left == ()


@pytest.mark.req("S0-25")
async def test_a_drawdown_closes_also_what_a_person_has_halted_before():
    house = await holding(max_drawdown="0.2", derisk_drawdown="0.1")
    house.book.note(Halt(by="Ada", why="upgrade", at=house.clock.now()))
    await house.bar("75 75 75 75", 1)
    assert house.state.reason == "halted by Ada: upgrade"
    assert house.state.latch.reason == DRAWDOWN
    assert len(house.asked_for(BREAKER)) == 1


@pytest.mark.req("S0-24")
async def test_the_weeks_limit_cuts_by_half_once():
    house = await holding(max_weekly_loss="0.1")
    held = house.held(BTC)
    for number in (1, 2, 3):
        await house.bar("85 85 85 85", number)
    assert house.state.trading is TradingState.REDUCING
    assert house.held(BTC) * 2 == held
    assert len(house.asked_for(BREAKER)) == 1
    assert house.state.latch is None

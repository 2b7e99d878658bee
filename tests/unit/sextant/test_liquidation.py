"""A position that the venue takes by force: ours once, halted, told, and the books agree again."""

from dataclasses import replace
from decimal import Decimal
from functools import partial

import pytest

from data.instrument import Side
from execution.difference import DifferenceKind
from execution.fill import Fill
from execution.order import Cancelling
from execution.protection import ProtectionSettings
from risk.breaker import TradingState
from sextant.alerts import Alert, AlertKind
from sextant.subaccount import Subaccount, rebook
from sextant.unheeded import UnheededLiquidations
from tests.builders_book import CASH, a_book_house, enter
from tests.builders_engine import a_ledger, an_engine
from tests.builders_venue import BTC, XRP, an_id

HALTED_FOR = "liquidation of BTC/USDT"
SWIFT = ProtectionSettings.model_validate({"patience": 0, "deadline": 60})


async def a_house_with(quantity="4000", *, stop="70", deaf=False, **options):
    """A position of four times the cash: it goes below 83.3, or above 113.6, before its stop."""
    house = await a_book_house(leverage="5", fit=SWIFT, **options)
    if deaf:
        house.book.engine.settle = lambda: None
    await enter(house, quantity=quantity, stop=stop)
    await house.bar("100 100 100 100", 0)
    if not deaf:
        await house.ask_the_venue()
    return house


async def taken(house, *, worst="80", at="82"):
    """The venue takes it away in the bar after the one that has gone too far."""
    low, high = sorted((Decimal(worst), Decimal(100)))
    await house.bar(f"100 {high} {low} {at}", 1)
    await house.bar(f"{at} {at} {at} {at}", 2)


def forced(house):
    return [fill for fill in house.of(Fill) if fill.forced]


@pytest.mark.parametrize(
    ("quantity", "stop", "worst", "at", "side"),
    [
        pytest.param("4000", "70", "80", "82", Side.SELL, id="a long"),
        pytest.param("-4000", "130", "120", "118", Side.BUY, id="a short"),
    ],
)
async def test_it_is_booked_to_the_digit_and_the_books_agree(quantity, stop, worst, at, side):
    house = await a_house_with(quantity, stop=stop)
    await taken(house, worst=worst, at=at)
    found = await house.ask_the_venue()
    (fill,) = forced(house)
    lost = abs(Decimal(at) - 100) * 4000
    assert (fill.side, fill.quantity) == (side, 4000)
    assert "liquidated: equity" in fill.forced
    assert (house.held(BTC), found.reconciled, found.differences) == (0, True, ())
    assert house.book.ledger.realised == {"USDT": -lost}
    assert house.book.ledger.equity == CASH - lost - house.book.ledger.fees["USDT"]
    assert house.book.ledger.balances["USDT"] == (await house.venue.balances())["USDT"]


async def test_its_stop_is_given_up_and_none_is_asked_for_again():
    house = await a_house_with()
    await taken(house)
    asked = len(house.facts)
    for number in range(3, 6):
        await house.bar("82 82 82 82", number)
    assert house.book.engine.orders == ()
    assert not [fact for fact in house.facts[asked:] if isinstance(fact, Alert)]
    assert await house.venue.open_orders() == ()


async def test_the_loss_counts_and_nothing_is_entered_until_a_person_resumes():
    house = await a_house_with()
    await taken(house)
    assert house.state.loss_streak == 1
    assert (house.state.trading, house.state.reason) == (TradingState.HALTED, HALTED_FOR)
    await house.bar("82 82 82 82", 60 * 24 * 3)
    assert house.state.trading is TradingState.HALTED


async def test_the_loss_of_the_day_counts():
    house = await a_house_with(max_daily_loss="0.5")
    await taken(house)
    assert house.state.halted_for == "daily_loss_limit"


async def test_the_drawdown_counts():
    house = await a_house_with(max_drawdown="0.5", derisk_drawdown="0.4")
    await taken(house)
    assert house.state.latch.reason == "drawdown_limit"


async def test_a_person_is_told_once_of_each():
    house = await a_house_with()
    await taken(house)
    await house.bar("82 82 82 82", 3)
    told = [a for a in house.of(Alert) if a.kind is AlertKind.LIQUIDATION]
    assert [a.subject.split()[0] for a in told] == [BTC]
    assert "by force, with a sell of 4000 at 82 first: liquidated: equity" in told[0].text
    assert [a.subject for a in house.of(Alert) if a.kind is AlertKind.TRADING] == [HALTED_FOR]


async def test_what_could_still_enter_is_cancelled():
    house = await a_house_with("3900")
    await enter(house, "B", "10", symbol=XRP, limit="0.5", stop="0.4")
    await taken(house)
    assert an_id("B") in {fact.client_order_id for fact in house.of(Cancelling)}
    assert await house.venue.open_orders() == ()


@pytest.mark.parametrize("flushed", [True, False], ids=["on record", "lost with the process"])
async def test_it_is_booked_once_across_a_restart(flushed):
    """Told as an event and asked for at the start: one of them books it."""
    house = await a_house_with()
    await house.journal.flush()
    await taken(house)
    if flushed:
        await house.journal.flush()
    house.venue.drain()
    await house.restart()
    found = await house.ask_the_venue()
    again = await house.ask_the_venue()
    kinds = [d.kind for d in found.differences]
    assert (DifferenceKind.LIQUIDATION in kinds) is not flushed
    assert (found.reconciled, again.differences) == (True, ())
    assert len(forced(house)) == 1
    assert (house.held(BTC), house.state.trading) == (0, TradingState.HALTED)


@pytest.mark.parametrize("entry_too", [False, True], ids=["alone", "with its entry's fill"])
async def test_what_reconciling_finds_is_a_class_of_its_own(entry_too):
    """The stream is lost; what is asked for comes in the venue's order."""
    house = await a_house_with(deaf=entry_too)
    house.book.engine.settle = lambda: None
    await taken(house)
    found = await house.ask_the_venue()
    (difference,) = (d for d in found.differences if d.kind is DifferenceKind.LIQUIDATION)
    assert (difference.subject, difference.ours) == (forced(house)[0].fill_id, "absent")
    assert "liquidated: equity" in difference.theirs
    assert (found.reconciled, house.held(BTC)) == (True, 0)
    assert house.state.trading is TradingState.HALTED


async def test_the_kill_switch_can_finish():
    house = await a_house_with()
    await house.bar("100 100 80 82", 1)  # it is being taken while a person flattens
    await house.flatten()
    for number in range(2, 5):
        await house.bar("82 82 82 82", number)
    await house.ask_the_venue()
    assert house.left == ()
    assert house.state.latch.is_done


async def test_a_forced_fill_of_what_is_not_ours_stays_foreign():
    """Somebody else's position in the same account goes: our books hold none of it."""
    house = await a_book_house(leverage="5", fit=SWIFT)
    await house.bar("100 100 100 100", 0)
    fill = (await a_forced_fill())[0]
    house.book.engine.record(fill)
    assert (house.held(BTC), house.state.trading) == (0, TradingState.ACTIVE)
    assert house.of(Alert) == []


async def test_one_beyond_our_position_stays_foreign():
    house = await a_house_with("1")
    fill = (await a_forced_fill())[0]
    house.book.engine.record(fill)
    assert (house.held(BTC), house.state.trading) == (1, TradingState.ACTIVE)


async def a_forced_fill():
    """As a venue tells one, of 4000 BTC."""
    house = await a_house_with()
    await taken(house)
    return forced(house)


@pytest.mark.parametrize("cut", [True, False], ids=["by a crash", "by nothing"])
async def test_a_halt_that_a_crash_cut_off_is_made_up_for(cut):
    """The fill was the last that became durable."""
    house = await a_house_with()
    await taken(house)
    facts = [*house.facts]
    at = facts.index(forced(house)[0])
    kept = facts[: at + 1] if cut else facts
    unheeded, ledger = UnheededLiquidations(), a_ledger("5")
    for fact in kept:
        unheeded.take(fact)
        if isinstance(fact, Fill):
            ledger.book(fact)
    later = await a_book_house(leverage="5", fit=SWIFT)
    later.book.heed(unheeded.booked_in(ledger))
    halted = later.state.trading is TradingState.HALTED
    assert (halted, bool(later.of(Alert))) == (cut, cut)


async def test_a_stop_of_a_position_that_was_cut_is_fitted():
    """A venue may take a part only: what is left keeps a stop of its size."""
    house = await a_house_with()
    whole = (await a_forced_fill())[0]
    house.book.engine.record(replace(whole, quantity=Decimal(1500)))
    assert house.held(BTC) == 2500
    for _ in range(3):
        await house.after(1)
    stops = [order for order in house.book.engine.orders if order.is_protective]
    assert [(stop.remaining, stop.order.trigger) for stop in stops] == [(2500, 70)]


async def test_a_desks_own_part_comes_back_with_it_and_without_what_is_foreign():
    house = await a_house_with()
    await taken(house)
    theirs = replace(forced(house)[0], fill_id="theirs", client_order_id="theirs", forced="")
    house.book.engine.record(theirs)
    await house.journal.flush()
    part = Subaccount(
        strategy_id="desk",
        symbols=frozenset({BTC}),
        limits=house.limits,
        first_state=house.state,
        ledger=a_ledger("5"),
    )
    engine = an_engine(house.venue, house.clock, house.journal, leverage="5")
    await engine.recover(house.journal.facts(), tell=partial(rebook, [part]))
    assert theirs in house.facts
    assert part.ledger.balances == engine.ledger.balances == house.book.ledger.balances

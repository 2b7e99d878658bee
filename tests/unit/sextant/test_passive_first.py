"""An order rests at the touch first, and what it has not got in time is taken at market."""

from datetime import timedelta
from decimal import Decimal

import pytest

from data.instrument import Quantity
from data.order_book import Level, OrderBook
from data.regime import Regime
from execution.order import Cancelling, OrderStatus
from execution.passive import AT_ONCE, Ended, First, PassiveSettings
from execution.venue import OrderRefused, OutcomeUnknown, VenueUnavailable, Withheld
from risk.approval import Rejection
from risk.breaker import Halt
from risk.intent import Purpose, completion_id
from sextant.facts import RestingWithdrawn
from tests.builders_passive import RESTS, a_floor
from tests.builders_venue import BTC, an_id

ENTRIES_ONLY = PassiveSettings(entries=True)


def prices(orders):
    return [(order.quantity, order.limit, order.post_only) for order in orders]


@pytest.mark.parametrize(
    ("passive", "expected"),
    [
        pytest.param(RESTS, [(1, 100, True)], id="at the touch"),
        pytest.param(AT_ONCE, [(1, None, False)], id="off"),
    ],
)
async def test_an_entry_rests_first_where_it_is_told_to(tmp_path, passive, expected):
    floor = await a_floor(tmp_path, passive=passive)
    await floor.wish("A", "1")
    assert prices(await floor.sent()) == expected


@pytest.mark.parametrize(
    ("quantity", "stop", "touch"),
    [
        pytest.param("1", "98", "99.98", id="a buyer at the best bid"),
        pytest.param("-1", "102", "100.03", id="a seller at the best ask"),
    ],
)
async def test_the_touch_is_the_best_price_of_its_own_side(tmp_path, quantity, stop, touch):
    floor = await a_floor(tmp_path)
    book = OrderBook(
        symbol=BTC,
        at=floor.clock.now(),
        bids=(Level(Decimal("99.98"), Decimal(100)),),
        asks=(Level(Decimal("100.03"), Decimal(100)),),
    )
    floor.show(book)
    await floor.wish("A", quantity, stop=stop)
    (order,) = await floor.sent()
    assert (order.limit, order.post_only) == (Decimal(touch), True)


async def test_what_it_gets_in_time_it_does_not_ask_for_again(tmp_path):
    floor = await a_floor(tmp_path)
    await floor.wish("A", "1")
    await floor.bar("100 100 99.5 100")
    await floor.after(60)
    assert floor.held == 1
    assert len(await floor.sent()) == 1


@pytest.mark.parametrize("volume", ["0.4", "1000"])
async def test_what_it_has_not_got_is_taken_at_market(tmp_path, volume):
    floor = await a_floor(tmp_path, text="    participation = 1\n")
    await floor.wish("A", "1")
    await floor.bar("100 100 99.5 100", volume="0.4")
    part = floor.held
    assert part == Decimal("0.4")
    await floor.after(1)
    first, rest = await floor.sent()
    assert (rest.client_order_id, rest.completes) == (completion_id(an_id("A")), an_id("A"))
    assert prices([first, rest]) == [(1, 100, True), (Decimal("0.6"), None, False)]
    assert (rest.stop, rest.strategy_id) == (first.stop, first.strategy_id)
    for _ in range(5):
        await floor.bar("100.2 100.2 100.2 100.2")
    assert floor.held == 1
    assert len(await floor.sent()) == 2


async def test_it_rests_for_as_long_as_it_may(tmp_path):
    floor = await a_floor(tmp_path)
    await floor.wish("A", "1")
    for seconds, status in ((9, OrderStatus.OPEN), (1, OrderStatus.CANCELLED)):
        await floor.after(seconds)
        assert (await floor.paper.order(an_id("A"))).status is status
    await floor.after(1)
    assert len(await floor.sent()) == 2


async def test_one_that_would_take_is_over_and_the_rest_is_all_of_it(tmp_path):
    floor = await a_floor(tmp_path)
    await floor.wish("A", "1")
    await floor.bar("99 99 99 99")  # the market has come through its price before it was there
    await floor.after(1)
    assert prices(await floor.sent()) == [(1, 100, True), (1, None, False)]


@pytest.mark.req("S0-19")
async def test_the_rest_is_judged_as_the_whole_that_it_is_and_can_be_cut(tmp_path):
    """A tenth is bought; then the price is so far from the stop that less is allowed in all."""
    floor = await a_floor(tmp_path, text="    participation = 1\n")
    floor.session.book.limits = floor.session.book.limits.model_copy(
        update={"max_risk_per_trade": Decimal("0.0001")}  # 1 of 10,000, so 0.5 at 2 from the stop
    )
    verdict = await floor.wish("A", "10")
    assert Decimal("0.49") <= verdict.quantity <= Decimal("0.5")
    await floor.bar("100 100.9 99.5 100.9", volume="0.1")
    await floor.after(1)
    _, rest = await floor.sent()
    assert 0 < rest.quantity <= Decimal("0.345") - Decimal("0.1")


async def test_a_rest_that_the_rules_refuse_is_given_up(tmp_path):
    floor = await a_floor(tmp_path)
    await floor.wish("A", "1")
    await floor.bar("97 97 97 97")  # beyond its stop
    await floor.after(1)
    assert len(await floor.sent()) == 1
    assert [r.intent.completes for r in await floor.facts(Rejection)] == [an_id("A")]


async def test_the_rest_of_what_was_stopped_out_is_given_up(tmp_path):
    floor = await a_floor(tmp_path, text="    participation = 1\n")
    await floor.wish("A", "1")
    await floor.bar("100 100 99.5 100", volume="0.4")
    await floor.bar("100 100 97 100", volume="0.4")
    for _ in range(3):
        await floor.bar("100 100 100 100")
    assert floor.held == 0
    assert len(await floor.sent()) == 1


async def test_a_kill_switch_gives_it_up(tmp_path):
    floor = await a_floor(tmp_path)
    await floor.wish("A", "1")
    now = floor.clock.now()
    floor.session.book.note(Halt(by="Ada", why="storm", at=now))
    for _ in range(3):
        await floor.after(20)
    assert len(await floor.sent()) == 1
    assert floor.held == 0


async def test_somebody_elses_cancellation_gives_it_up(tmp_path):
    floor = await a_floor(tmp_path)
    await floor.wish("A", "1")
    await floor.paper.cancel(an_id("A"))
    await floor.work()
    for _ in range(3):
        await floor.after(20)
    assert len(await floor.sent()) == 1


async def test_after_a_restart_what_rests_is_cancelled_and_no_more_is_asked_for(tmp_path):
    floor = await a_floor(tmp_path)
    await floor.wish("A", "1")
    await floor.journal.flush()
    state = floor.session.book.state
    floor.open(state)
    await floor.engine.recover(floor.journal.facts())
    await floor.bar("100 100 100 100")
    await floor.after(20)
    await floor.after(20)
    assert (await floor.paper.order(an_id("A"))).status is OrderStatus.CANCELLED
    assert len(await floor.sent()) == 1


class Answers:
    """A venue whose first answer to a submission is an error, whatever becomes of the order."""

    def __init__(self, venue, error, *, arrives):
        self._venue, self._error, self._arrives = venue, error, arrives

    def __getattr__(self, name):
        return getattr(self._venue, name)

    async def submit(self, order):
        error, self._error = self._error, None
        if error is None or self._arrives:
            await self._venue.submit(order)
        if error is not None:
            raise error


@pytest.mark.parametrize(
    ("error", "arrives", "asked", "held"),
    [
        pytest.param(OrderRefused("post only"), False, 2, 1, id="refused: all of it is the rest"),
        pytest.param(Withheld("unguarded"), False, 1, 0, id="withheld by ourselves"),
        pytest.param(OutcomeUnknown("?"), True, 2, 1, id="no answer, and it is there"),
        pytest.param(OutcomeUnknown("?"), False, 1, 0, id="no answer, and it is not there"),
        pytest.param(VenueUnavailable("down"), False, 1, 0, id="not sent in time"),
    ],
)
async def test_no_answer_leads_to_more_than_was_approved(tmp_path, error, arrives, asked, held):
    floor = await a_floor(tmp_path, behind=lambda venue: Answers(venue, error, arrives=arrives))
    await floor.wish("A", "1")
    for _ in range(6):
        await floor.bar("100 100 100 100")
    assert floor.held == held
    assert len(await floor.sent()) == asked


@pytest.mark.parametrize(
    ("passive", "expected"),
    [
        pytest.param(RESTS, [(1, 100, True), (1, None, False)], id="an exit rests first too"),
        pytest.param(ENTRIES_ONLY, [(1, None, False)], id="only entries do"),
    ],
)
async def test_an_exit_that_a_strategy_wishes(tmp_path, passive, expected):
    floor = await a_floor(tmp_path, passive=passive)
    await floor.wish("A", "1")
    await floor.bar("100 100 99.5 100")
    await floor.leave("X", "-1")
    for seconds in (10, 1):
        await floor.after(seconds)
    assert prices(await floor.sent(Purpose.EXIT)) == expected
    await floor.bar("100 100 100 100")
    assert floor.held == 0
    await floor.after(60)
    assert not await floor.paper.open_orders()


async def test_an_exit_that_could_not_be_sent_in_time_takes(tmp_path):
    floor = await a_floor(
        tmp_path,
        passive=PassiveSettings(exits=True),
        behind=lambda venue: Answers(venue, None, arrives=False),
    )
    await floor.wish("A", "1")
    await floor.bar("100 100 99.5 100")
    floor.venue._error = VenueUnavailable("down")
    await floor.leave("X", "-1")
    for seconds in (10, 1):
        await floor.after(seconds)
    assert prices(await floor.sent(Purpose.EXIT)) == [(1, 100, True), (1, None, False)]
    await floor.bar("100 100 100 100")
    assert floor.held == 0


async def test_an_exit_whose_position_is_gone_asks_for_nothing_more(tmp_path):
    floor = await a_floor(tmp_path)
    await floor.wish("A", "1")
    await floor.bar("100 100 99.5 100")
    await floor.leave("X", "-1")
    await floor.bar("100 100 97 97")  # its stop fills
    for _ in range(3):
        await floor.after(20)
    assert floor.held == 0
    assert len(await floor.sent(Purpose.EXIT)) == 1


async def test_what_was_approved_too_long_ago_asks_for_nothing_more(tmp_path):
    """As where the venue could not be reached for long, and then says how the first has ended."""
    floor = await a_floor(tmp_path)
    await floor.wish("A", "1")
    await floor.after(13 * 3600)
    await floor.after(1)
    assert await floor.facts(Cancelling)
    assert await floor.facts(Rejection) == []
    assert len(await floor.sent()) == 1


async def test_an_exit_does_not_end_the_position_after(tmp_path):
    floor = await a_floor(tmp_path, passive=PassiveSettings(exits=True))
    await floor.wish("A", "1")
    await floor.bar("100 100 99.5 100")
    left = await floor.leave("X", "-1")
    await floor.bar("100 100 97 97")  # its stop fills
    for _ in range(2):
        await floor.bar("97 97 97 97")
    await floor.wish("B", "1", stop="95")
    await floor.bar("97 97 96.5 97")
    assert floor.held == 1
    first = First(intent=left.intent, quantity=left.quantity)
    ended = Ended(first=first, filled=Quantity(Decimal(0)), left=Quantity(Decimal(1)))
    now = floor.clock.now()
    resting = floor.session.resting
    assert not resting._take_rest(ended, floor.desk, Regime.UNKNOWN, flawed=False, now=now)
    assert len(await floor.sent(Purpose.EXIT)) == 1


async def test_the_cool_down_after_a_trade_begins_when_it_is_over(tmp_path):
    floor = await a_floor(tmp_path)
    await floor.wish("A", "1")
    assert BTC not in floor.session.book.state.cool_down_until
    await floor.after(10)
    await floor.after(1)
    until = floor.clock.now() + timedelta(minutes=1)
    assert floor.session.book.state.cool_down_until[BTC] == until


async def test_a_daemon_that_stops_leaves_nothing_resting(tmp_path):
    floor = await a_floor(tmp_path)
    await floor.wish("A", "1")
    floor.session.withdraw_resting()
    floor.session.withdraw_resting()
    await floor.engine.drain()
    assert (await floor.paper.order(an_id("A"))).status is OrderStatus.CANCELLED
    assert len(await floor.facts(RestingWithdrawn)) == 1
    assert len(await floor.sent()) == 1

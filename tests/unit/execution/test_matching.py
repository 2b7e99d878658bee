from datetime import timedelta
from decimal import Decimal

import pytest

from data.bar import Timeframe
from data.faults import Corrupt
from data.instrument import Symbol
from execution.fill import Fill, Liquidity
from execution.matching import Matching
from execution.order import OrderStatus
from execution.paper_terms import PaperTerms
from execution.venue import OrderChanged, stop_id
from execution.venue_state import StopTriggered
from tests.builders_venue import (
    CROSS,
    MINUTE,
    NOON,
    XRP,
    a_bar,
    an_id,
    an_order,
    instruments,
    terms,
)

RICH = {"USDT": Decimal(100_000), "BTC": Decimal(0)}


def a_matching(*, balances=None, leverage="5", **changes):
    return Matching(
        venue="paper",
        instruments=instruments(leverage),
        terms=terms(**changes),
        balances=RICH if balances is None else balances,
    )


def placed(matching, *orders, at=NOON):
    for order in orders:
        assert matching.refusal(order) is None
        matching.place(order, at)
    return matching


def trades(matching):
    """(side, quantity, price) of every fill, as text."""
    return [f"{f.side} {text(f.quantity)} at {text(f.price)}" for f in matching.fills()]


def text(number):
    return f"{number.normalize():f}"


def played(matching, *bars):
    """Let the bars come, one a minute; every fact that they lead to."""
    return [
        fact
        for n, bar in enumerate(bars)
        for fact in matching.observe(a_bar(bar, number=n) if isinstance(bar, str) else bar)
    ]


def status(matching, name):
    order = matching.order(an_id(name))
    return order.status if order is not None else None


def child_of(matching, name):
    return matching.order(stop_id(an_id(name)))


@pytest.mark.parametrize(
    ("delay", "quantity", "expected"),
    [
        pytest.param(0, "1", "buy 1 at 100", id="ready at the open: the open"),
        pytest.param(30, "1", "buy 1 at 105", id="half way: half way from open to close"),
        pytest.param(20, "1", "buy 1 at 103.34", id="a buy rounds up"),
        pytest.param(20, "-1", "sell 1 at 103.33", id="a sale rounds down"),
        pytest.param(60, "1", None, id="ready at the close: not in this bar"),
    ],
)
def test_a_market_order_fills_at_the_first_price_it_meets(delay, quantity, expected):
    matching = placed(a_matching(latency=timedelta(seconds=delay)), an_order("order", quantity))
    played(matching, "100 112 98 110")
    assert trades(matching) == ([expected] if expected else [])


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [
        pytest.param("1", "buy 1 at 10004.01", id="buy"),
        pytest.param("-1", "sell 1 at 9995.99", id="sell"),
    ],
)
def test_half_the_spread_and_slippage_are_paid_and_rounded_against_us(quantity, expected):
    matching = a_matching(spread_bps=Decimal(2), slippage_bps=Decimal("3.001"))
    played(placed(matching, an_order("order", quantity)), "10000 10000 10000 10000")
    assert trades(matching) == [expected]


@pytest.mark.parametrize(
    ("quantity", "trigger", "bar", "expected"),
    [
        pytest.param("-1", "95", "100 101 95.01 96", None, id="sell: not reached"),
        pytest.param("-1", "95", "100 101 95 96", "sell 1 at 95", id="sell: a touch is enough"),
        pytest.param("-1", "95", "100 101 90 96", "sell 1 at 95", id="sell: within the bar"),
        pytest.param("-1", "95", "93 101 90 96", "sell 1 at 93", id="sell: jumped over"),
        pytest.param("1", "105", "100 104.99 99 100", None, id="buy: not reached"),
        pytest.param("1", "105", "100 110 99 100", "buy 1 at 105", id="buy: within the bar"),
        pytest.param("1", "105", "108 110 99 100", "buy 1 at 108", id="buy: jumped over"),
    ],
)
def test_a_stop_order_fills_at_its_trigger_or_worse(quantity, trigger, bar, expected):
    matching = placed(a_matching(), an_order("order", quantity, trigger=trigger))
    played(matching, bar)
    assert trades(matching) == ([expected] if expected else [])


def test_a_stop_order_pays_spread_and_slippage_beyond_its_trigger():
    matching = a_matching(spread_bps=Decimal(20), slippage_bps=Decimal(90))
    played(placed(matching, an_order("order", "-1", trigger="95")), "100 100 90 100")
    assert trades(matching) == ["sell 1 at 94.05"]


@pytest.mark.parametrize(
    ("quantity", "limit", "bars", "expected"),
    [
        pytest.param("1", "95", ["100 101 95 96"], None, id="buy: a touch is not enough"),
        pytest.param(
            "1", "95", ["100 101 94.99 96"], "buy 1 at 95 maker", id="buy: traded through"
        ),
        pytest.param(
            "1", "95", ["100 100 99 99", "90 96 88 95"], "buy 1 at 90 maker", id="buy: better open"
        ),
        pytest.param("1", "95", ["90 96 88 95"], "buy 1 at 90 taker", id="buy: takes on arrival"),
        pytest.param("1", "95", ["95 96 95 95"], None, id="buy: arrives at its limit"),
        pytest.param("-1", "105", ["100 105 99 100"], None, id="sell: a touch is not enough"),
        pytest.param(
            "-1", "105", ["100 105.01 99 100"], "sell 1 at 105 maker", id="sell: traded through"
        ),
        pytest.param(
            "-1", "105", ["110 110 99 100"], "sell 1 at 110 taker", id="sell: takes on arrival"
        ),
    ],
)
def test_a_limit_order_fills_at_its_limit_or_a_better_open(quantity, limit, bars, expected):
    matching = placed(a_matching(), an_order("order", quantity, limit=limit))
    played(matching, *bars)
    seen = [f"{f.side} {f.quantity} at {f.price} {f.liquidity}" for f in matching.fills()]
    assert seen == ([expected] if expected else [])


def test_a_limit_order_takes_only_what_is_within_its_limit_after_costs():
    """Offered at 95.01, it rests at 95 and is filled there as the maker."""
    matching = a_matching(slippage_bps=Decimal(100), maker_fee=Decimal("0.01"))
    played(placed(matching, an_order("order", "1", limit="95")), "94.5 96 94 95")
    (fill,) = matching.fills()
    assert (fill.price, fill.liquidity, fill.fee) == (95, Liquidity.MAKER, Decimal("0.95"))


def test_fees_are_a_share_of_notional_in_quote():
    matching = a_matching(maker_fee=Decimal("0.0016"), taker_fee=Decimal("0.0026"))
    placed(matching, an_order("taker", "0.5"), an_order("maker", "0.5", limit="90"))
    played(matching, "100 101 99 99", "95 96 89 90")
    assert [(f.fee, f.fee_asset) for f in matching.fills()] == [
        (Decimal("0.13"), "USDT"),
        (Decimal("0.072"), "USDT"),
    ]
    assert matching.balances == {"BTC": 1, "USDT": Decimal(100_000) - 95 - Decimal("0.202")}


@pytest.mark.parametrize(
    ("orders", "bar", "expected"),
    [
        pytest.param(
            [an_order("entry", "1", stop="95")],
            "100 101 95 99",
            ["buy 1 at 100", "sell 1 at 95"],
            id="market entry, stopped in its own bar",
        ),
        pytest.param(
            [an_order("entry", "-1", stop="105")],
            "100 106 95 99",
            ["sell 1 at 100", "buy 1 at 105"],
            id="the same, short",
        ),
        pytest.param(
            [an_order("entry", "1", limit="98", stop="95")],
            "100 101 94 99",
            ["buy 1 at 98", "sell 1 at 95"],
            id="limit entry, stopped in its own bar",
        ),
        pytest.param(
            [an_order("entry", "1", trigger="105", stop="95")],
            "100 106 94 99",
            ["buy 1 at 105", "sell 1 at 95"],
            id="breakout entry, stopped in its own bar",
        ),
        pytest.param(
            [an_order("entry", "1", limit="98", stop="95")],
            "92 101 91 99",
            ["buy 1 at 92", "sell 1 at 92"],
            id="filled beyond its stop: out at once",
        ),
        pytest.param(
            [an_order("entry", "1", stop="95")],
            "100 101 95.01 99",
            ["buy 1 at 100"],
            id="not reached",
        ),
    ],
)
def test_the_stop_of_an_entry_is_there_from_its_fill_on(orders, bar, expected):
    matching = placed(a_matching(), *orders)
    played(matching, bar)
    assert trades(matching) == expected


def test_an_entry_that_never_fills_has_no_child():
    matching = placed(a_matching(), an_order("entry", "1", limit="50", stop="40"))
    played(matching, "100 101 95 99")
    assert child_of(matching, "entry") is None


def test_the_child_covers_what_has_filled_so_far():
    matching = placed(a_matching(participation=Decimal("0.1")), an_order("entry", "1", stop="90"))
    sizes = []
    for n, volume in enumerate(("3", "4.0019", "1000")):
        matching.observe(a_bar("100 101 99 100", number=n, volume=volume))
        child = child_of(matching, "entry")
        sizes.append(child.quantity)
        assert (child.trigger, child.reduce_only, child.parent) == (90, True, an_id("entry"))
    assert sizes == [Decimal("0.3"), Decimal("0.7001"), 1]
    assert status(matching, "entry") is OrderStatus.FILLED


def test_fills_come_before_what_they_change():
    matching = placed(a_matching(), an_order("entry", "1", stop="95"))
    facts = played(matching, "100 101 94 99")
    kinds = [(type(f).__name__, getattr(getattr(f, "order", None), "status", None)) for f in facts]
    assert kinds == [
        ("Fill", None),
        ("OrderChanged", OrderStatus.FILLED),
        ("OrderChanged", OrderStatus.OPEN),
        ("StopTriggered", None),
        ("Fill", None),
        ("OrderChanged", OrderStatus.FILLED),
    ]
    assert [f.fill_id for f in facts if isinstance(f, Fill)] == ["paper-1", "paper-2"]
    assert all(NOON <= f.at < NOON + MINUTE for f in facts if isinstance(f, OrderChanged))


def test_a_bar_that_holds_stop_and_target_hits_the_stop():
    matching = placed(a_matching(), an_order("entry", "1", stop="95"))
    played(matching, "100 101 99 100")
    placed(matching, an_order("target", "-1", limit="110", reduce_only=True), at=NOON + MINUTE)
    matching.observe(a_bar("100 120 90 100", number=1))
    assert trades(matching) == ["buy 1 at 100", "sell 1 at 95"]
    assert status(matching, "target") is OrderStatus.CANCELLED


def test_a_bar_fills_no_more_than_its_share_of_volume():
    matching = placed(
        a_matching(participation=Decimal("0.5")), an_order("one", "1"), an_order("two", "1")
    )
    bars = [a_bar("100 100 100 100", number=n, volume=v) for n, v in enumerate(("3", "0", "9"))]
    played(matching, *bars)
    assert trades(matching) == ["buy 1 at 100", "buy 0.5 at 100", "buy 0.5 at 100"]


def test_a_stop_that_went_off_without_volume_stays_a_market_order():
    """The entry eats the bar's volume; price recovers, and the stop sells all the same."""
    matching = placed(a_matching(participation=Decimal("0.5")), an_order("entry", "1", stop="95"))
    facts = played(matching, a_bar("100 100 94 99", volume="2"))
    assert trades(matching) == ["buy 1 at 100"]
    assert any(isinstance(fact, StopTriggered) for fact in facts)
    matching.observe(a_bar("103 104 103 104", number=1))
    assert trades(matching) == ["buy 1 at 100", "sell 1 at 103"]


def test_an_entry_whose_stop_went_off_fills_no_further():
    matching = placed(a_matching(participation=Decimal("0.5")), an_order("entry", "3", stop="95"))
    played(matching, a_bar("100 100 94 99", volume="2"), a_bar("99 99 99 99", number=1))
    assert trades(matching) == ["buy 1 at 100", "sell 1 at 99"]
    assert status(matching, "entry") is OrderStatus.CANCELLED
    assert matching.order(an_id("entry")).filled == 1


@pytest.mark.parametrize(
    ("held", "exit_", "filled"),
    [
        pytest.param("1", "-1", "1", id="all of it"),
        pytest.param("1", "-3", "1", id="cut to the position"),
        pytest.param("-2", "5", "2", id="cut to a short position"),
    ],
)
def test_a_reduce_only_order_never_turns_the_position(held, exit_, filled):
    matching = placed(a_matching(), an_order("entry", held))
    played(matching, "100 100 100 100")
    placed(matching, an_order("exit", exit_, reduce_only=True), at=NOON + MINUTE)
    matching.observe(a_bar("100 100 100 100", number=1))
    assert matching.balances["BTC"] == 0
    assert matching.order(an_id("exit")).filled == Decimal(filled)
    assert status(matching, "exit").is_final


def test_stops_end_with_the_position_they_protect():
    matching = placed(a_matching(), an_order("entry", "1", stop="95"))
    played(matching, "100 100 100 100")
    placed(matching, an_order("exit", "-1"), at=NOON + MINUTE)
    (*_, last) = matching.observe(a_bar("100 100 100 100", number=1))
    assert (last.order.status, last.reason) == (OrderStatus.CANCELLED, "nothing to reduce")
    assert matching.open_orders == ()


def test_the_stop_of_an_entry_that_may_still_fill_outlives_a_flat_moment():
    matching = placed(
        a_matching(participation=Decimal("0.001")), an_order("entry", "2", limit="99", stop="95")
    )
    played(matching, "100 100 98 100")
    placed(matching, an_order("exit", "-1"), at=NOON + MINUTE)
    matching.observe(a_bar("100 100 99.5 100", number=1))
    assert child_of(matching, "entry").status is OrderStatus.OPEN
    matching.observe(a_bar("100 100 98 100", number=2))
    assert child_of(matching, "entry").quantity == 2
    matching.observe(a_bar("100 100 90 91", number=3))
    assert trades(matching)[-1] == "sell 1 at 95"


def test_cancelling_the_entry_releases_the_stop_of_what_is_already_closed():
    matching = placed(
        a_matching(participation=Decimal("0.001")), an_order("entry", "2", limit="99", stop="95")
    )
    played(matching, "100 100 98 100")
    placed(matching, an_order("exit", "-1"), at=NOON + MINUTE)
    matching.observe(a_bar("100 100 99.5 100", number=1))
    matching.cancel(an_id("entry"), NOON + 3 * MINUTE)
    assert matching.open_orders == ()


def test_cancelling_stops_what_is_left_and_keeps_the_stop():
    matching = placed(a_matching(participation=Decimal("0.001")), an_order("entry", "2", stop="95"))
    played(matching, "100 100 100 100")
    (changed,) = matching.cancel(an_id("entry"), NOON + 2 * MINUTE)
    assert (changed.order.status, changed.order.filled) == (OrderStatus.CANCELLED, 1)
    assert [o.client_order_id for o in matching.open_orders] == [stop_id(an_id("entry"))]
    assert matching.cancel(an_id("entry"), NOON + 2 * MINUTE) == []
    assert matching.cancel(an_id("never heard of"), NOON) == []


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        pytest.param(
            an_order("o", "1", symbol=Symbol("ETH/USDT")), "not traded here", id="unknown symbol"
        ),
        pytest.param(an_order("o", "0.00015"), "not a multiple of 0.0001", id="off the lot grid"),
        pytest.param(
            an_order("o", "9", symbol=XRP), "not a multiple of 1 from 10 on", id="too little"
        ),
        pytest.param(
            an_order("o", "0.01", limit="100"), "notional 1.00 is below 5", id="too cheap"
        ),
        pytest.param(an_order("o", "0.01"), "notional 1.00 is below 5", id="too cheap at market"),
        pytest.param(an_order("o", "1", limit="90.001"), "limit 90.001", id="limit off the tick"),
        pytest.param(an_order("o", "1", stop="-90"), "stop -90", id="stop below zero"),
        pytest.param(
            an_order("o", "-1", reduce_only=True), "no position to reduce", id="nothing to reduce"
        ),
        pytest.param(an_order("o", "21"), "needs 2100 USDT, has 2000", id="not enough money"),
        pytest.param(an_order("o", "-1"), "needs 1 BTC, has 0", id="short on spot"),
        pytest.param(an_order("o", "-1", trigger="90"), "needs 1 BTC", id="stop entry, short"),
    ],
)
def test_what_the_venue_will_not_take_on_it_says_why(order, reason):
    matching = a_matching(leverage="1", balances={"USDT": Decimal(2000)})
    played(matching, "100 100 100 100")
    assert reason in matching.refusal(order)


@pytest.mark.req("S0-22")
@pytest.mark.parametrize(
    ("held", "quantity", "refused"),
    [
        pytest.param(None, "50", False, id="five times equity"),
        pytest.param(None, "50.0001", True, id="past it"),
        pytest.param(None, "-50.0001", True, id="past it, short"),
        pytest.param("50", "-100", False, id="turned to the same size"),
        pytest.param("-50", "1", False, id="reducing"),
        pytest.param("50", "1", True, id="adding to a full position"),
    ],
)
def test_on_margin_exposure_is_held_to_leverage_times_equity(held, quantity, refused):
    matching = a_matching(balances={"USDT": Decimal(1000)}, leverage="5")
    played(matching, "100 100 100 100")
    if held is not None:
        placed(matching, an_order("held", held), at=NOON + MINUTE)
    matching.observe(a_bar("100 100 100 100", number=1))
    assert (matching.refusal(an_order("order", quantity)) is not None) == refused


def test_margin_counts_the_positions_of_every_symbol_at_their_prices():
    matching = a_matching(balances={"USDT": Decimal(1000)}, leverage="2")
    matching.observe(a_bar("100 100 100 100"))
    matching.observe(a_bar("0.01 0.01 0.01 0.01", symbol=CROSS))
    placed(matching, an_order("btc", "10"), at=NOON + MINUTE)
    matching.observe(a_bar("100 100 100 100", number=1))
    assert matching.refusal(an_order("o", "1000", symbol=CROSS)) is None
    assert "exposure 20.01 would pass 20" in matching.refusal(an_order("o", "1001", symbol=CROSS))


def test_margin_is_refused_where_an_asset_has_no_price():
    matching = a_matching(balances={"USDT": Decimal(1000), "EUR": Decimal(1)})
    assert "no price values" in matching.refusal(an_order("o", "1", limit="100"))


@pytest.mark.parametrize(
    ("participation", "ended_as"),
    [
        pytest.param(None, OrderStatus.REJECTED, id="nothing filled"),
        pytest.param(Decimal("0.01"), OrderStatus.CANCELLED, id="part of it filled"),
    ],
)
def test_what_cannot_be_paid_when_it_would_fill_ends_with_the_reason(participation, ended_as):
    matching = a_matching(
        leverage="1", balances={"USDT": Decimal(2000)}, participation=participation
    )
    played(matching, "100 100 100 100")
    placed(matching, an_order("order", "20"), at=NOON + MINUTE)
    facts = [
        *matching.observe(a_bar("190 190 190 190", number=1)),
        *matching.observe(a_bar("190 190 190 190", number=2)),
    ]
    last = [fact for fact in facts if isinstance(fact, OrderChanged)][-1]
    assert last.order.status is ended_as
    assert "USDT, has" in last.reason


def test_the_same_client_order_id_is_one_order():
    matching = a_matching()
    placed(matching, an_order("order", "1"))
    assert matching.place(an_order("order", "1"), NOON) == []
    played(matching, "100 100 100 100")
    assert matching.place(an_order("order", "1"), NOON + MINUTE) == []
    assert trades(matching) == ["buy 1 at 100"]


def test_prices_are_used_once():
    """Neither the same bar again nor the hour that the minutes made fills anything."""
    matching = a_matching()
    minute = a_bar("100 100 100 100", number=59)
    matching.observe(minute)
    placed(matching, an_order("order", "1", limit="99"), at=NOON)
    matching.observe(minute)
    matching.observe(a_bar("100 100 50 100", timeframe=Timeframe.H1))
    assert matching.fills() == ()
    matching.observe(a_bar("99 99 98 99", number=60))
    assert len(matching.fills()) == 1


def test_bars_of_other_symbols_fill_nothing():
    matching = placed(a_matching(), an_order("order", "1"))
    assert not played(matching, a_bar("1 1 1 1", symbol=XRP))


def test_facts_restore_the_state():
    matching = a_matching(participation=Decimal("0.001"))
    facts = []
    for name, quantity in (("one", "3"), ("two", "-1")):
        facts += matching.place(
            an_order(name, quantity, stop="95" if name == "one" else None), NOON
        )
    facts += played(matching, "100 100 94 100", "100 100 100 100")
    facts += matching.cancel(an_id("two"), NOON + 3 * MINUTE)
    again = a_matching(participation=Decimal("0.001"))
    for fact in facts:
        again.apply(fact)
    for name in ("balances", "open_orders"):
        assert getattr(again, name) == getattr(matching, name)
    assert again.fills() == matching.fills()
    bar = a_bar("100 100 90 91", number=5)
    assert again.observe(bar) == matching.observe(bar)


def test_a_fact_about_an_order_never_placed_is_corrupt():
    with pytest.raises(Corrupt, match="was ever placed"):
        a_matching().apply(StopTriggered(client_order_id=an_id("order"), at=NOON))


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"spread_bps": Decimal(-1)}, id="negative spread"),
        pytest.param({"slippage_bps": Decimal(-1)}, id="negative slippage"),
        pytest.param({"latency": timedelta(seconds=-1)}, id="negative latency"),
        pytest.param({"participation": Decimal(0)}, id="no participation"),
        pytest.param({"participation": Decimal("1.1")}, id="more than everything"),
    ],
)
def test_terms_that_no_market_has_are_refused(changes):
    with pytest.raises(ValueError, match=r"share in|not below 0"):
        terms(**changes)


def test_terms_are_given_in_full():
    with pytest.raises(TypeError):
        PaperTerms()

"""What a closed trade's profit came of, by hand."""

from decimal import Decimal

import pytest

from execution.attribution import Attribution, ReferencedFill, References
from execution.blotter import Blotter, FillBooked
from execution.ledger import Ledger
from execution.order import Outcome, Submitted, Submitting
from tests.builders_venue import BTC, CROSS, NOON, a_fill, an_id, an_order, instruments


def traded(*steps, symbol=BTC):
    """The parts of the last trade that `steps` close; each is quantity, decided, arrived, filled,
    and perhaps fee and its asset."""
    ledger, attribution = Ledger("USDT", {"USDT": Decimal(100000)}, instruments()), Attribution()
    ledger.mark(BTC, Decimal(40000), NOON)
    parts = None
    for number, (quantity, decided, arrived, filled, *fee) in enumerate(steps):
        paid = dict(zip(("fee", "fee_asset"), fee, strict=False))
        fill = a_fill(number, quantity, filled, symbol=symbol, **paid)
        closed = ledger.book(fill)
        seen = ReferencedFill(fill=fill, decided=Decimal(decided), arrived=Decimal(arrived))
        parts = attribution.book(seen, closed, ledger.rate(symbol.quote)) or parts
    return parts


@pytest.mark.req("S1-136")
@pytest.mark.parametrize(
    ("steps", "parts"),
    [
        pytest.param(
            [("1", "100", "100", "100"), ("-1", "110", "110", "110")],
            ("10", "0", "0", "0"),
            id="nothing but the signal",
        ),
        pytest.param(
            [("1", "100", "101", "101"), ("-1", "110", "109", "109")],
            ("10", "-2", "0", "0"),
            id="it moved before the orders arrived",
        ),
        pytest.param(
            [("1", "100", "100", "100.5"), ("-1", "110", "110", "109.5")],
            ("10", "0", "-1", "0"),
            id="the fills were worse than the market",
        ),
        pytest.param(
            [("1", "100", "100", "100", "0.26"), ("-1", "110", "110", "110", "0.28")],
            ("10", "0", "0", "-0.54"),
            id="fees",
        ),
        pytest.param(
            [("1", "100", "101", "100.5", "0.2"), ("-1", "110", "112", "111", "0.3")],
            ("10", "1", "-0.5", "-0.5"),
            id="all four",
        ),
        pytest.param(
            [("-1", "100", "99", "98.5"), ("1", "90", "91", "92")],
            ("10", "-2", "-1.5", "0"),
            id="a short gains where the price falls",
        ),
        pytest.param(
            [("1", "100", "100", "100"), ("1", "120", "121", "121"), ("-2", "110", "110", "110")],
            ("0", "-1", "0", "0"),
            id="two entries share their cost",
        ),
        pytest.param(
            [("1", "100", "100", "100"), ("-3", "110", "110", "109"), ("2", "100", "100", "100")],
            ("20", "0", "-2", "0"),
            id="through zero: the last trade is the short",
        ),
        pytest.param(
            [("2", "100", "100", "100"), ("-1", "110", "110", "110"), ("-1", "90", "90", "90")],
            ("0", "0", "0", "0"),
            id="in two parts",
        ),
    ],
)
def test_the_parts_of_a_trade(steps, parts):
    found = traded(*steps)
    assert (found.alpha, found.timing, found.slippage, found.fees) == tuple(map(Decimal, parts))
    assert found.total == found.trade.pnl


def test_a_cross_is_valued_in_the_accounts_currency():
    found = traded(
        ("100", "0.00001", "0.00001", "0.00001"),
        ("-100", "0.00002", "0.000021", "0.00002"),
        symbol=CROSS,
    )
    assert (found.alpha, found.timing, found.slippage) == (40, 4, -4)
    assert found.total == found.trade.pnl == 40


def test_a_fee_in_base_is_a_fee_and_makes_the_position_smaller():
    found = traded(
        ("1", "100", "100", "100", "0.01", "BTC"), ("-0.99", "110", "110", "110", "0", "USDT")
    )
    assert (found.alpha, found.fees) == (Decimal("9.9"), -1)


def test_an_open_trade_has_no_parts_yet():
    assert traded(("1", "100", "100", "100")) is None


def test_a_profit_of_unknown_worth_has_no_parts():
    ledger, attribution = Ledger("USDT", {"BTC": Decimal(1)}, instruments()), Attribution()
    for number, quantity in enumerate(("100", "-100")):
        fill = a_fill(number, quantity, "0.00001", symbol=CROSS, fee_asset="BTC")
        closed = ledger.book(fill)
        seen = ReferencedFill(fill=fill, decided=fill.price, arrived=fill.price)
        assert attribution.book(seen, closed, ledger.rate("BTC")) is None
    assert closed is not None


def test_a_stop_is_decided_and_arrives_at_its_trigger():
    order = an_order("stop", "-1", trigger="95", reduce_only=True)
    fill = a_fill(1, "-1", "94.5")
    seen = References().of(fill, order)
    assert (seen.decided, seen.arrived) == (95, 95)


def test_an_order_of_which_no_mark_is_known_has_no_reference():
    references = References()
    references.decide(an_order("order 1", "1"), None)
    references.arrive(an_id("order 1"), Decimal(101))
    assert references.of(a_fill(1, "1", "100"), an_order("order 1", "1")) is None


@pytest.mark.req("S1-136")
@pytest.mark.parametrize(
    ("first_mark", "parts"),
    [
        pytest.param("100", ("10", "1", "-1", "0"), id="known from the beginning"),
        pytest.param(None, None, id="one of its fills without a mark, as after a restart"),
    ],
)
def test_the_blotter_takes_the_marks_of_an_orders_road(first_mark, parts):
    ledger = Ledger("USDT", {"USDT": Decimal(1000)}, instruments())
    blotter, settled = Blotter(ledger, instruments(), remembered=9), ()
    steps = (("1", first_mark, "101", "101.5"), ("-1", "110", "112", "111.5"))
    for number, (quantity, decided, arrived, filled) in enumerate(steps):
        name = f"order {number}"
        if decided is not None:
            ledger.mark(BTC, Decimal(decided), NOON)
        blotter.apply(submitting(an_order(name, quantity)))
        ledger.mark(BTC, Decimal(arrived), NOON)
        blotter.apply(accepted(name))
        settled = blotter.apply(a_fill(number, quantity, filled))
    (booked,) = (found for found in settled if isinstance(found, FillBooked))
    assert booked.closed.pnl == 10
    found = booked.attributed
    told = None if found is None else (found.alpha, found.timing, found.slippage, found.fees)
    assert told == (None if parts is None else tuple(map(Decimal, parts)))


def submitting(order):
    return Submitting(
        order=order,
        decided_at=NOON,
        wished=order.quantity,
        confidence=0.7,
        reductions=(),
        at=NOON,
    )


def accepted(name):
    return Submitted(client_order_id=an_id(name), outcome=Outcome.ACCEPTED, detail="", at=NOON)

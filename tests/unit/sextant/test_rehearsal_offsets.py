"""Relative prices of the rehearsal exchange: as the socket says them, and what they come to."""

from decimal import Decimal

import pytest

from data.instrument import Price, Side
from sextant.rehearsal.order_form import Offset, Trail, form_of_command
from sextant.rehearsal.scenes import listings_of

(LISTING,) = listings_of(("BTC/USDT",))


def offset(amount, *, percent=False):
    return Offset(amount=Decimal(amount), is_percent=percent)


@pytest.mark.parametrize(
    ("trail", "side", "prices"),
    [
        pytest.param(
            Trail(trigger=offset("500"), limit=None), Side.SELL, ("39500", None), id="sell"
        ),
        pytest.param(Trail(trigger=offset("500"), limit=None), Side.BUY, ("40500", None), id="buy"),
        pytest.param(
            Trail(trigger=offset("0.12345", percent=True), limit=None),
            Side.SELL,
            ("39950.7", None),
            id="a share, on the tick nearer to the market",
        ),
        pytest.param(
            Trail(trigger=offset("500"), limit=offset("-1", percent=True)),
            Side.SELL,
            ("39500", "39105"),
            id="a limit off the trigger",
        ),
    ],
)
def test_where_a_trail_puts_its_prices(trail, side, prices):
    trigger, limit = trail.prices(Price(Decimal(40_000)), side, LISTING)
    wanted = tuple(None if price is None else Decimal(price) for price in prices)
    assert (trigger, limit) == wanted


@pytest.mark.parametrize(
    ("params", "price", "price2"),
    [
        pytest.param({"triggers": {"price": 2.5, "price_type": "pct"}}, "+2.5%", None, id="share"),
        pytest.param({"triggers": {"price": 100, "price_type": "quote"}}, "+100", None, id="money"),
        pytest.param(
            {
                "triggers": {"price": 100, "price_type": "quote"},
                "limit_price": -0.5,
                "limit_price_type": "pct",
            },
            "+100",
            "-0.5%",
            id="with a limit",
        ),
        pytest.param({"triggers": {"price": 100}}, "100", None, id="a static price"),
    ],
)
def test_what_the_socket_calls_relative_rest_writes_as_an_offset(params, price, price2):
    form = form_of_command({"order_type": "trailing-stop"} | params)
    assert (form.get("price"), form.get("price2")) == (price, price2)

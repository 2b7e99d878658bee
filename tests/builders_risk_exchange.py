"""Exchanges of holdings with the whole rule book on, drawn so that many of them end in an order."""

from dataclasses import replace
from decimal import Decimal

from hypothesis import strategies as st

from data.account import Holding
from data.instrument import Notional, Price, Quantity, Side, Toward
from data.regime import Regime
from risk.intent import Direction, Purpose
from tests.builders_risk import (
    FULL,
    INSTRUMENT,
    NOW,
    XRP,
    a_full_market,
    a_position,
    a_state,
    an_account,
    in_flight,
)
from tests.builders_risk_full import of
from tests.cases_risk_exchange import XRP_BTC, an_exchange

ASSETS = ("BTC", "XRP", "USDT")


@st.composite
def holdings(draw, prices):
    """Of each asset some, or nothing, worth up to 3,000."""
    held = []
    for asset in ASSETS:
        value = draw(of("0", "300", "41.37", "1234.5", "3000").map(Decimal))
        quantity = (value / prices[asset]).quantize(Decimal("1e-8"))
        worth = Notional(quantity * prices[asset])
        held.append(Holding(asset=asset, quantity=quantity, value=worth))
    return tuple(held)


def orders_in_flight():
    """Of other exchanges: of the same pair, of dollars, and of bitcoin."""
    order = st.builds(
        lambda symbol, side, worth: in_flight(f"{side}0.5", symbol=symbol, notional=worth),
        of(INSTRUMENT.symbol, XRP, XRP_BTC),
        of("+", "-"),
        of("10", "45.5", "400"),
    )
    return st.lists(order, max_size=2).map(tuple)


@st.composite
def intents(draw, price):
    """A purchase or a sale, at or near the mark; for a bag only a purchase."""
    purpose = draw(of(Purpose.ALLOCATION, Purpose.ALLOCATION, Purpose.HODL))
    buys = purpose is Purpose.HODL or draw(st.booleans())
    direction = Direction.LONG if buys else Direction.SHORT
    sign = direction.sign
    beyond = price * (1 + sign * draw(of("0.005", "0.005", "0", "-0.002", "0.006").map(Decimal)))
    toward = Toward.LOWER if buys else Toward.HIGHER
    worth = draw(of("12", "60", "430", "999.99", "1500").map(Decimal))
    return replace(
        an_exchange(purpose=purpose, direction=direction),
        quantity=Quantity(worth / price * sign),
        limit=INSTRUMENT.price(Price(beyond), toward),
    )


@st.composite
def exchange_situations(draw):
    """An exchange and all that it is judged by, as the keywords of `judge`."""
    price = Price(draw(of("10", "123.45", "999.99").map(Decimal)))
    rate = draw(of("1", "1", "0.9713").map(Decimal))
    prices = {"BTC": price * rate, "XRP": Decimal("0.5") * rate, "USDT": rate}
    equity = draw(of("2100", "150").map(Decimal))
    intent = draw(intents(price))
    book = Quantity(Decimal(draw(of(10_000, 5_000))) / price)
    return {
        "intent": intent,
        "account": an_account(
            str(equity),
            currency="USDT" if rate == 1 else "USD",
            holdings=draw(holdings(prices)),
            exchanging=draw(orders_in_flight()),
            in_flight=draw(of((), (in_flight("1", symbol=XRP, notional="100"),))),
        ),
        "market": a_full_market(
            price=price,
            rate=rate,
            regime=draw(st.sampled_from(Regime)),
            spread_bps=draw(of(0.0, 2.0, 9.9)),
            depth=book,
        ),
        "state": a_state(
            str(equity), peak_equity=Notional(equity * draw(of("1", "1", "1.06").map(Decimal)))
        ),
        "limits": FULL,
        "now": NOW,
    }


def gives_quote(situation):
    return Side.of(Decimal(situation["intent"].direction.sign)) is Side.BUY


def a_trading_book():
    """Positions that no exchange is judged by."""
    return {
        position.symbol: position
        for position in (a_position("3"), a_position("-9", symbol=XRP, notional="700"))
    }

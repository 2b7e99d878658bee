"""What no verdict may ever do, whatever it is asked."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal, getcontext, localcontext
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from data.instrument import Instrument, Notional, Price, Quantity, Side, Symbol, Toward
from data.regime import Regime
from risk import approval, rules
from risk.approval import ApprovedOrder, Rejection, judge
from risk.breaker import TradingState
from risk.intent import Direction, Purpose
from tests.builders_risk import (
    BTC,
    INSTRUMENT,
    LIMITS,
    NOW,
    XRP,
    a_market,
    a_position,
    a_state,
    an_account,
    an_entry,
    an_exit,
    in_flight,
    limits_with,
)

OTHERS = (XRP, Symbol("XRP/BTC"), Symbol("ETH/USDT"))
OPEN_STREAK = limits_with(loss_streaks=[])

regimes = st.sampled_from(Regime)
confidences = st.sampled_from((0.6, 0.65, 0.75, 0.85, 1.0)) | st.floats(0.6, 1.0)
prices = st.decimals("0.5", "100000", places=2).map(Price)
rates = st.sampled_from(("1", "0.97", "60123.45")).map(Decimal)
equities = st.decimals("20", "1000000", places=2)
hostile_decimals = st.sampled_from(("NaN", "sNaN", "Infinity", "-Infinity", "0", "-1")).map(Decimal)
hostile_floats = st.sampled_from((float("nan"), float("inf"), float("-inf"), -0.1, 1.1))


@st.composite
def instruments(draw):
    return Instrument(
        symbol=BTC,
        tick=Decimal(draw(st.sampled_from(("0.1", "0.01", "0.00001")))),
        lot=Decimal(draw(st.sampled_from(("1", "0.01", "0.0001", "0.00000001")))),
        min_quantity=Quantity(Decimal(draw(st.sampled_from(("10", "0.0001"))))),
        min_notional=Notional(Decimal(draw(st.sampled_from(("0", "5"))))),
        max_leverage=Decimal(draw(st.sampled_from((1, 5)))),
    )


@st.composite
def entries(draw, price, instrument):
    """A plausible entry: its stop between 0.4 and 3.2 % away, its wish anything."""
    direction = draw(st.sampled_from((Direction.LONG, Direction.SHORT)))
    away = draw(st.decimals("0.004", "0.032", places=4))
    stop = instrument.stop_price(price * (1 - direction.sign * away), Side.of(direction.sign))
    wish = draw(st.none() | st.decimals("0.00001", "100000", places=5))
    reward = draw(st.none() | st.decimals("0.001", "0.3", places=3))
    return an_entry(
        direction=direction,
        confidence=draw(confidences),
        quantity=None if wish is None else Quantity(wish * direction.sign),
        stop=None,
    ).__replace__(stop=stop) if False else replace(
        an_entry(direction=direction, confidence=draw(confidences)),
        stop=stop,
        quantity=None if wish is None else Quantity(wish * direction.sign),
        target=None if reward is None else Price(price * (1 + direction.sign * reward)),
    )

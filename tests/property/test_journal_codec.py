"""Whatever the market and the venue say reads back from the journal equal, byte for byte."""

from datetime import UTC, datetime
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from data.bar import Bar, Timeframe
from data.instrument import Price, Quantity, Side, Symbol
from execution.fill import Fill, Liquidity
from execution.order import Order, OrderStatus
from execution.venue import OrderChanged, VenueOrder
from risk.intent import Purpose
from tests.builders_journal import CODEC

numbers = st.decimals(
    min_value=Decimal("1E-12"), max_value=Decimal("1E15"), allow_nan=False, places=None
)
prices = numbers.map(Price)
quantities = numbers.map(Quantity)
maybe_prices = st.none() | prices
symbols = st.sampled_from([Symbol("BTC/USD"), Symbol("1INCH/USDT")])
times = st.datetimes(
    datetime(2010, 1, 1),  # noqa: DTZ001 - Hypothesis adds the zone
    datetime(2100, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
sides = st.sampled_from(Side)


@st.composite
def bars(draw):
    low, inner, outer, high = sorted(draw(st.lists(prices, min_size=4, max_size=4)))
    return Bar(
        symbol=draw(symbols),
        timeframe=draw(st.sampled_from(Timeframe)),
        closed_at=draw(times),
        open=inner,
        high=high,
        low=low,
        close=outer,
        volume=draw(quantities),
    )


fills = st.builds(
    Fill,
    fill_id=texts,
    client_order_id=texts,
    symbol=symbols,
    side=sides,
    quantity=quantities,
    price=prices,
    fee=st.decimals(allow_nan=False, allow_infinity=False),
    fee_asset=texts,
    liquidity=st.sampled_from(Liquidity),
    filled_at=times,
)
orders = st.builds(
    Order,
    client_order_id=texts,
    strategy_id=texts,
    symbol=symbols,
    side=sides,
    quantity=quantities,
    purpose=st.sampled_from(Purpose),
    trigger=maybe_prices,
    limit=maybe_prices,
    stop=maybe_prices,
    reduce_only=st.booleans(),
    approved_at=times,
)
venue_orders = st.builds(
    VenueOrder,
    client_order_id=texts,
    symbol=symbols,
    side=sides,
    quantity=quantities,
    filled=quantities,
    trigger=maybe_prices,
    limit=maybe_prices,
    reduce_only=st.booleans(),
    status=st.sampled_from(OrderStatus),
    parent=st.none() | texts,
)
changes = st.builds(OrderChanged, order=venue_orders, at=times, reason=texts)


@settings(max_examples=300)
@given(st.one_of(bars(), fills, orders, changes))
def test_every_fact_reads_back_equal(fact):
    topic, body = CODEC.encode(fact)
    back = CODEC.decode(topic, body)
    assert back == fact
    assert type(back) is type(fact)
    assert b"\n" not in body
    assert CODEC.encode(back) == (topic, body)

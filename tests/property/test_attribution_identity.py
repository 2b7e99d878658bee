"""Alpha, timing, slippage and fees are a trade's profit, to the last digit."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from execution.attribution import Attribution, ReferencedFill
from execution.ledger import Ledger
from tests.builders_venue import BTC, CROSS, NOON, XRP, a_fill, instruments


def decimals(low, high, places):
    return st.decimals(Decimal(low), Decimal(high), places=places)


prices = decimals("0.00000001", "99999", 8)
seen_fills = st.builds(
    lambda symbol, quantity, price, decided, arrived, fee, asset: ReferencedFill(
        fill=a_fill(0, quantity, price, symbol=symbol, fee=fee, fee_asset=asset),
        decided=decided,
        arrived=arrived,
    ),
    st.sampled_from((BTC, XRP, CROSS)),
    st.one_of(
        decimals("-3", "3", 8).filter(bool),
        st.sampled_from([Decimal(1), Decimal(-1), Decimal("0.99999"), Decimal(20), Decimal(-20)]),
    ),
    prices,
    prices,
    prices,
    decimals("0", "0.01", 12),
    st.sampled_from(("BTC", "XRP", "USDT")),
)


@pytest.mark.req("S1-136")
@given(
    sequence=st.lists(seen_fills, min_size=1, max_size=20),
    marks=st.fixed_dictionaries(dict.fromkeys((BTC, XRP), prices)),
)
@settings(max_examples=200, deadline=None)
def test_the_parts_of_every_closed_trade_are_its_profit(sequence, marks):
    ledger, attribution = Ledger("USDT", {"USDT": Decimal(2100)}, instruments()), Attribution()
    for symbol, mark in marks.items():
        ledger.mark(symbol, mark, NOON)
    for number, drawn in enumerate(sequence):
        fill = replace(drawn.fill, fill_id=f"F-{number}")
        closed = ledger.book(fill)
        found = attribution.book(replace(drawn, fill=fill), closed, ledger.rate(fill.symbol.quote))
        assert (found is None) is (closed is None)
        if found is not None and closed is not None:
            assert found.total == closed.pnl
            assert found.fees == closed.fees.copy_negate()


@given(sequence=st.lists(seen_fills, min_size=1, max_size=15))
@settings(max_examples=60, deadline=None)
def test_where_all_prices_are_one_everything_is_alpha_and_fees(sequence):
    ledger, attribution = Ledger("USDT", {"USDT": Decimal(2100)}, instruments()), Attribution()
    for symbol in (BTC, XRP):
        ledger.mark(symbol, Decimal(7), NOON)
    for number, drawn in enumerate(sequence):
        fill = replace(drawn.fill, fill_id=f"F-{number}")
        seen = ReferencedFill(fill=fill, decided=fill.price, arrived=fill.price)
        found = attribution.book(seen, ledger.book(fill), ledger.rate(fill.symbol.quote))
        if found is not None:
            assert found.timing == found.slippage == 0

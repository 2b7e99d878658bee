"""How far back a venue is asked for charges."""

from datetime import timedelta
from decimal import Decimal

import pytest

from data.instrument import Price, Quantity, Side, Symbol
from execution.charges_due import ChargesDue
from execution.difference import Difference, DifferenceKind, Reconciliation
from execution.fill import Fill, Liquidity
from tests.builders_venue import NOON

HOUR = timedelta(hours=1)


def looked(at, *kinds):
    found = (Difference(kind=kind, subject="it", ours="", theirs="") for kind in kinds)
    return Reconciliation(at=at, differences=tuple(found), fills_seen=0)


def a_fill(at):
    return Fill(
        fill_id=f"F{at}",
        client_order_id="A",
        symbol=Symbol("BTC/USDT"),
        side=Side.BUY,
        price=Price(Decimal(100)),
        quantity=Quantity(Decimal(1)),
        fee=Decimal(0),
        fee_asset="USDT",
        liquidity=Liquidity.TAKER,
        filled_at=at,
    )


@pytest.mark.parametrize(
    ("heard", "since"),
    [
        pytest.param([], None, id="never asked: all"),
        pytest.param([a_fill(NOON)], None, id="never asked, whatever was filled"),
        pytest.param([looked(NOON)], NOON - HOUR, id="a venue may tell an hour late"),
        pytest.param(
            [looked(NOON, DifferenceKind.BALANCE)], NOON - HOUR, id="asked, whatever was found"
        ),
        pytest.param(
            [looked(NOON), looked(NOON + HOUR, DifferenceKind.ASLEEP)],
            NOON - HOUR,
            id="a doubt of our own asks nobody",
        ),
        pytest.param(
            [looked(NOON), a_fill(NOON - 3 * HOUR), a_fill(NOON - 2 * HOUR)],
            NOON - 3 * HOUR,
            id="a late fill has late charges",
        ),
        pytest.param([looked(NOON), a_fill(NOON)], NOON - HOUR, id="a fill of now has none older"),
        pytest.param(
            [looked(NOON), a_fill(NOON - 3 * HOUR), looked(NOON + HOUR)],
            NOON,
            id="asked again since",
        ),
    ],
)
def test_charges_are_due_since(heard, since):
    due = ChargesDue()
    for fact in heard:
        due.hear(fact)
    assert due.since == since

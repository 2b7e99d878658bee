"""What of Kraken's ledger is a charge: rows as Ledgers tells them, and the trades they refer to."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from data.instrument import Symbol
from execution.charge import ChargeKind
from execution.venues.kraken_ledger import Cause, openings, rollovers
from sextant.rehearsal.listing import Fees
from tests.builders_kraken_venue import a_site
from tests.builders_venue import BTC, approved

AT = datetime(2026, 3, 2, 12, tzinfo=UTC)
NAMES = {"USDT": "USDT", "XXBT": "BTC", "ZUSD": "USD"}
BOUGHT = Cause(symbol=BTC, fee=Decimal("0.26"))
FEES = Fees(
    maker=Decimal("0.0026"),
    taker=Decimal("0.0026"),
    opening=Decimal("0.0002"),
    rollover=Decimal("0.0001"),
)


def a_row(kind, refid, fee, *, amount="0.0000", asset="USDT"):
    return {
        "refid": refid,
        "time": AT.timestamp(),
        "type": kind,
        "subtype": "",
        "aclass": "currency",
        "asset": asset,
        "amount": amount,
        "fee": fee,
        "balance": "9999.0000",
    }


def read(reader, rows, causes):
    return [
        (c.charge_id, c.kind, c.asset, c.amount, c.symbol)
        for c in reader(rows, causes, NAMES.__getitem__)
    ]


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        pytest.param([("margin", "0.28")], [("T1-USDT", "0.02")], id="beside the trade's own fee"),
        pytest.param([("margin", "0.26")], [], id="a closing trade costs no more than its fee"),
        pytest.param(
            [("margin", "0.26"), ("margin", "0.02")], [("T1-USDT", "0.02")], id="in rows apart"
        ),
        pytest.param([("trade", "0.28")], [], id="on spot there is none"),
        pytest.param([("margin", "0.2599")], [("T1-USDT", "-0.0001")], id="rounded in our favour"),
    ],
)
def test_what_a_trade_on_margin_costs_beside_its_fee(rows, found):
    told = {f"L{n}": a_row(kind, "T1", fee) for n, (kind, fee) in enumerate(rows)}
    assert read(openings, told, {"T1": BOUGHT}) == [
        (charge_id, ChargeKind.OPENING, "USDT", Decimal(amount), BTC) for charge_id, amount in found
    ]


def test_a_trade_that_nobody_tells_of_leaves_its_opening_unknown():
    with pytest.raises(LookupError):
        read(openings, {"L1": a_row("margin", "T9", "1")}, {})


@pytest.mark.parametrize(
    ("causes", "symbol"),
    [
        pytest.param({"T1": BOUGHT}, BTC, id="of a position that is known"),
        pytest.param({}, None, id="of one that is not"),
    ],
)
def test_each_rollover_is_a_charge(causes, symbol):
    rows = {"L1": a_row("rollover", "T1", "0.02"), "L2": a_row("deposit", "Q1", "0", amount="5")}
    assert read(rollovers, rows, causes) == [
        ("L1", ChargeKind.ROLLOVER, "USDT", Decimal("0.02"), symbol)
    ]


async def test_a_margin_trade_is_charged_for_its_opening_and_every_four_hours():
    async with a_site(fees=FEES) as site:
        await site.venue.submit(approved("entry", "2"))
        site.control.trade(BTC, "100", "100")
        exchange = site.control.exchange
        exchange.wallet.roll_over(exchange.now + timedelta(hours=9))
        ((fill,), charges) = await site.venue.fills(), await site.venue.charges()
        again = await site.venue.charges()
    assert [(c.kind, c.amount / (fill.quantity * fill.price)) for c in charges] == [
        (ChargeKind.OPENING, FEES.opening),
        (ChargeKind.ROLLOVER, FEES.rollover),
        (ChargeKind.ROLLOVER, FEES.rollover),
    ]
    assert {c.symbol for c in charges} == {Symbol("BTC/USDT")}
    assert again == charges


async def test_a_long_history_is_read_page_by_page_and_whole():
    """Another life reads it, whose trades it has to ask for."""
    async with a_site(fees=FEES, running=False) as site:
        for n in range(60):
            await site.venue.submit(approved(f"entry {n}", "0.1" if n % 2 else "-0.1"))
            site.control.trade(BTC, "100", "100")
        charges = await site.venue.charges()
        opened = [lot for lot in site.control.exchange.wallet.entries if lot.kind == "margin"]
    paid = sum(entry.fee for entry in opened) - sum(t.fee for t in _fills(site))
    assert len(opened) == 60
    assert sum(charge.amount for charge in charges) == paid


def _fills(site):
    return [trade.fill for trade in site.control.exchange.trades.values()]


async def test_on_spot_nothing_is_asked_for():
    async with a_site(leverage=None, running=False) as site:
        before = site.limits.asked
        assert not await site.venue.charges()
        assert site.limits.asked == before

"""Orders, bars, fills and a journal for the tests of ledger, matching and venues."""

import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from data.bar import Bar, Timeframe
from data.instrument import Instrument, Side, Symbol
from execution.fill import Fill, Liquidity
from execution.order import Order
from execution.paper_terms import PaperTerms
from risk.approval import _SEAL, ApprovedOrder
from risk.intent import Direction, OrderIntent, Purpose

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
BTC, XRP, CROSS = Symbol("BTC/USDT"), Symbol("XRP/USDT"), Symbol("XRP/BTC")


def an_instrument(symbol, tick, lot, min_quantity, min_notional, leverage="1"):
    return Instrument(
        symbol=symbol,
        tick=Decimal(tick),
        lot=Decimal(lot),
        min_quantity=Decimal(min_quantity),
        min_notional=Decimal(min_notional),
        max_leverage=Decimal(leverage),
    )


def instruments(leverage="1"):
    """The three pairs on Kraken's grid, on spot unless a leverage is given."""
    return {
        BTC: an_instrument(BTC, "0.01", "0.0001", "0.0001", "5", leverage),
        XRP: an_instrument(XRP, "0.00001", "1", "10", "5", leverage),
        CROSS: an_instrument(CROSS, "0.00000001", "1", "10", "0.0001", leverage),
    }


def terms(**changes):
    """Terms on which trading is free and immediate, but for `changes`."""
    free = {
        "maker_fee": Decimal(0),
        "taker_fee": Decimal(0),
        "spread_bps": Decimal(0),
        "slippage_bps": Decimal(0),
        "latency": timedelta(0),
        "participation": None,
    }
    return PaperTerms(**free | changes)


def an_id(name):
    """A client order id that is the same for the same name."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, name))


def price(text):
    return Decimal(text) if text is not None else None


def an_order(name, quantity, *, symbol=BTC, trigger=None, limit=None, stop=None, reduce_only=False):
    """An order by its short name; `quantity` is signed."""
    return Order.of(
        approved(
            name,
            quantity,
            symbol=symbol,
            trigger=trigger,
            limit=limit,
            stop=stop,
            reduce_only=reduce_only,
        )
    )


def approved(
    name,
    quantity,
    *,
    symbol=BTC,
    trigger=None,
    limit=None,
    stop=None,
    reduce_only=False,
    replaces=None,
    purpose=None,
    post_only=False,
):
    """What `judge` would hand out for an order of that name; `quantity` is signed."""
    signed = Decimal(quantity)
    intent = OrderIntent(
        intent_id=an_id(name),
        strategy_id="test",
        symbol=symbol,
        purpose=purpose or _purpose(reduce_only, replaces),
        direction=Direction.LONG if signed > 0 else Direction.SHORT,
        decided_at=NOON,
        confidence=0.7,
        quantity=signed,
        stop=price(stop),
        trigger=price(trigger),
        limit=price(limit),
        reduce_only=reduce_only,
        replaces=an_id(replaces) if replaces is not None else None,
        post_only=post_only,
    )
    return ApprovedOrder(
        intent=intent,
        quantity=signed,
        approved_at=NOON,
        reductions=(),
        scales=(),
        shadowed=(),
        seal=_SEAL,
    )


def _purpose(reduce_only, replaces):
    if replaces is not None:
        return Purpose.PROTECTION
    return Purpose.EXIT if reduce_only else Purpose.ENTRY


def a_bar(prices, *, number=0, symbol=BTC, volume="1000", timeframe=Timeframe.M1):
    """The bar `number` after noon; `prices` is "open high low close"."""
    open_, high, low, close = map(Decimal, prices.split())
    return Bar(
        symbol=symbol,
        timeframe=timeframe,
        closed_at=NOON + (number + 1) * timeframe.delta,
        open=open_,
        high=high,
        low=low,
        close=close,
        volume=Decimal(volume),
    )


def a_fill(number, quantity, at_price, *, symbol=BTC, fee="0", fee_asset="USDT", minute=0):
    """A fill by its number; `quantity` is signed."""
    signed = Decimal(quantity)
    return Fill(
        fill_id=f"F-{number}",
        client_order_id=an_id(f"order {number}"),
        symbol=symbol,
        side=Side.of(signed),
        quantity=abs(signed),
        price=Decimal(at_price),
        fee=Decimal(fee),
        fee_asset=fee_asset,
        liquidity=Liquidity.TAKER,
        filled_at=NOON + minute * MINUTE,
    )


class KeptFacts:
    """An order journal in memory; what is not flushed is lost with `crashed`."""

    def __init__(self, facts=()):
        self.durable = list(facts)
        self._written = []

    def write(self, fact):
        self._written.append(fact)

    async def flush(self):
        self.durable += self._written
        self._written = []

    async def facts(self):
        for fact in tuple(self.durable):
            yield fact

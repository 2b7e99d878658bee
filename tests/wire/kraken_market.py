"""What the Kraken on loopback remembers of one pair, and how it tells it over REST and socket."""

import zlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CHECKED = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Print:
    """One trade, as the venue keeps it."""

    number: int
    nanoseconds: int
    price: str
    quantity: str
    side: str  # the taker's: buy or sell

    @property
    def row(self) -> list[Any]:
        """As REST Trades tells it; the time has seven decimals."""
        seconds = orjson.Fragment(
            f"{self.nanoseconds // 10**9}.{self.nanoseconds % 10**9 // 100:07}"
        )
        return [self.price, self.quantity, seconds, self.side[0], "m", "", self.number]

    def frame(self, symbol: str) -> dict[str, Any]:
        """As the trade channel tells it; the time has microseconds."""
        return {
            "symbol": symbol,
            "side": self.side,
            "price": number(self.price),
            "qty": number(self.quantity),
            "ord_type": "market",
            "trade_id": self.number,
            "timestamp": stamp(_EPOCH + timedelta(microseconds=self.nanoseconds // 1_000)),
        }


@dataclass(slots=True, kw_only=True)
class Market:
    """One pair; what is here is what REST tells, whether the socket told it or not."""

    symbol: str  # BTC/USD
    pair: str  # XXBTZUSD, the key of REST
    base: str  # XXBT
    quote: str  # ZUSD
    price_decimals: int
    lot_decimals: int = 8
    status: str = "online"
    next_trade: int = 1
    prints: list[Print] = field(default_factory=list)
    bids: dict[Decimal, str] = field(default_factory=dict)
    asks: dict[Decimal, str] = field(default_factory=dict)

    def trade(self, at: datetime, price: str, quantity: str, side: str) -> Print:
        """A trade at `at`; if the last was in the same microsecond, a nanosecond behind it."""
        nanoseconds = (at - _EPOCH) // timedelta(microseconds=1) * 1_000
        last = self.prints[-1].nanoseconds if self.prints else 0
        if last // 1_000 == nanoseconds // 1_000:
            nanoseconds = last + 1
        made = Print(
            number=self.next_trade,
            nanoseconds=nanoseconds,
            price=price,
            quantity=quantity,
            side=side,
        )
        self.next_trade += 1
        self.prints.append(made)
        return made

    def best(self, depth: int) -> tuple[dict[Decimal, str], dict[Decimal, str]]:
        """The best bids and asks, best first."""
        bids = sorted(self.bids, reverse=True)[:depth]
        asks = sorted(self.asks)[:depth]
        return {price: self.bids[price] for price in bids}, {
            price: self.asks[price] for price in asks
        }

    @property
    def checksum(self) -> int:
        bids, asks = self.best(_CHECKED)
        levels = [*asks.items(), *bids.items()]
        text = "".join(
            f"{price:.{self.price_decimals}f}".replace(".", "").lstrip("0")
            + f"{Decimal(quantity):.{self.lot_decimals}f}".replace(".", "").lstrip("0")
            for price, quantity in levels
        )
        return zlib.crc32(text.encode())

    @property
    def listing(self) -> dict[str, Any]:
        """The pair in AssetPairs."""
        return {
            "altname": self.pair,
            "wsname": self.symbol.replace("BTC", "XBT"),
            "aclass_base": "currency",
            "base": self.base,
            "aclass_quote": "currency",
            "quote": self.quote,
            "lot": "unit",
            "cost_decimals": 5,
            "pair_decimals": self.price_decimals,
            "lot_decimals": self.lot_decimals,
            "lot_multiplier": 1,
            "leverage_buy": [2, 3],
            "leverage_sell": [2, 3],
            "fees": [[0, 0.4], [10000, 0.35]],
            "fees_maker": [[0, 0.25], [10000, 0.2]],
            "fee_volume_currency": "ZUSD",
            "margin_call": 80,
            "margin_stop": 40,
            "ordermin": "0.00005",
            "costmin": "0.5",
            "tick_size": str(Decimal(1).scaleb(-self.price_decimals)),
            "status": self.status,
        }

    def candles(self, minutes: int, now: datetime) -> list[list[Any]]:
        """Rows of REST OHLC up to the open one, quiet intervals included."""
        seconds = minutes * 60
        if not self.prints:
            return []
        grouped: dict[int, list[Print]] = {}
        for made in self.prints:
            grouped.setdefault(made.nanoseconds // 10**9 // seconds * seconds, []).append(made)
        rows, close = [], "0"
        for opened in range(min(grouped), int(now.timestamp()) + 1, seconds):
            made_then = grouped.get(opened, [])
            rows.append(_candle(opened, made_then, close))
            close = rows[-1][4]
        return rows


def _candle(opened: int, prints: list[Print], before: str) -> list[Any]:
    if not prints:
        return [opened, before, before, before, before, "0.00000", "0.00000000", 0]
    ordered = sorted(prints, key=lambda made: (made.nanoseconds, made.number))
    prices = sorted((made.price for made in prints), key=Decimal)
    volume = sum(Decimal(made.quantity) for made in prints)
    turnover = sum(Decimal(made.quantity) * Decimal(made.price) for made in prints)
    vwap = f"{turnover / volume:.5f}"
    ends = ordered[0].price, prices[-1], prices[0], ordered[-1].price
    return [opened, *ends, vwap, f"{volume:.8f}", len(prints)]


def number(text: str) -> Any:
    """A number of JSON with the digits of `text`."""
    return orjson.Fragment(text)


def stamp(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def levels(side: dict[Decimal, str]) -> list[dict[str, Any]]:
    return [{"price": number(f"{price:f}"), "qty": number(size)} for price, size in side.items()]


def changed(before: dict[Decimal, str], after: dict[Decimal, str], all_now: Any) -> dict[Any, str]:
    """The levels that an update tells: new ones, other sizes, and what is gone altogether.

    A level that was pushed out of the depth is not told.
    """
    gone = {price: "0.00000000" for price in before if price not in all_now}
    return gone | {price: size for price, size in after.items() if before.get(price) != size}

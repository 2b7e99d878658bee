"""One account at Hyperliquid as the venue keeps it, over the matching core of simulated venues.

Orders and fills are kept as the venue writes them. Others' trades are the market; the book stands
one tick off the last of them, and is deep.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any

from data.instrument import Instrument, Price, Quantity, Side, Symbol
from data.order_book import Level, OrderBook
from execution.book_matching import BookMatching, Moment
from execution.fill import Fill, Liquidity
from execution.order import Order, OrderStatus
from execution.paper_terms import PaperTerms
from execution.venue import OrderChanged
from execution.venue_books import VenueBooks
from execution.venues.hyperliquid_wire import charge_of_row
from risk.intent import Purpose

DEEP = Quantity(Decimal(1_000_000))
NOTHING = Quantity(Decimal(0))
COINS = {"BTC": (5, "100"), "ETH": (4, "3300"), "kPEPE": (0, "0.017")}
LEVERAGE = 5


class Declined(Exception):
    """What the venue has against one order, and the status that it has from then on."""

    def __init__(self, words: str, status: str) -> None:
        super().__init__(words)
        self.status = status


WORDS = {
    "reduce-only": ("Reduce only order would increase position.", "reduceOnlyRejected"),
    "notional": ("Order must have minimum value of $10.", "minTradeNtlRejected"),
    "exposure": ("Insufficient margin to place order.", "perpMarginRejected"),
    "quantity": ("Order has invalid size.", "rejected"),
}
UNMATCHED = "Order could not immediately match against any resting orders."


@dataclass(slots=True, kw_only=True)
class Kept:
    """An order as it was asked for (`wire`), and what has become of it."""

    oid: int
    coin: str
    wire: dict[str, Any]
    placed_ms: int
    status: str = "open"
    status_ms: int = 0
    filled: Decimal = NOTHING
    paid: Decimal = NOTHING
    waits: bool = False

    @property
    def is_open(self) -> bool:
        return self.status in ("open", "triggered")

    @property
    def side(self) -> Side:
        return Side.BUY if self.wire["b"] else Side.SELL

    @property
    def left(self) -> Decimal:
        return Decimal(self.wire["s"]) - self.filled

    @property
    def trigger(self) -> dict[str, Any] | None:
        return self.wire["t"].get("trigger")

    @property
    def takes(self) -> bool:
        if self.trigger is not None:
            return self.trigger["isMarket"]
        return self.wire["t"]["limit"]["tif"] == "Ioc"

    def is_set_off(self, price: Decimal) -> bool:
        above = (self.side is Side.BUY) == (self.trigger["tpsl"] == "sl")
        trigger = Decimal(self.trigger["triggerPx"])
        return price >= trigger if above else price <= trigger

    def basic(self) -> dict[str, Any]:
        """What updates of the stream tell of an order."""
        row = {
            "coin": self.coin,
            "side": "B" if self.wire["b"] else "A",
            "limitPx": self.wire["p"],
            "sz": str(self.left),
            "oid": self.oid,
            "timestamp": self.placed_ms,
            "origSz": self.wire["s"],
        }
        return row | ({"cloid": self.wire["c"]} if "c" in self.wire else {})

    def whole(self) -> dict[str, Any]:
        """What answers tell of an order."""
        trigger = self.trigger
        row = {"cloid": None} | self.basic()
        row |= {"children": [], "isPositionTpsl": False, "reduceOnly": self.wire["r"]}
        if trigger is None:
            tif = self.wire["t"]["limit"]["tif"]
            return row | {
                "isTrigger": False,
                "triggerPx": "0.0",
                "triggerCondition": "N/A",
                "orderType": "Limit",
                "tif": tif,
            }
        kind = "Stop" if trigger["tpsl"] == "sl" else "Take Profit"
        return row | {
            "isTrigger": True,
            "triggerPx": trigger["triggerPx"],
            "triggerCondition": "Price below",
            "orderType": f"{kind} {'Market' if trigger['isMarket'] else 'Limit'}",
            "tif": None,
        }

    def told(self, row: dict[str, Any]) -> dict[str, Any]:
        return {"order": row, "status": self.status, "statusTimestamp": self.status_ms}


@dataclass(slots=True)
class HyperliquidAccount:
    """The account; `tell` hears of updates and fills, as (channel, row)."""

    clock: Any
    usdc: Decimal
    tell: Callable[[str, dict[str, Any]], None]
    orders: dict[int, Kept] = field(default_factory=dict)
    fills: list[dict[str, Any]] = field(default_factory=list)
    funding: list[dict[str, Any]] = field(default_factory=list)
    last: dict[str, Decimal] = field(default_factory=dict)
    cancels_all_at: int | None = None
    lags: dict[str, timedelta] = field(default_factory=dict)  # of what its history has of a coin
    order_lags: dict[str, timedelta] = field(default_factory=dict)  # of its answers after orders
    fills_name_orders: bool = False
    matching: BookMatching = field(init=False)
    books: VenueBooks = field(init=False)

    def __post_init__(self) -> None:
        self.books = VenueBooks({"USDC": self.usdc})
        self.last = {coin: Decimal(price) for coin, (_, price) in COINS.items()}
        instruments = {symbol_of(coin): _instrument(coin) for coin in COINS}
        self.matching = BookMatching(
            venue="hyperliquid", instruments=instruments, terms=_TERMS, books=self.books
        )
        for coin in COINS:
            self._match(coin)

    @property
    def now_ms(self) -> int:
        return int(self.clock.now().timestamp() * 1_000)

    @property
    def open(self) -> list[Kept]:
        return [order for order in self.orders.values() if order.is_open]

    def find(self, handle: str | int) -> Kept | None:
        """The newest order of that cloid or number: nothing keeps two from having the same."""
        for order in reversed(self.orders.values()):
            if handle in (order.oid, order.wire.get("c")):
                return order
        return None

    def place(self, wire: dict[str, Any]) -> dict[str, Any]:
        """Take an order on, or not; the answer."""
        coin = list(COINS)[wire["a"]]
        kept = Kept(oid=7_000_000 + len(self.orders), coin=coin, wire=wire, placed_ms=self.now_ms)
        self.orders[kept.oid] = kept
        try:
            self._require_acceptable(kept)
            self._take_on(kept)
        except Declined as refusal:
            self._end(kept, refusal.status)
            return {"error": f"{refusal} asset={wire['a']}"}
        if kept.filled and not kept.is_open:
            return {
                "filled": {
                    "totalSz": str(kept.filled),
                    "avgPx": str(kept.paid / kept.filled),
                    "oid": kept.oid,
                }
            }
        return {"resting": {"oid": kept.oid}}

    def cancel(self, handle: str | int) -> str | dict[str, Any]:
        kept = self.find(handle)
        if kept is None or not kept.is_open:
            return {"error": "Order was never placed, already canceled, or filled. asset=0"}
        self._cancel(kept, "canceled")
        return "success"

    def pass_time(self, now_ms: int) -> None:
        """Fire the dead man's switch, if it is due."""
        if self.cancels_all_at is not None and now_ms >= self.cancels_all_at:
            self.cancels_all_at = None
            for kept in self.open:
                self._cancel(kept, "scheduledCancel")

    def trade(self, coin: str, price: Decimal, quantity: Decimal) -> None:
        """Let others trade."""
        self.last[coin] = price
        self._match(coin, Quantity(quantity))

    def fund(self, coin: str, amount: Decimal) -> None:
        """Have funding paid for a position; below zero it is received."""
        delta = {"coin": coin, "fundingRate": "0.0001", "szi": "1", "type": "funding"}
        row = {"delta": delta | {"usdc": str(-amount)}, "hash": "0x0", "time": self.now_ms}
        self.funding.append(row)
        self.books.charge(charge_of_row(row, symbol_of(coin)))

    def history(self) -> list[dict[str, Any]]:
        """The fills that are told to whoever asks, oldest first."""
        late = {coin: lag // timedelta(milliseconds=1) for coin, lag in self.lags.items()}
        now = self.now_ms
        return [row for row in self.fills if row["time"] + late.get(row["coin"], 0) <= now]

    def is_told(self, kept: Kept) -> bool:
        """Whether answers to questions have the order yet."""
        lag = self.order_lags.get(kept.coin, timedelta(0)) // timedelta(milliseconds=1)
        return kept.placed_ms <= self.now_ms - lag

    def positions(self) -> dict[str, Decimal]:
        balances = self.books.balances
        return {coin: balances.get(symbol_of(coin).base, NOTHING) for coin in COINS}

    def _require_acceptable(self, kept: Kept) -> None:
        wire = kept.wire
        decimals = COINS[kept.coin][0]
        for price in (wire["p"], kept.trigger["triggerPx"] if kept.trigger else wire["p"]):
            if not _is_on_grid(Decimal(price), decimals):
                raise Declined("Price must be divisible by tick size.", "tickRejected")
        if kept.trigger is not None:
            if kept.is_set_off(self.last[kept.coin]):
                raise Declined("Invalid TP/SL price.", "badTriggerPxRejected")
            return
        if wire["t"]["limit"]["tif"] == "Alo" and self._crosses(kept):
            raise Declined("Post only order would have immediately matched", "badAloPxRejected")
        refusal = self.matching.refusal(self._core(kept))
        if refusal is not None:
            raise Declined(*next(w for start, w in WORDS.items() if refusal.startswith(start)))

    def _crosses(self, kept: Kept) -> bool:
        best = self.last[kept.coin] + kept.side.sign * _tick(kept.coin)
        return kept.side.sign * (Decimal(kept.wire["p"]) - best) >= 0

    def _take_on(self, kept: Kept) -> None:
        kept.status_ms = kept.placed_ms
        if kept.trigger is not None:
            kept.waits = True
            self._update(kept)
        else:
            if not kept.takes:
                self._update(kept)
            self._put_in_book(kept)
            if kept.takes and not kept.filled:
                raise Declined(UNMATCHED, "iocCancelRejected")

    def _put_in_book(self, kept: Kept) -> None:
        self.matching.place(self._core(kept), self.clock.now())
        self._match(kept.coin)
        if kept.is_open and kept.takes and kept.filled:
            self._cancel(kept, "canceled")

    def _match(self, coin: str, volume: Quantity = NOTHING) -> None:
        price, tick, at = Price(self.last[coin]), _tick(coin), self.clock.now()
        book = OrderBook(
            symbol=symbol_of(coin),
            at=at,
            bids=(Level(Price(price - tick), DEEP),),
            asks=(Level(Price(price + tick), DEEP),),
        )
        moment = Moment(symbol=symbol_of(coin), at=at, last=price, volume=volume, book=book)
        self._digest(self.matching.meet(moment))
        for kept in [kept for kept in self.open if kept.waits and kept.coin == coin]:
            if kept.wire["r"] and not self.books.reducible(symbol_of(coin), kept.side):
                if any(self.positions().values()) or self.fills:
                    self._cancel(kept, "reduceOnlyCanceled")
            elif kept.is_set_off(price):
                kept.waits = False
                kept.status, kept.status_ms = "triggered", self.now_ms
                self._update(kept)
                self._put_in_book(kept)

    def _digest(self, facts) -> None:
        for fact in facts:
            match fact:
                case Fill():
                    self._book(fact)
                case OrderChanged(order=order) if order.status in (
                    OrderStatus.CANCELLED,
                    OrderStatus.REJECTED,
                ):
                    why = "reduceOnlyCanceled" if "reduce" in fact.reason else "marginCanceled"
                    self._end(self.orders[int(order.client_order_id)], why)

    def _book(self, fill: Fill) -> None:
        kept = self.orders[int(fill.client_order_id)]
        kept.filled += fill.quantity
        kept.paid += fill.quantity * fill.price
        number = len(self.fills) + 1
        row = {
            "coin": kept.coin,
            "px": str(fill.price),
            "sz": str(fill.quantity),
            "side": "B" if fill.side is Side.BUY else "A",
            "time": self.now_ms,
            "startPosition": "0.0",
            "dir": "Open Long",
            "closedPnl": "0.0",
            "hash": f"0x{number:064x}",
            "oid": kept.oid,
            "crossed": fill.liquidity is Liquidity.TAKER,
            "fee": str(fill.fee),
            "tid": number * 6_364_136_223_846_793_005 % 2**50,
            "feeToken": "USDC",
        }
        if self.fills_name_orders:
            row["cloid"] = kept.wire.get("c")
        self.fills.append(row)
        self.tell("userFills", row)
        if not kept.left:
            self._end(kept, "filled")

    def _cancel(self, kept: Kept, status: str) -> None:
        self._end(kept, status)
        self._digest(self.matching.cancel(str(kept.oid), self.clock.now()))

    def _end(self, kept: Kept, status: str) -> None:
        if kept.is_open:
            kept.waits = False
            kept.status, kept.status_ms = status, self.now_ms
            self._update(kept)

    def _update(self, kept: Kept) -> None:
        self.tell("orderUpdates", kept.told(kept.basic()))

    def _core(self, kept: Kept) -> Order:
        return Order(
            client_order_id=str(kept.oid),
            strategy_id="",
            symbol=symbol_of(kept.coin),
            side=kept.side,
            quantity=Quantity(Decimal(kept.wire["s"])),
            purpose=Purpose.ENTRY,
            trigger=None,
            limit=Price(Decimal(kept.wire["p"])),
            stop=None,
            reduce_only=kept.wire["r"],
            approved_at=self.clock.now(),
        )


_TERMS = PaperTerms(
    maker_fee=Decimal("0.00015"),
    taker_fee=Decimal("0.00045"),
    spread_bps=Decimal(0),
    slippage_bps=Decimal(0),
    latency=timedelta(0),
    participation=None,
)


def symbol_of(coin: str) -> Symbol:
    return Symbol(f"{coin.upper()}/USDC")


def _tick(coin: str) -> Decimal:
    return Decimal(1).scaleb(COINS[coin][0] - 6)


def _instrument(coin: str) -> Instrument:
    lot = Decimal(1).scaleb(-COINS[coin][0])
    return Instrument(
        symbol=symbol_of(coin),
        tick=_tick(coin),
        lot=lot,
        min_quantity=Quantity(lot),
        min_notional=Decimal(10),
        max_leverage=Decimal(LEVERAGE),
    )


def _is_on_grid(price: Decimal, decimals: int) -> bool:
    """Whole numbers always; else five significant figures, and so many decimals."""
    if price == price.to_integral_value():
        return price > 0
    digits = len(price.normalize().as_tuple().digits)
    return digits <= 5 and -price.normalize().as_tuple().exponent <= 6 - decimals

"""What each venue's recorded frames say, put together into one market's tape."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, Final

from data.faults import Malformed
from data.feeds.binance_wire import changes
from data.feeds.hyperliquid_wire import book_of, oldest_first, trade_of
from data.instrument import Price, Quantity, Side, Symbol
from data.level_book import BinanceBook, Change, DepthEvent, KrakenBook
from data.order_book import Level, OrderBook
from data.trade import Trade
from sextant.fidelity.tape import Event, Tape

_QUOTES: Final = ("USDT", "USDC", "FDUSD", "BUSD", "TUSD", "BTC", "ETH", "BNB", "EUR", "TRY")
_KRAKEN_NAMES: Final = {"XBT": "BTC", "XDG": "DOGE"}
_KRAKEN_SIDES: Final = {"b": Side.BUY, "s": Side.SELL}

Levels = tuple[Level, ...]


class VenueTape(ABC):
    """The tape of one market while its frames come in."""

    venue: ClassVar[str]

    def __init__(self, name: str, *, depth: int) -> None:
        self.symbol = self.symbol_of(name)
        self._depth = depth
        self._truth: list[Event] = []
        self._feed: list[Event] = []
        self._seen: set[int] = set()

    @staticmethod
    @abstractmethod
    def symbol_of(name: str) -> Symbol:
        """The symbol that the venue calls `name`."""

    @abstractmethod
    def take(self, at: datetime, body: Any) -> None:
        """Put one frame in.

        Raises:
            BookBroken: the book is not the venue's any more.
            Malformed, LookupError, TypeError, ValueError, ArithmeticError: it cannot be read.
        """

    def tape(self) -> Tape | None:
        """All that came; None where books or trades did not."""
        kinds = {type(event) for event in self._feed}
        if kinds != {OrderBook, Trade}:
            return None
        return Tape(venue=self.venue, symbol=self.symbol, truth=self._truth, feed=self._feed)

    def _tell_book(self, at: datetime, bids: Levels, asks: Levels) -> None:
        book = OrderBook(symbol=self.symbol, at=at, bids=bids, asks=asks)
        self._feed.append(book)
        self._truth.append(book)

    def _tell_trade(self, trade: Trade) -> None:
        """Put a trade in, once."""
        if trade.trade_id not in self._seen:
            self._seen.add(trade.trade_id)
            self._feed.append(trade)
            self._truth.append(trade)


class BinanceTape(VenueTape):
    """Binance, spot or USD-M: changes of depth on a snapshot, best prices, trades.

    A `bookTicker` newer than the depth is the truth about the best prices; paper's feed does not
    listen to it.
    """

    venue = "binance"

    def __init__(self, name: str, *, depth: int) -> None:
        super().__init__(name, depth=depth)
        self._book = BinanceBook(self.symbol)
        self._last = 0  # id the depth stands at
        self._told: OrderBook | None = None  # the newest depth
        self._ticker: tuple[int, Level, Level] | None = None
        self._trades: str | None = None  # the stream of trades: single ones, or aggregate ones

    @staticmethod
    def symbol_of(name: str) -> Symbol:
        for quote in _QUOTES:
            if name.endswith(quote) and name != quote:
                return Symbol(f"{name.removesuffix(quote)}/{quote}")
        raise Malformed(f"{name}: no quote currency known to Binance's recordings")

    def take(self, at: datetime, body: Any) -> None:
        if "lastUpdateId" in body:
            self._snapshot(at, body)
            return
        data, stream = body["data"], body["stream"].partition("@")[2]
        match stream.partition("@")[0]:
            case "depth":
                self._change(at, data)
            case "bookTicker":
                self._touch(at, data)
            case "trade" | "aggTrade" as kind if kind == (self._trades or kind):
                self._trades = kind
                self._trade(at, data)
            case _:
                pass  # what tells of neither book nor trades

    def _snapshot(self, at: datetime, answer: Any) -> None:
        last = int(answer["lastUpdateId"])
        if self._book.snapshot(at, last, changes(answer["bids"]), changes(answer["asks"])):
            self._last = max(self._last, last)

    def _change(self, at: datetime, data: Any) -> None:
        previous = int(data["pu"]) if "pu" in data else None
        event = DepthEvent(
            at=at,
            first=int(data["U"]),
            last=int(data["u"]),
            previous=previous,
            bids=changes(data["b"]),
            asks=changes(data["a"]),
        )
        self._book.update(event)
        self._last = max(self._last, event.last)
        if self._book.is_synced:
            self._told = self._book.book(self._depth)
            self._feed.append(self._told)
            self._truth.append(self._newest(self._told))

    def _touch(self, at: datetime, data: Any) -> None:
        bid = Level(Price(Decimal(data["b"])), Quantity(Decimal(data["B"])))
        ask = Level(Price(Decimal(data["a"])), Quantity(Decimal(data["A"])))
        update = int(data["u"])
        if self._ticker is None or update > self._ticker[0]:
            self._ticker = (update, bid, ask)
            if self._told is not None and update > self._last:
                self._truth.append(_touched(self._told, at, bid, ask))

    def _newest(self, told: OrderBook) -> OrderBook:
        if self._ticker is None or self._ticker[0] <= self._last:
            return told
        return _touched(told, told.at, self._ticker[1], self._ticker[2])

    def _trade(self, at: datetime, data: Any) -> None:
        if data.get("X", "MARKET") != "MARKET":  # the insurance fund's, at no price of the book
            return
        trade = Trade(
            symbol=self.symbol,
            trade_id=int(data["a"] if data["e"] == "aggTrade" else data["t"]),
            traded_at=at,
            side=Side.SELL if data["m"] else Side.BUY,  # m: the buyer is the maker
            price=Price(Decimal(data["p"])),
            quantity=Quantity(Decimal(data["q"])),
        )
        self._tell_trade(trade)


class HyperliquidTape(VenueTape):
    """Hyperliquid: whole books of 20 levels each half second, and trades, some told again."""

    venue = "hyperliquid"

    @staticmethod
    def symbol_of(name: str) -> Symbol:
        return Symbol(f"{name.upper()}/USDC")

    def take(self, at: datetime, body: Any) -> None:
        if body["channel"] == "l2Book":
            book = book_of(self.symbol, body["data"], self._depth)
            self._tell_book(at, book.bids, book.asks)
            return
        for trade in oldest_first([trade_of(self.symbol, row) for row in body["data"]]):
            self._tell_trade(_received(trade, at))


class KrakenTape(VenueTape):
    """Kraken's WebSocket v1: books with checksums, and trades, which have no ids there."""

    venue = "kraken"

    def __init__(self, name: str, *, depth: int) -> None:
        super().__init__(name, depth=depth)
        self._book: KrakenBook | None = None
        self._trades = 0

    @staticmethod
    def symbol_of(name: str) -> Symbol:
        base, _, quote = name.partition("/")
        return Symbol(f"{_KRAKEN_NAMES.get(base, base)}/{_KRAKEN_NAMES.get(quote, quote)}")

    def take(self, at: datetime, body: Any) -> None:
        _, *parts, channel, _ = body
        if channel == "trade":
            self._take_trades(at, parts[0])
            return
        if "as" in parts[0]:
            depth = int(channel.partition("-")[2])
            self._book = KrakenBook(self.symbol, depth=depth, decimals=None)
            bids, asks = _kraken_changes(parts[0]["bs"]), _kraken_changes(parts[0]["as"])
            self._book.snapshot(at, bids, asks, None)
        elif self._book is None:
            return
        else:
            told: dict[str, Any] = {key: value for part in parts for key, value in part.items()}
            bids, asks = _kraken_changes(told.get("b", ())), _kraken_changes(told.get("a", ()))
            self._book.update(at, bids, asks, int(told["c"]) if "c" in told else None)
        book = self._book.book(self._depth)
        self._tell_book(at, book.bids, book.asks)

    def _take_trades(self, at: datetime, rows: Iterable[Sequence[str]]) -> None:
        for price, quantity, _, side, *_ in rows:
            self._trades += 1
            trade = Trade(
                symbol=self.symbol,
                trade_id=self._trades,
                traded_at=at,
                side=_KRAKEN_SIDES[side],
                price=Price(Decimal(price)),
                quantity=Quantity(Decimal(quantity)),
            )
            self._tell_trade(trade)


def _touched(book: OrderBook, at: datetime, bid: Level, ask: Level) -> OrderBook:
    """`book` with newer best prices: levels that are better, or crossed by them, have gone."""
    bids = (bid, *(level for level in book.bids if level.price < bid.price))
    asks = (ask, *(level for level in book.asks if level.price > ask.price))
    return OrderBook(symbol=book.symbol, at=at, bids=bids, asks=asks)


def _received(trade: Trade, at: datetime) -> Trade:
    return Trade(
        symbol=trade.symbol,
        trade_id=trade.trade_id,
        traded_at=at,
        side=trade.side,
        price=trade.price,
        quantity=trade.quantity,
    )


def _kraken_changes(rows: Iterable[Sequence[str]]) -> list[Change]:
    """Price, quantity and time of each level; a repeated one has an "r" behind."""
    return [(Decimal(row[0]), Decimal(row[1])) for row in rows]

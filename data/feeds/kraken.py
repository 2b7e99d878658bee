"""Kraken's public spot data: WebSocket v2 and REST, through ccxt.pro."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

import ccxt.pro  # type: ignore[import-untyped]

from data.bar import Bar, Timeframe
from data.clock import Clock
from data.faults import Fault
from data.feeds.ccxt_source import (
    CcxtSource,
    Inbox,
    Json,
    TappedExchange,
    at_seconds,
    config,
    reading,
)
from data.feeds.rate_budget import Allowance, RateBudget
from data.feeds.source import (
    BookBroken,
    Cursor,
    RateLimited,
    SourceRefused,
    SourceUnavailable,
    Traits,
)
from data.funding import FundingRate
from data.instrument import Instrument, Notional, Price, Quantity, Side, Symbol
from data.level_book import Change, Decimals, KrakenBook
from data.order_book import OrderBook
from data.trade import Trade

_PAGE: Final = 1_000  # trades in one answer of REST Trades
_BARS_KEPT: Final = 720  # of each size, REST OHLC
_DEPTHS: Final = (10, 25, 100, 500, 1_000)  # that the book can be subscribed to with
_MINUTES: Final = {  # of the sizes that REST OHLC knows; its weeks open on Thursdays
    Timeframe.M1: 1,
    Timeframe.M5: 5,
    Timeframe.M15: 15,
    Timeframe.M30: 30,
    Timeframe.H1: 60,
    Timeframe.H4: 240,
    Timeframe.D1: 1_440,
}
_TRADED: Final = frozenset({"online", "post_only", "limit_only", "reduce_only"})
_SIDES: Final = {"b": Side.BUY, "s": Side.SELL}
_HALF_SECOND: Final = timedelta(milliseconds=500)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_LIGHT, _HEAVY = 1.0, 1.2  # ccxt's weights of REST calls, in calls

TRAITS: Final = Traits(
    exchange="kraken",
    consecutive_ids=True,
    trades_by_id=False,
    has_funding=False,
    page=_PAGE,
    bars_kept=_BARS_KEPT,
)


def rate_budget(clock: Clock) -> RateBudget:
    """What Kraken lets one address ask of public REST: about one call a second, and a few at once.

    Source: docs.kraken.com, "Spot REST rate limits", and ccxt's `rateLimit` of 1,000 ms.
    """
    return RateBudget(clock, capacity=5.0, per_second=1.0)


class KrakenSource(CcxtSource):
    """Kraken as a `MarketSource`; sizes of bars that REST does not give are refused.

    A time of REST is in seconds with 7 decimals; all times are cut to the microsecond, as those of
    the socket are. The server's clock is told in whole seconds: it is right to half a second.

    Args:
        urls: In place of the real ones: `public` (REST) and `ws` with `publicV2`.
        timeout: Of one REST call.
    """

    traits = TRAITS

    def __init__(
        self,
        *,
        clock: Clock,
        budget: Allowance,
        urls: Mapping[str, Any] | None = None,
        timeout: timedelta = timedelta(seconds=10),
    ) -> None:
        super().__init__(_Kraken(config(urls, timeout=timeout)), clock=clock, budget=budget)

    async def instruments(self, symbols: Sequence[Symbol]) -> dict[Symbol, Instrument]:
        self.forget_markets()  # what is asked for here is what holds now
        pairs = {symbol: (await self._pair(symbol))["info"] for symbol in symbols}
        with reading("kraken AssetPairs"):
            return {symbol: instrument(symbol, pair) for symbol, pair in pairs.items()}

    async def trades(self, symbol: Symbol) -> AsyncIterator[Sequence[Trade]]:
        await self._pair(symbol)
        async with self._exchange.listen("trade", symbol, {}) as inbox:
            while True:
                frame = await inbox.get()
                with reading(inbox.name):
                    batch = [trade_of_frame(symbol, row) for row in frame["data"]]
                yield batch

    async def books(self, symbol: Symbol, depth: int) -> AsyncIterator[OrderBook]:
        """The book after each message, checked; the venue repeats snapshots as it likes.

        A checksum fails, too, when the pair's decimals have changed: they are asked for anew.
        """
        wanted = next((offered for offered in _DEPTHS if offered >= depth), None)
        if wanted is None:
            raise SourceRefused(f"kraken: no books of {depth} levels; at most {_DEPTHS[-1]}")
        with reading("kraken AssetPairs"):
            decimals = decimals_of((await self._pair(symbol))["info"])
        book = KrakenBook(symbol, depth=wanted, decimals=decimals)
        async with self._exchange.listen("book", symbol, {"depth": wanted}) as inbox:
            while True:
                frame = await inbox.get()
                try:
                    with reading(inbox.name):
                        _apply(book, frame, self._clock.now())
                except BookBroken:
                    self.forget_markets()
                    raise
                yield book.book(depth)

    async def past_trades(self, symbol: Symbol, cursor: Cursor) -> tuple[Sequence[Trade], Cursor]:
        """One page, from the first trade at `cursor.since` on whose id is not below the cursor's.

        Kraken goes on after a time, and cuts a page between two trades of the same time: whoever
        goes on where a page has ended loses the second (one id at each edge, in many downloads).
        So the next page begins just before the last trade's microsecond, and ids tell it apart.
        """
        pair = await self._pair(symbol)
        first = cursor.trade_id or 0
        answer = await self._ask(
            self._exchange.publicGetTrades,
            {"pair": pair["id"], "since": str(_nanoseconds(cursor.since) - 1), "count": _PAGE},
            weight=_HEAVY,
        )
        with reading("kraken Trades"):
            rows, _ = rows_of(answer)
            page = [trade_of_row(symbol, row) for row in rows if row[6] >= first]
        if not page:
            return (), cursor
        newest = page[-1]
        return page, Cursor(since=newest.traded_at, trade_id=newest.trade_id + 1)

    async def past_bars(
        self, symbol: Symbol, timeframe: Timeframe, since: datetime
    ) -> Sequence[Bar]:
        minutes = _MINUTES.get(timeframe)
        if minutes is None:
            raise SourceRefused(f"kraken: no bars of {timeframe}; aggregate shorter ones")
        pair = await self._pair(symbol)
        before = int((since - timeframe.delta - _EPOCH).total_seconds())
        answer = await self._ask(
            self._exchange.publicGetOHLC,
            {"pair": pair["id"], "interval": minutes, "since": before},
            weight=_HEAVY,
        )
        with reading("kraken OHLC"):
            rows, last_closed = rows_of(answer)
            bars = [bar_of_row(symbol, timeframe, row) for row in rows if row[0] <= last_closed]
        return [bar for bar in bars if bar.opened_at >= since]

    async def server_time(self) -> datetime:
        answer = await self._ask(self._exchange.publicGetTime, weight=_LIGHT)
        with reading("kraken Time"):
            return at_seconds(answer["result"]["unixtime"]) + _HALF_SECOND

    async def past_funding(self, symbol: Symbol, since: datetime) -> Sequence[FundingRate]:
        raise SourceRefused(f"kraken: {symbol} is spot, and has no funding")

    def funding(self, symbol: Symbol) -> AsyncIterator[FundingRate]:
        raise SourceRefused(f"kraken: {symbol} is spot, and has no funding")

    async def _pair(self, symbol: Symbol) -> Json:
        return await self._market(symbol, symbol, weight=_LIGHT)

    def _untraded(self, listing: Json) -> str | None:
        status = listing.get("status", "online")
        return None if status in _TRADED else f"is {status}"


class _Kraken(TappedExchange, ccxt.pro.kraken):  # type: ignore[misc]
    """ccxt's client, with what it receives delivered whole."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._numbers: dict[str, int] = {}  # of the request that subscribed, by key
        super().__init__(settings)
        self.exceptions["exact"]["EQuery:Unknown asset pair"] = ccxt.BadSymbol

    def listen(
        self, channel: str, symbol: Symbol, options: Json
    ) -> AbstractAsyncContextManager[Inbox[Any]]:
        """The inbox of a channel of one symbol: its messages, with `data` of that symbol only."""
        key = f"{channel}@{symbol}"
        wanted = {"channel": channel, "symbol": [symbol], **options}
        number = self._numbers[key] = self.request_id()
        subscribe = {"method": "subscribe", "params": wanted, "req_id": number}
        unsubscribe = {"method": "unsubscribe", "params": wanted}
        url = self.urls["api"]["ws"]["publicV2"]
        return self.subscription(url, key, subscribe, unsubscribe)

    def handle_trades(self, client: object, message: Json) -> None:
        self._share_out("trade", message)

    def handle_order_book(self, client: object, message: Json) -> None:
        self._share_out("book", message)

    def handle_error_message(self, client: object, message: Json) -> bool:
        """End the subscription that the venue has refused; ccxt tells nobody.

        "Already subscribed" is what we want: a request that a slow connection has sent twice.
        """
        text = message.get("error")
        if text is None:
            return True
        refused = message.get("req_id")
        for key, inbox in self.inboxes.items():
            if self._numbers.get(key) == refused and "Already subscribed" not in text:
                inbox.fail(_refusal(f"{key}: {text}"))
        return False

    def _share_out(self, channel: str, message: Json) -> None:
        for symbol, rows in groupby(message["data"], key=itemgetter("symbol")):
            self.deliver(f"{channel}@{symbol}", {"type": message["type"], "data": list(rows)})


def instrument(symbol: Symbol, pair: Json) -> Instrument:
    """The instrument that an entry of AssetPairs describes.

    Raises:
        LookupError, ArithmeticError, ValueError: it describes none.
    """
    places = decimals_of(pair)
    return Instrument(
        symbol=symbol,
        tick=Decimal(pair.get("tick_size") or Decimal(1).scaleb(-places.price)),
        lot=Decimal(1).scaleb(-places.quantity),
        min_quantity=Quantity(Decimal(pair["ordermin"])),
        min_notional=Notional(Decimal(pair.get("costmin", 0))),
        max_leverage=Decimal(max(pair.get("leverage_buy", ()), default=1)),
    )


def decimals_of(pair: Json) -> Decimals:
    """How many digits the prices and quantities of a pair have."""
    return Decimals(price=int(pair["pair_decimals"]), quantity=int(pair["lot_decimals"]))


def trade_of_frame(symbol: Symbol, row: Json) -> Trade:
    """A trade as WebSocket v2 tells it.

    Raises:
        LookupError, ArithmeticError, ValueError, MalformedTrade: it is none.
    """
    return Trade(
        symbol=symbol,
        trade_id=row["trade_id"],
        traded_at=datetime.fromisoformat(row["timestamp"]),
        side=Side(row["side"]),
        price=Price(Decimal(row["price"])),
        quantity=Quantity(Decimal(row["qty"])),
    )


def trade_of_row(symbol: Symbol, row: Sequence[Any]) -> Trade:
    """A trade as REST Trades tells it: price, quantity, time, side, type, text, id.

    Raises:
        LookupError, ArithmeticError, ValueError, MalformedTrade: it is none.
    """
    return Trade(
        symbol=symbol,
        trade_id=row[6],
        traded_at=at_seconds(row[2]),
        side=_SIDES[row[3]],
        price=Price(Decimal(row[0])),
        quantity=Quantity(Decimal(row[1])),
    )


def bar_of_row(symbol: Symbol, timeframe: Timeframe, row: Sequence[Any]) -> Bar:
    """A bar as REST OHLC tells it: open time, O, H, L, C, rounded vwap, volume, trades.

    Its turnover is unknown, as a rounded vwap gives none, unless nothing was traded.

    Raises:
        LookupError, ArithmeticError, ValueError, MalformedBar: it is none.
    """
    opened, open_, high, low, close, _, volume, trades = row[:8]
    return Bar(
        symbol=symbol,
        timeframe=timeframe,
        closed_at=at_seconds(opened) + timeframe.delta,
        open=Price(Decimal(open_)),
        high=Price(Decimal(high)),
        low=Price(Decimal(low)),
        close=Price(Decimal(close)),
        volume=Quantity(Decimal(volume)),
        turnover=None if trades else Notional(Decimal(0)),
        trades=trades,
    )


def rows_of(answer: Json) -> tuple[Sequence[Sequence[Any]], int]:
    """The rows of an answer that has one pair's, and its `last`."""
    result = dict(answer["result"])
    last = int(result.pop("last"))
    (rows,) = result.values()
    return rows, last


def _apply(book: KrakenBook, frame: Json, now: datetime) -> None:
    """Put one message into `book`; some snapshots have no time, and then it is ours.

    Raises:
        BookBroken: it cannot be the venue's any more.
        LookupError, ArithmeticError, ValueError: it is no message of a book.
    """
    put = book.snapshot if frame["type"] == "snapshot" else book.update
    for row in frame["data"]:
        stamp = row.get("timestamp")
        at = now if stamp is None else datetime.fromisoformat(stamp)
        put(at, _levels(row["bids"]), _levels(row["asks"]), row.get("checksum"))


def _levels(rows: Iterable[Json]) -> list[Change]:
    return [(Decimal(row["price"]), Decimal(row["qty"])) for row in rows]


def _refusal(text: str) -> Fault:
    """What a refused subscription comes to: most are for good, some for a while."""
    if "Rate limit" in text or "Exceeded" in text:
        return RateLimited(f"kraken: {text}")
    if "Unavailable" in text or "Internal" in text:
        return SourceUnavailable(f"kraken: {text}")
    return SourceRefused(f"kraken: {text}")


def _nanoseconds(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND * 1_000

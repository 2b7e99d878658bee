"""Binance's public USD-M futures data: market streams and REST, through ccxt.pro.

Trades are the venue's aggregate trades (one taker's fills at one price within 100 ms): the only
ones it streams officially, whose ids are consecutive and whose past REST gives by id without a
key; single trades are given by id to key holders only. Volume and turnover are the same in both,
the number of trades is not. What the insurance fund and auto-deleveraging trade is in neither.
"""

import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import ccxt.pro  # type: ignore[import-untyped]

from data.bar import Bar, Timeframe
from data.clock import Clock
from data.faults import Fault
from data.feeds.binance_wire import (
    bar_of,
    changes,
    depth_event,
    funding_of_frame,
    instrument,
    interval_of,
    settled_funding,
    trade_of,
)
from data.feeds.ccxt_source import (
    CcxtSource,
    Inbox,
    Json,
    TappedExchange,
    as_rows,
    at_milliseconds,
    config,
    reading,
)
from data.feeds.closed_bars import closed
from data.feeds.rate_budget import Allowance, RateBudget
from data.feeds.source import BookBroken, Cursor, SourceRefused, SourceUnavailable, Traits
from data.funding import FundingRate
from data.instrument import Instrument, Symbol
from data.level_book import BinanceBook
from data.order_book import OrderBook
from data.trade import Trade

_PAGE: Final = 1_000  # the most of trades, bars, levels or rates that REST is asked for at once
_EVERYTHING: Final = 2**31
_HOUR: Final = timedelta(hours=1)  # the longest span of aggTrades that one answer covers
_SNAPSHOTS: Final = 5  # tries for one that the events of the stream can follow
_INVALID_REQUEST: Final = 2  # code of an error over a socket
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_KINDS: Final = {"aggTrade": "market", "markPrice": "market", "depth": "public"}  # of sockets
_STREAMS: Final = {  # by the event that they are made of
    "aggTrade": "aggTrade",
    "markPriceUpdate": "markPrice@1s",
    "depthUpdate": "depth@100ms",
}
_MOST_A_MINUTE: Final = 2_400  # weight
_USED: Final = "X-MBX-USED-WEIGHT-1M"
_LIGHT, _TRADES, _SNAPSHOT, _KLINES = 1.0, 20.0, 20.0, 5.0  # weights, as asked here
_FUNDING: Final = 24.0  # weighs nothing, but 500 calls in 5 minutes: a hundredth of a minute's

TRAITS: Final = Traits(
    exchange="binanceusdm",
    consecutive_ids=True,
    trades_by_id=True,
    has_funding=True,
    page=_PAGE,
    bars_kept=_EVERYTHING,
)
TESTNET_TRAITS: Final = replace(TRAITS, exchange="binanceusdm_testnet")


def rate_budget(clock: Clock) -> RateBudget:
    """Of the weight 2,400 that one address has each minute, never more in any minute.

    Every answer says what the address has used, in the header X-MBX-USED-WEIGHT-1M: also by another
    process, such as a fill beside a daemon.

    Source: Binance USD-M futures, "General Info", "Limits": REQUEST_WEIGHT in exchangeInfo.
    """
    return RateBudget(clock, capacity=600.0, per_second=30.0)


class BinanceSource(CcxtSource):
    """Binance USD-M as a `MarketSource`; `BTC/USDT` is the perpetual that is margined in USDT.

    Args:
        testnet: The venue's play-money market, which its demo trading has become; its data are
            kept under a name of their own.
        urls: In place of the real ones: `fapiPublic` (REST) and `ws` with `linear`.
        timeout: Of one REST call.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        budget: Allowance,
        testnet: bool = False,
        urls: Mapping[str, Any] | None = None,
        timeout: timedelta = timedelta(seconds=10),
    ) -> None:
        exchange = _Binance(config(urls, timeout=timeout), budget)
        if testnet:
            exchange.enable_demo_trading(True)
            exchange.urls["api"] = exchange.deep_extend(exchange.urls["api"], urls or {})
        super().__init__(exchange, clock=clock, budget=budget)
        self.traits = TESTNET_TRAITS if testnet else TRAITS

    async def instruments(self, symbols: Sequence[Symbol]) -> dict[Symbol, Instrument]:
        self.forget_markets()
        listed = {symbol: (await self._listed(symbol))["info"] for symbol in symbols}
        with reading("binanceusdm exchangeInfo"):
            return {symbol: instrument(symbol, listing) for symbol, listing in listed.items()}

    async def trades(self, symbol: Symbol) -> AsyncIterator[Sequence[Trade]]:
        """Each trade once: what is not newer than the last one told is a repetition.

        A testnet that is set up again numbers anew; then it is by its time.
        """
        last: Trade | None = None
        async with await self._subscribed("aggTrade", symbol) as inbox:
            while True:
                frame = await inbox.get()
                if _is_receipt(frame):
                    continue
                with reading(inbox.name):
                    trade = trade_of(symbol, frame)
                if last is None or _is_newer(trade, last):
                    last = trade
                    yield (trade,)

    async def books(self, symbol: Symbol, depth: int) -> AsyncIterator[OrderBook]:
        """The book, from a snapshot asked for once the stream is heard, and again when worn."""
        if depth > _PAGE:
            raise SourceRefused(f"binanceusdm: {depth} levels of a book; it has {_PAGE}")
        book = BinanceBook(symbol)
        async with await self._subscribed("depth@100ms", symbol) as inbox:
            while True:
                frame = await inbox.get()
                with reading(inbox.name):
                    if not _is_receipt(frame):
                        book.update(depth_event(frame))
                if not book.is_synced or book.is_worn(depth):
                    await self._synchronise(symbol, book)
                yield book.book(depth)

    async def funding(self, symbol: Symbol) -> AsyncIterator[FundingRate]:
        interval = await self._interval(symbol)
        async with await self._subscribed("markPrice@1s", symbol) as inbox:
            while True:
                frame = await inbox.get()
                if _is_receipt(frame):
                    continue
                with reading(inbox.name):
                    rate = funding_of_frame(symbol, frame, interval)
                yield rate

    async def past_trades(self, symbol: Symbol, cursor: Cursor) -> tuple[Sequence[Trade], Cursor]:
        """One page by id or, until the first trade is found, by time."""
        if cursor.trade_id is None:
            rows = await self._first_from(symbol, cursor.since)
        else:
            query = {"fromId": cursor.trade_id}
            rows = await self._rows("aggTrades", symbol, query, weight=_TRADES)
        with reading("binanceusdm aggTrades"):
            page = [trade_of(symbol, row) for row in rows]
        if not page:
            return (), cursor
        newest = page[-1]
        return page, Cursor(since=newest.traded_at, trade_id=newest.trade_id + 1)

    async def past_bars(
        self, symbol: Symbol, timeframe: Timeframe, since: datetime
    ) -> Sequence[Bar]:
        """Up to 1,000 bars."""
        query = {"interval": timeframe.value, "startTime": _milliseconds(since)}
        rows = await self._rows("klines", symbol, query, weight=_KLINES)
        with reading("binanceusdm klines"):
            bars = [bar_of(symbol, timeframe, row) for row in rows]
        return closed(bars, self._clock.now())

    async def past_funding(self, symbol: Symbol, since: datetime) -> Sequence[FundingRate]:
        """Up to 1,000 rates."""
        interval = await self._interval(symbol)
        query = {"startTime": _milliseconds(since)}
        rows = await self._rows("fundingRate", symbol, query, weight=_FUNDING)
        with reading("binanceusdm fundingRate"):
            rates = settled_funding(symbol, rows, interval)
        return [rate for rate in rates if rate.at >= since]

    async def server_time(self) -> datetime:
        answer = await self._ask(self._exchange.fapiPublicGetTime, weight=_LIGHT)
        with reading("binanceusdm time"):
            return at_milliseconds(answer["serverTime"])

    async def _first_from(self, symbol: Symbol, since: datetime) -> Sequence[Json]:
        """The trades of an hour: the first from `since` on that has any, if one has."""
        at: datetime | None = since
        while at is not None:
            until = at + _HOUR
            span = {"startTime": _milliseconds(at), "endTime": _milliseconds(until) - 1}
            rows = await self._rows("aggTrades", symbol, span, weight=_TRADES)
            if rows or until > self._clock.now():
                return rows
            at = await self._traded_from(symbol, until)
        return []

    async def _traded_from(self, symbol: Symbol, at: datetime) -> datetime | None:
        """When the first hourly bar opens, or `at` in it, that has trades; None if there is none.

        It finds over years when a market began, which the span of aggTrades does hour by hour.
        """
        opened = at.replace(minute=0, second=0, microsecond=0)
        while True:
            query = {"interval": Timeframe.H1.value, "startTime": _milliseconds(opened)}
            rows = await self._rows("klines", symbol, query, weight=_KLINES)
            with reading("binanceusdm klines"):
                bars = [bar_of(symbol, Timeframe.H1, row) for row in rows]
            for bar in bars:
                if bar.volume:
                    return max(bar.opened_at, at)
            if len(bars) < _PAGE:
                return None
            opened = bars[-1].closed_at

    async def _interval(self, symbol: Symbol) -> timedelta:
        """Between two payments as it is today."""
        market = await self._listed(symbol)
        answer = await self._ask(self._exchange.fapiPublicGetFundingInfo, weight=_FUNDING)
        with reading("binanceusdm fundingInfo"):
            return interval_of(market["id"], as_rows(answer))

    async def _synchronise(self, symbol: Symbol, book: BinanceBook) -> None:
        """Give `book` a snapshot that the events which wait can follow.

        Raises:
            BookBroken: all that could be had were older.
        """
        for _ in range(_SNAPSHOTS):
            answer = await self._rest("depth", symbol, {}, weight=_SNAPSHOT)
            with reading("binanceusdm depth"):
                bids, asks = changes(answer["bids"]), changes(answer["asks"])
                at, last_id = at_milliseconds(answer["T"]), int(answer["lastUpdateId"])
            if book.snapshot(at, last_id, bids, asks):
                return
        raise BookBroken(f"binanceusdm: {symbol}: {_SNAPSHOTS} snapshots older than the stream")

    async def _rest(self, endpoint: str, symbol: Symbol, query: Json, *, weight: float) -> Any:
        market = await self._listed(symbol)
        call = getattr(self._exchange, f"fapiPublicGet{endpoint[0].upper()}{endpoint[1:]}")
        return await self._ask(
            call, {"symbol": market["id"], "limit": _PAGE, **query}, weight=weight
        )

    async def _rows(
        self, endpoint: str, symbol: Symbol, query: Json, *, weight: float
    ) -> list[Any]:
        answer = await self._rest(endpoint, symbol, query, weight=weight)
        with reading(f"binanceusdm {endpoint}"):
            return as_rows(answer)

    async def _listed(self, symbol: Symbol) -> Json:
        return await self._market(f"{symbol}:{symbol.quote}", symbol, weight=_LIGHT)

    def _untraded(self, listing: Json) -> str | None:
        status = listing.get("status")
        return None if status == "TRADING" else f"is {status}"

    async def _subscribed(
        self, stream: str, symbol: Symbol
    ) -> AbstractAsyncContextManager[Inbox[Any]]:
        market = await self._listed(symbol)
        exchange: _Binance = self._exchange
        return exchange.listen(market["id"], stream)


class _Binance(TappedExchange, ccxt.pro.binanceusdm):  # type: ignore[misc]
    """ccxt's client, with what it receives delivered whole."""

    def __init__(self, settings: Mapping[str, Any], budget: Allowance) -> None:
        self._budget = budget
        self._numbers = itertools.count(1)
        self._asked: dict[int, str] = {}  # keys of subscriptions by the request's number
        super().__init__(settings)

    def handle_errors(self, code: int, *answer: Any) -> Any:
        used = answer[3].get(_USED, "")
        if used.isdecimal():
            self._budget.counted(_MOST_A_MINUTE - int(used))
        return super().handle_errors(code, *answer)

    def listen(self, market_id: str, stream: str) -> AbstractAsyncContextManager[Inbox[Any]]:
        """The inbox of one stream, on a socket of its own: receipts and events as they come."""
        key, number = f"{market_id.lower()}@{stream}", next(self._numbers)
        self._asked[number] = key
        kind = _KINDS[stream.partition("@")[0]]
        url = f"{self.get_ws_url('linear', kind)}/{self.stream('linear', key)}"
        subscribe = {"method": "SUBSCRIBE", "params": [key], "id": number}
        unsubscribe = {"method": "UNSUBSCRIBE", "params": [key], "id": next(self._numbers)}
        return self.subscription(url, key, subscribe, unsubscribe)

    def handle_message(self, client: Any, message: Any) -> None:
        match message:
            case {"e": str(event), "s": str(market_id)} if event in _STREAMS:
                self.deliver(f"{market_id.lower()}@{_STREAMS[event]}", message)
            case {"id": int(number), "error": error}:
                inbox = self.inboxes.get(self._asked.pop(number, ""))
                if inbox is not None:
                    inbox.fail(_refusal(inbox.name, error))
            case {"id": int(number)}:
                self.deliver(self._asked.pop(number, ""), message)
            case _:
                pass  # what nobody has asked for


def _refusal(key: str, error: Json) -> Fault:
    """What a refused subscription comes to: a stream that is none is refused for good."""
    text = f"binanceusdm: {key}: {error}"
    is_final = error.get("code") == _INVALID_REQUEST
    return SourceRefused(text) if is_final else SourceUnavailable(text)


def _is_newer(trade: Trade, last: Trade) -> bool:
    return trade.trade_id > last.trade_id or trade.traded_at > last.traded_at


def _is_receipt(frame: Json) -> bool:
    """Whether it only says that the subscription stands."""
    return "e" not in frame


def _milliseconds(at: datetime) -> int:
    return -(-(at - _EPOCH) // _MILLISECOND)

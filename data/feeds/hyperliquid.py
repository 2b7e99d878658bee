"""Hyperliquid's public data of perpetuals: WebSocket and REST, through ccxt.pro, without keys.

A client of ccxt that has keys signs an approval of fees to a third party, and a referral, when it
loads the markets. This one takes no keys, and can send nothing that is signed.
"""

import json
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import ccxt.pro  # type: ignore[import-untyped]

from data.bar import Bar, Timeframe
from data.clock import Clock
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
from data.feeds.hyperliquid_wire import (
    HOUR,
    bar_of,
    book_of,
    funding_of_context,
    instrument,
    oldest_first,
    settled_funding,
    trade_of,
)
from data.feeds.rate_budget import Allowance, RateBudget
from data.feeds.source import BookBroken, Cursor, SourceRefused, SourceUnavailable, Traits
from data.funding import FundingRate
from data.instrument import Instrument, Symbol
from data.order_book import MalformedBook, OrderBook
from data.trade import Trade

_RECENT: Final = 10  # trades in an answer to recentTrades
_CANDLES: Final = 5_000  # kept of each size
_FUNDINGS: Final = 500  # in one answer
_REMEMBERED: Final = 10_000  # ids of trades told, by symbol
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_LIGHT, _HEAVY = 2.0, 20.0  # weights of info requests, before what their rows weigh
_FUNDINGS_A_WEIGHT, _CANDLES_A_WEIGHT = 20, 60

TRAITS: Final = Traits(
    exchange="hyperliquid",
    consecutive_ids=False,
    trades_by_id=False,
    has_funding=True,
    page=_RECENT,
    bars_kept=_CANDLES,
)


def rate_budget(clock: Clock) -> RateBudget:
    """Of the weight 1,200 that one address has each minute, never more in any minute.

    Source: Hyperliquid, API, "Rate limits and user limits".
    """
    return RateBudget(clock, capacity=300.0, per_second=15.0)


class HyperliquidSource(CcxtSource):
    """Hyperliquid as a `MarketSource`; `BTC/USDC` is the perpetual that is margined in USDC.

    Args:
        urls: In place of the real ones: `public` (REST) and `ws` with `public`.
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
        super().__init__(_Hyperliquid(config(urls, timeout=timeout)), clock=clock, budget=budget)
        self._told: dict[Symbol, _Told] = {}

    async def instruments(self, symbols: Sequence[Symbol]) -> dict[Symbol, Instrument]:
        self.forget_markets()
        listed = {symbol: (await self._listed(symbol))["info"] for symbol in symbols}
        with reading("hyperliquid metaAndAssetCtxs"):
            return {symbol: instrument(symbol, listing) for symbol, listing in listed.items()}

    async def trades(self, symbol: Symbol) -> AsyncIterator[Sequence[Trade]]:
        """Each trade once, also across subscriptions, each of which begins with the last trades."""
        told = self._told.setdefault(symbol, _Told())
        async with await self._subscribed("trades", symbol) as inbox:
            while True:
                rows = await inbox.get()
                with reading(inbox.name):
                    trades = [trade_of(symbol, row) for row in rows]
                if batch := told.new(oldest_first(trades)):
                    yield batch

    async def books(self, symbol: Symbol, depth: int) -> AsyncIterator[OrderBook]:
        """The best 20 levels at most; a book that is older than the last one is left out."""
        last = _EPOCH
        async with await self._subscribed("l2Book", symbol) as inbox:
            while True:
                snapshot = await inbox.get()
                with reading(inbox.name):
                    try:
                        book = book_of(symbol, snapshot, depth)
                    except MalformedBook as error:
                        raise BookBroken(f"hyperliquid: {error}") from error
                if book.at >= last:
                    last = book.at
                    yield book

    async def funding(self, symbol: Symbol) -> AsyncIterator[FundingRate]:
        async with await self._subscribed("activeAssetCtx", symbol) as inbox:
            while True:
                data = await inbox.get()
                with reading(inbox.name):
                    rate = funding_of_context(symbol, data["ctx"], self._clock.now())
                yield rate

    async def past_trades(self, symbol: Symbol, cursor: Cursor) -> tuple[Sequence[Trade], Cursor]:
        """What the last ten trades have from the cursor on; what is older, the venue gives nobody.

        Raises:
            SourceRefused: they do not surely reach back to the cursor: trades may be missing.
        """
        answer = await self._info("recentTrades", symbol, {}, weight=_HEAVY)
        with reading("hyperliquid recentTrades"):
            recent = oldest_first([trade_of(symbol, row) for row in as_rows(answer)])
        ids = [trade.trade_id for trade in recent]
        if cursor.trade_id in ids:
            page = recent[ids.index(cursor.trade_id) + 1 :]
        elif len(recent) >= _RECENT and recent[0].traded_at >= cursor.since:
            raise SourceRefused(
                f"hyperliquid: {symbol}: trades of {cursor.since} are past;"
                f" the oldest that can be had is of {recent[0].traded_at}"
            )
        else:
            page = [trade for trade in recent if trade.traded_at >= cursor.since]
        if not page:
            return (), cursor
        return page, Cursor(since=page[-1].traded_at, trade_id=page[-1].trade_id)

    async def past_bars(
        self, symbol: Symbol, timeframe: Timeframe, since: datetime
    ) -> Sequence[Bar]:
        """As many as there are of the last 5,000; no weeks, whose first day is nowhere told."""
        if timeframe is Timeframe.W1:
            raise SourceRefused("hyperliquid: no bars of 1w; aggregate shorter ones")
        now = self._clock.now()
        market = await self._listed(symbol)
        span = {"startTime": _milliseconds(since), "endTime": _milliseconds(now)}
        wish = {"coin": market["baseName"], "interval": timeframe.value, **span}
        rows = min(max((now - since) // timeframe.delta, 0), _CANDLES)
        answer = await self._ask(
            self._exchange.publicPostInfo,
            {"type": "candleSnapshot", "req": wish},
            weight=_HEAVY + rows // _CANDLES_A_WEIGHT,
        )
        with reading("hyperliquid candleSnapshot"):
            bars = [bar_of(symbol, timeframe, row) for row in as_rows(answer)]
        return [bar for bar in closed(bars, now) if bar.opened_at >= since]

    async def past_funding(self, symbol: Symbol, since: datetime) -> Sequence[FundingRate]:
        """Up to 500 rates."""
        rows = min(max((self._clock.now() - since) // HOUR, 0), _FUNDINGS)
        weight = _HEAVY + rows // _FUNDINGS_A_WEIGHT
        span = {"startTime": _milliseconds(since)}
        answer = await self._info("fundingHistory", symbol, span, weight=weight)
        with reading("hyperliquid fundingHistory"):
            rates = settled_funding(symbol, as_rows(answer))
        return [rate for rate in rates if rate.at >= since]

    async def server_time(self) -> datetime:
        answer = await self._ask(
            self._exchange.publicPostInfo, {"type": "exchangeStatus"}, weight=_LIGHT
        )
        with reading("hyperliquid exchangeStatus"):
            return at_milliseconds(answer["time"])

    async def _info(self, kind: str, symbol: Symbol, query: Json, *, weight: float) -> Any:
        market = await self._listed(symbol)
        wish = {"type": kind, "coin": market["baseName"], **query}
        return await self._ask(self._exchange.publicPostInfo, wish, weight=weight)

    async def _listed(self, symbol: Symbol) -> Json:
        return await self._market(f"{symbol}:{symbol.quote}", symbol, weight=_HEAVY)

    def _untraded(self, listing: Json) -> str | None:
        return "is delisted" if listing.get("isDelisted") else None

    async def _subscribed(
        self, channel: str, symbol: Symbol
    ) -> AbstractAsyncContextManager[Inbox[Any]]:
        market = await self._listed(symbol)
        exchange: _Hyperliquid = self._exchange
        return exchange.listen(channel, market["baseName"])


class _Told:
    """The newest ids of trades that were told: ids here are hashes, and have no order."""

    def __init__(self) -> None:
        self._ids: OrderedDict[int, None] = OrderedDict()

    def new(self, trades: Iterable[Trade]) -> tuple[Trade, ...]:
        """Those of `trades` that were not told, now told."""
        fresh = []
        for trade in trades:
            if trade.trade_id not in self._ids:
                self._ids[trade.trade_id] = None
                fresh.append(trade)
        while len(self._ids) > _REMEMBERED:
            self._ids.popitem(last=False)
        return tuple(fresh)


class _Hyperliquid(TappedExchange, ccxt.pro.hyperliquid):  # type: ignore[misc]
    """ccxt's client, with what it receives delivered whole, and what it would sign left out."""

    def describe(self) -> Any:
        only_perpetuals = {"fetchMarkets": {"types": ["swap"]}}
        mine = {"has": {"fetchCurrencies": False}, "options": only_perpetuals}
        return self.deep_extend(super().describe(), mine)

    async def initialize_client(self) -> bool:
        """Approve and refer nothing."""
        return True

    def sign(self, path: str, api: Any = "public", *request: Any) -> Any:
        if "private" in api:
            raise ccxt.PermissionDenied(f"hyperliquid: {path}: public data only")
        return super().sign(path, api, *request)

    def listen(self, channel: str, coin: str) -> AbstractAsyncContextManager[Inbox[Any]]:
        """The inbox of a channel of one coin: the `data` of each message."""
        wish = {"type": channel, "coin": coin}
        return self.subscription(
            self.urls["api"]["ws"]["public"],
            _key(wish),
            {"method": "subscribe", "subscription": wish},
            {"method": "unsubscribe", "subscription": wish},
        )

    def handle_message(self, client: Any, message: Any) -> None:
        match message:
            case {"channel": "trades", "data": [{"coin": str(coin)}, *_] as rows}:
                self.deliver(f"trades {coin}", rows)
            case {"channel": "l2Book" | "activeAssetCtx" as channel, "data": {"coin": str(coin)}}:
                self.deliver(f"{channel} {coin}", message["data"])
            case {"channel": "pong"}:
                self.handle_pong(client, message)
            case {"channel": "error", "data": str(text)}:
                self._refused(client, text)
            case _:
                pass  # receipts, and what nobody has asked for

    def _refused(self, client: Any, text: str) -> None:
        """End the subscription that the venue quotes in an error; all, if it quotes none.

        "Already subscribed" or "unsubscribed" is what was wanted.
        """
        if text.startswith("Already"):
            return
        is_final = text.startswith("Invalid subscription")
        fault = (SourceRefused if is_final else SourceUnavailable)(f"hyperliquid: {text}")
        named = self.inboxes.get(_key(_quoted(text)))
        for inbox in self.inboxes.values():
            if inbox is named or (named is None and inbox.client is client):
                inbox.fail(fault)


def _key(wish: Json) -> str:
    return f"{wish.get('type')} {wish.get('coin')}"


def _quoted(text: str) -> Json:
    """The subscription that stands in the text of an error."""
    start = text.find("{")
    try:
        wish = json.loads(text[start:]) if start >= 0 else {}
    except ValueError:
        return {}
    subscription = wish.get("subscription", wish)
    return subscription if isinstance(subscription, dict) else {}


def _milliseconds(at: datetime) -> int:
    return -(-(at - _EPOCH) // _MILLISECOND)

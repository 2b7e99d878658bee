"""Every venue that the contract of market sources is proved on: add a harness, and it is."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Protocol

from data.clock import Clock
from data.feeds.binance import BinanceSource
from data.feeds.hyperliquid import HyperliquidSource
from data.feeds.kraken import KrakenSource
from data.feeds.rate_budget import RateBudget
from data.feeds.source import MarketSource
from data.instrument import Side, Symbol
from tests.wire.binance import BinanceServer, milliseconds
from tests.wire.hyperliquid import HyperliquidServer
from tests.wire.kraken import KrakenServer
from tests.wire.loopback import LoopbackServer


class MakeTrade(Protocol):
    """Let somebody trade; the trade's id. Not told, it is in the venue's history only."""

    async def __call__(
        self,
        symbol: Symbol,
        price: str,
        quantity: str,
        side: str,
        *,
        at: datetime,
        tell: bool = True,
    ) -> int: ...


class ChangeBook(Protocol):
    """Set levels, price to quantity; a quantity of 0 takes one away."""

    async def __call__(
        self, symbol: Symbol, *, bids: Mapping[str, str], asks: Mapping[str, str]
    ) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Rig:
    """One adapter before its venue on loopback, and what the test can make happen there."""

    source: MarketSource
    server: LoopbackServer
    budget: RateBudget
    symbols: tuple[Symbol, Symbol]
    unknown: Symbol
    trade: MakeTrade
    repeat_trades: Callable[[Symbol, int], Awaitable[None]]  # the newest, unasked
    change_book: ChangeBook
    break_book: Callable[[], None]  # the next change is told wrongly
    trade_topic: Callable[[Symbol], str]  # what a subscription to trades is called at the server
    book_topic: Callable[[Symbol, int], str]
    keeps_trades: bool  # whether the venue's history of trades goes back for long
    tells_book_changes: bool  # not whole books: a lost one breaks it


@asynccontextmanager
async def kraken(clock: Clock) -> AsyncIterator[Rig]:
    async with KrakenServer(clock) as server:
        budget = RateBudget(clock, capacity=10_000, per_second=10_000)
        source = KrakenSource(clock=clock, budget=budget, urls=server.urls)

        async def trade(symbol, price, quantity, side, *, at, tell=True):
            made = await server.trade(symbol, price, quantity, side, at=at, tell=tell)
            return made.number

        def break_book():
            server.corrupt_next_book = True

        try:
            yield Rig(
                source=source,
                server=server,
                budget=budget,
                symbols=(Symbol("BTC/USD"), Symbol("XRP/USD")),
                unknown=Symbol("NOT/USD"),
                trade=trade,
                repeat_trades=server.repeat_trades,
                change_book=server.change_book,
                break_book=break_book,
                trade_topic="trade@{}".format,
                book_topic=lambda symbol, depth: f"book@{symbol}@{10 if depth <= 10 else 25}",
                keeps_trades=True,
                tells_book_changes=True,
            )
        finally:
            await source.close()


@asynccontextmanager
async def binance(clock: Clock, *, testnet: bool = False) -> AsyncIterator[Rig]:
    async with BinanceServer(clock) as server:
        budget = RateBudget(clock, capacity=10_000, per_second=10_000)
        source = BinanceSource(clock=clock, budget=budget, testnet=testnet, urls=server.urls)

        async def trade(symbol, price, quantity, side, *, at, tell=True):
            seller_takes = Side(side) is Side.SELL
            made = await server.trade(
                _joined(symbol),
                price,
                quantity,
                maker_buys=seller_takes,
                at_ms=milliseconds(at),
                tell=tell,
            )
            return made["a"]

        async def change_book(symbol, *, bids, asks):
            await server.change_book(_joined(symbol), bids=bids, asks=asks)

        def break_book():
            server.lose_next_change = True

        try:
            yield Rig(
                source=source,
                server=server,
                budget=budget,
                symbols=(Symbol("BTC/USDT"), Symbol("ETH/USDT")),
                unknown=Symbol("NOT/USDT"),
                trade=trade,
                repeat_trades=lambda symbol, n: server.repeat_trades(_joined(symbol), n),
                change_book=change_book,
                break_book=break_book,
                trade_topic=lambda symbol: f"{_joined(symbol).lower()}@aggTrade",
                book_topic=lambda symbol, _: f"{_joined(symbol).lower()}@depth@100ms",
                keeps_trades=True,
                tells_book_changes=True,
            )
        finally:
            await source.close()


@asynccontextmanager
async def hyperliquid(clock: Clock) -> AsyncIterator[Rig]:
    async with HyperliquidServer(clock) as server:
        budget = RateBudget(clock, capacity=10_000, per_second=10_000)
        source = HyperliquidSource(clock=clock, budget=budget, urls=server.urls)

        async def trade(symbol, price, quantity, side, *, at, tell=True):
            taker = {Side.BUY: "B", Side.SELL: "A"}[Side(side)]
            made = await server.trade(
                symbol.base, price, quantity, side=taker, at_ms=milliseconds(at), tell=tell
            )
            return made["tid"]

        async def change_book(symbol, *, bids, asks):
            await server.change_book(symbol.base, bids=bids, asks=asks)

        def break_book():
            raise NotImplementedError("this venue tells whole books")

        try:
            yield Rig(
                source=source,
                server=server,
                budget=budget,
                symbols=(Symbol("BTC/USDC"), Symbol("ETH/USDC")),
                unknown=Symbol("NOT/USDC"),
                trade=trade,
                repeat_trades=lambda symbol, n: server.repeat_trades(symbol.base, n),
                change_book=change_book,
                break_book=break_book,
                trade_topic=lambda symbol: f"trades:{symbol.base}",
                book_topic=lambda symbol, _: f"l2Book:{symbol.base}",
                keeps_trades=False,
                tells_book_changes=False,
            )
        finally:
            await source.close()


def _joined(symbol: Symbol) -> str:
    return symbol.replace("/", "")


HARNESSES: Mapping[str, Callable[[Clock], AbstractAsyncContextManager[Rig]]] = {
    "kraken": kraken,
    "binanceusdm": binance,
    "binanceusdm_testnet": partial(binance, testnet=True),
    "hyperliquid": hyperliquid,
}

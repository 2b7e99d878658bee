"""The venue of an account, open and in the daemon's hands."""

import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, Protocol, TypeVar

from data.bar import Bar
from data.clock import Clock
from data.collect.patience import Patience
from data.feeds.rate_budget import RateBudget
from data.instrument import Instrument, Symbol
from data.kraken_db.private_trades import Account
from execution.dead_man import DeadManSettings
from execution.journal import OrderJournal
from execution.trial import TrialVenue, Tried
from execution.venue import Venue
from execution.venues import ccxt_venue
from execution.venues.binance_settings import BinanceVenueSettings
from execution.venues.hyperliquid_settings import HyperliquidVenueSettings
from execution.venues.kraken_settings import KrakenVenueSettings
from execution.venues.paper import PaperVenue
from sextant.market import Site, waiting_for
from sextant.settings import PaperTradingSettings, Settings
from sextant.trials import require_accepted, try_each

T = TypeVar("T")
_TRIES = 3  # of a trial that a person waits for
ExchangeSettings = KrakenVenueSettings | BinanceVenueSettings | HyperliquidVenueSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Outliving:
    """A venue that is not our own: what rests there would outlive us, and it has its own terms."""

    venue: ccxt_venue.CcxtVenue
    dead_man: DeadManSettings  # how long its entries may
    relist_every: timedelta
    as_traded: Callable[[], Awaitable[Settings]]  # our settings by the terms that it has now


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenVenue:
    """A venue, and what it needs beside the engine."""

    venue: Venue
    settings: Settings  # with the grid and the fees that the venue really has
    paper: PaperVenue | None = None  # the same, where bars have to be shown to it
    listen: Callable[[], Coroutine[None, None, None]] | None = None  # has to run beside the engine
    account: Account | None = None  # whose histories can be read beside
    outliving: Outliving | None = None  # the same, where it is not our own

    async def recall(self, bars: Sequence[Bar]) -> None:
        """Show a paper venue the prices from before; what they could fill it has."""
        if self.paper is not None:
            for bar in bars:
                await self.paper.observe(bar)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What an exchange is opened in."""

    clock: Clock
    since: datetime  # when this account's records begin
    site: Site | None  # in place of the real exchange
    budget: RateBudget | None  # of this address, where the market's source spends from one too


class TradedExchange(ccxt_venue.Exchange, Protocol):
    """An exchange that can say what an account needs to know before it trades there."""

    async def require_safe_key(self) -> None: ...

    async def instruments(self, symbols: Sequence[Symbol]) -> Mapping[Symbol, Instrument]: ...

    async def taker_fees(self, symbols: Sequence[Symbol]) -> Mapping[Symbol, Decimal]:
        """What the account pays now for what takes, as a share of notional."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """An exchange, and what has to succeed, in this order, before anything is sent there."""

    exchange: TradedExchange
    steps: Sequence[Callable[[], Awaitable[None]]]
    account: Account | None = None


@contextlib.asynccontextmanager
async def open_venue(
    settings: Settings, *, books: OrderJournal, around: Surroundings
) -> AsyncIterator[OpenVenue]:
    """The venue that the settings name, closed when the block ends.

    Args:
        books: What a paper venue remembers its orders by.

    Raises:
        KeyRefused: a key is missing, wrong, or may do what it must not.
        AccountRefused: the account is not set as we trade.
        TrialRefused: it would not take an order in something that is to be traded there.
        Corrupt: the books hold what no paper venue wrote.
    """
    match settings.venue:
        case PaperTradingSettings():
            paper = await open_paper(settings, books, around.clock)
            yield OpenVenue(venue=paper, settings=settings, paper=paper, listen=paper.run)
        case exchange:
            async with _open_exchange(settings, exchange, around) as opened:
                yield opened


async def open_paper(settings: Settings, books: OrderJournal, clock: Clock) -> PaperVenue:
    """The paper venue as its books left it.

    Raises:
        Corrupt: they hold what no paper venue wrote.
    """
    return await PaperVenue.open(
        name="paper",
        instruments=settings.instruments,
        terms=settings.paper_terms,
        margin=settings.paper_venue.margin,
        book_terms=settings.paper_books,
        balances=settings.account.balances,
        journal=books,
        clock=clock,
    )


@contextlib.asynccontextmanager
async def _open_exchange(
    settings: Settings, wanted: ExchangeSettings, around: Surroundings
) -> AsyncIterator[OpenVenue]:
    prepared = _prepared(wanted, around)
    exchange = prepared.exchange
    venue = ccxt_venue.CcxtVenue(exchange, clock=around.clock, settings=wanted)
    report = waiting_for(f"the account at {exchange.name}")

    async def insist(ask: Callable[[], Awaitable[T]]) -> T:
        return await Patience(clock=around.clock).insist(ask, report)

    try:
        for step in prepared.steps:
            await insist(step)
        as_traded = partial(_as_traded, settings, wanted, exchange)
        traded = await insist(as_traded)
        await insist(venue.open)
        patience = Patience(clock=around.clock)
        await require_accepted(
            exchange.name, exchange, traded.instruments.values(), patience, report
        )
        yield OpenVenue(
            venue=venue,
            settings=traded,
            listen=venue.run,
            account=prepared.account,
            outliving=Outliving(
                venue=venue,
                dead_man=wanted.dead_man,
                relist_every=wanted.relist_every,
                as_traded=as_traded,
            ),
        )
    finally:
        await venue.close()


async def try_orders(
    settings: Settings, wanted: ExchangeSettings, around: Surroundings
) -> list[Tried] | None:
    """Have the exchange look at an order of each symbol: nothing is placed or changed there.

    None where it has no trials; that much is known without asking it.

    Raises:
        KeyRefused: a key is missing, wrong, or may do what it must not.
        NotTraded: it does not list a symbol.
        VenueUnavailable: it cannot be reached.
    """
    exchange = _prepared(wanted, around).exchange
    try:
        if not isinstance(exchange, TrialVenue):
            return None
        await exchange.require_safe_key()
        traded = await _as_traded(settings, wanted, exchange)
        patience = Patience(clock=around.clock, tries=_TRIES)
        return await try_each(exchange, traded.instruments.values(), patience)
    finally:
        await exchange.close()


async def _as_traded(
    settings: Settings, wanted: ExchangeSettings, exchange: TradedExchange
) -> Settings:
    """`settings` with the grids and the fees that the exchange has now."""
    symbols = list(settings.instruments)
    grids = await exchange.instruments(symbols)
    fees = await exchange.taker_fees(symbols)
    return settings.as_traded(grids, leverage=wanted.leverage, taker_fee=max(fees.values()))


def _prepared(wanted: ExchangeSettings, around: Surroundings) -> Prepared:
    match wanted:
        case KrakenVenueSettings():
            return _kraken(wanted, around)
        case BinanceVenueSettings():
            return _binance(wanted, around)
        case HyperliquidVenueSettings():
            return _hyperliquid(wanted, around)


# Each imports its adapter when it is wanted: ccxt takes a second, and paper does without it.


def _kraken(wanted: KrakenVenueSettings, around: Surroundings) -> Prepared:
    from data.kraken_db.account import KrakenAccount
    from execution.venues.kraken_exchange import KrakenExchange
    from execution.venues.kraken_limits import KrakenLimits, Tier
    from execution.venues.kraken_line import Keys, KrakenLine
    from execution.venues.kraken_wire import Terms

    site = around.site
    if site is not None and site.key is not None and site.secret is not None:
        keys = Keys(key=site.key, secret=site.secret)
    else:
        keys = Keys.of_environment(os.environ)
    limits = KrakenLimits(around.clock, Tier[wanted.tier.upper()], reserve=wanted.reserve)
    line = KrakenLine(keys, limits=limits, urls=_urls(site), timeout=wanted.request_timeout)
    terms = Terms(
        leverage=wanted.leverage, deadline=wanted.order_deadline, entries_rest=wanted.entries_rest
    )
    exchange = KrakenExchange(
        line,
        terms=terms,
        clock=around.clock,
        limits=limits,
        since=around.since,
        attach_stops=wanted.attach_stops,
    )
    return Prepared(
        exchange=exchange,
        steps=[exchange.require_safe_key],
        account=KrakenAccount(line.ask_at_leisure),
    )


def _binance(wanted: BinanceVenueSettings, around: Surroundings) -> Prepared:
    from data.feeds.binance import rate_budget
    from execution.venues.binance_exchange import BinanceExchange
    from execution.venues.binance_limits import BinanceLimits
    from execution.venues.binance_line import BinanceLine, Keys
    from execution.venues.binance_wire import MarginType, Terms, TriggerPrice

    clock, testnet = around.clock, wanted.kind == "binanceusdm_testnet"
    weight = around.budget or rate_budget(clock)
    limits = BinanceLimits(clock, weight, reserve=wanted.reserve)
    line = BinanceLine(
        Keys.of_environment(os.environ, testnet=testnet),
        clock=clock,
        limits=limits,
        receive_window=wanted.receive_window,
        testnet=testnet,
        timeout=wanted.request_timeout,
    )
    terms = Terms(
        leverage=wanted.leverage,
        margin=MarginType.ISOLATED if wanted.margin == "isolated" else MarginType.CROSSED,
        triggered_by=TriggerPrice.MARK if wanted.triggered_by == "mark" else TriggerPrice.LAST,
        receive_window=wanted.receive_window,
        entries_rest=wanted.entries_rest,
    )
    exchange = BinanceExchange(line, terms=terms, clock=clock, limits=limits, since=around.since)
    steps = [exchange.require_safe_key, exchange.require_one_way, exchange.apply_terms]
    return Prepared(exchange=exchange, steps=steps)


def _hyperliquid(wanted: HyperliquidVenueSettings, around: Surroundings) -> Prepared:
    from data.feeds.hyperliquid import rate_budget
    from execution.venues.hyperliquid_exchange import HyperliquidExchange
    from execution.venues.hyperliquid_limits import HyperliquidLimits
    from execution.venues.hyperliquid_line import HyperliquidLine, Keys
    from execution.venues.hyperliquid_wire import Terms

    clock = around.clock
    limits = HyperliquidLimits(clock, around.budget or rate_budget(clock), reserve=wanted.reserve)
    line = HyperliquidLine(
        Keys.of_environment(os.environ),
        clock=clock,
        limits=limits,
        testnet=wanted.testnet,
        timeout=wanted.request_timeout,
    )
    terms = Terms(
        slippage=wanted.slippage,
        stop_slippage=wanted.stop_slippage,
        deadline=wanted.order_deadline,
    )
    exchange = HyperliquidExchange(
        line, terms=terms, clock=clock, limits=limits, since=around.since
    )
    leverage = [
        partial(exchange.set_leverage, symbol, most) for symbol, most in wanted.leverage.items()
    ]
    return Prepared(exchange=exchange, steps=[exchange.require_safe_key, *leverage])


def _urls(site: Site | None) -> Mapping[str, Any] | None:
    return None if site is None else site.urls

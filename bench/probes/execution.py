"""From an approved order to the wire, and its surroundings: `python -m bench.probes.execution N`.

Orders go through the Kraken adapter, as in live trading, to the rehearsal exchange on loopback.
Nothing waits: the budgets' clock is moved on between two orders.
"""

import asyncio
import json
import socket
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Final
from unittest.mock import patch

from bench.probes.risk import NOON, a_market, an_entry
from bench.process import BenchFailed
from data.account import AccountState
from data.bar import Bar, Timeframe
from data.clock import ManualClock
from data.instrument import Notional, Price, Quantity, Side, Symbol
from execution.book_matching import BookMatching, Moment
from execution.engine import Engine, EngineSettings
from execution.fill import Fill, Liquidity
from execution.ledger import Ledger
from execution.matching import Matching
from execution.order import Order
from execution.paper_terms import PaperTerms
from execution.reconcile import reconcile
from execution.venue_books import VenueBooks
from execution.venues.ccxt_venue import CcxtVenue, CcxtVenueSettings
from execution.venues.kraken_exchange import KrakenExchange
from execution.venues.kraken_limits import KrakenLimits, Tier
from execution.venues.kraken_line import Keys, KrakenLine
from execution.venues.kraken_wire import Terms
from execution.venues.paper import PaperVenue
from risk.approval import ApprovedOrder, judge
from risk.breaker import initial_state
from sextant.facts import codec, venue_codec
from sextant.journal.memory import MemoryJournal
from sextant.rehearsal.listing import KNOWN
from sextant.rehearsal.market import PairMarket
from sextant.rehearsal.server import RehearsalServer
from sextant.rehearsal.server import Terms as RehearsalTerms
from sextant.settings import PROJECT, Settings, load_settings

_BTC: Final = Symbol("BTC/USDT")
_PRICE: Final = Price(Decimal("42000.0"))
_BELOW: Final = Price(Decimal("41500.0"))
_STOP: Final = Price(Decimal("40400.0"))
_EQUITY: Final = Notional(Decimal(1_000_000))
_MEANS: Final = {"USDT": Decimal(10) ** 12}
_MINUTE: Final = timedelta(minutes=1)
_MATCHED: Final = 5_000  # orders, fills: of each core and of the ledger
_TERMS: Final = PaperTerms(
    maker_fee=Decimal("0.0025"),
    taker_fee=Decimal("0.0040"),
    spread_bps=Decimal(1),
    slippage_bps=Decimal(1),
    latency=timedelta(0),
    participation=None,
)


class Wire:
    """When the last byte of an order was handed to the system."""

    def __init__(self) -> None:
        self.sent: float | None = None

    @contextmanager
    def watched(self) -> Iterator[None]:
        send = socket.socket.send

        def and_note(sock: socket.socket, data: bytes, *flags: int) -> int:
            count = send(sock, data, *flags)
            if b"/0/private/AddOrder" in bytes(data):
                self.sent = time.perf_counter()
            return count

        with patch.object(socket.socket, "send", and_note):
            yield


def approvals(settings: Settings, count: int) -> list[ApprovedOrder]:
    """As many entries of one size, each with its stop, that wait below the market.

    Raises:
        BenchFailed: the rules do not pass one.
    """
    account = AccountState(
        as_of=NOON, currency="USDT", equity=_EQUITY, cash=_EQUITY, positions={}, in_flight=()
    )
    market, state = a_market(settings.instruments[_BTC]), initial_state(_EQUITY, NOON)
    approved = []
    for _ in range(count):
        intent = replace(an_entry(), intent_id=str(uuid.uuid4()), limit=_BELOW, stop=_STOP)
        verdict = judge(
            intent, account=account, market=market, state=state, limits=settings.risk, now=NOON
        )
        if not isinstance(verdict, ApprovedOrder):
            raise BenchFailed(f"the entry should pass: {verdict}")
        approved.append(verdict)
    return approved


@asynccontextmanager
async def an_exchange(clock: ManualClock) -> AsyncIterator[CcxtVenue]:
    """Kraken's adapter at a rehearsal exchange with one pair."""
    terms = RehearsalTerms(balances=_MEANS, listings=(KNOWN[_BTC],))
    server = RehearsalServer(terms, prices={_BTC: _PRICE}, clock=clock, tape=iter(()))
    async with server.serving():
        limits = KrakenLimits(clock, Tier.PRO, reserve=0.2)
        line = KrakenLine(
            Keys(key=server.keyring.key, secret=server.keyring.secret),
            limits=limits,
            urls=server.urls,
        )
        exchange = KrakenExchange(
            line,
            terms=Terms(leverage={}, deadline=timedelta(seconds=5), entries_rest=None),
            clock=clock,
            limits=limits,
            since=NOON,
        )
        venue = CcxtVenue(exchange, clock=clock, settings=CcxtVenueSettings())
        try:
            await venue.open()
            yield venue
        finally:
            await venue.close()


async def to_the_wire(orders: list[ApprovedOrder]) -> dict[str, list[float]]:
    """Milliseconds of each order, but the first, which opens the connection.

    Raises:
        BenchFailed: one was not sent.
    """
    clock, wire = ManualClock(NOON), Wire()
    waits: dict[str, list[float]] = {"wire_ms": [], "answer_ms": []}
    async with an_exchange(clock) as venue:
        with wire.watched():
            for order in orders:
                clock.move_to(clock.now() + _MINUTE)
                wire.sent, began = None, time.perf_counter()
                await venue.submit(order)
                answered = time.perf_counter()
                if wire.sent is None:
                    raise BenchFailed(f"{order.intent.intent_id}: no byte of it was sent")
                waits["wire_ms"].append((wire.sent - began) * 1e3)
                waits["answer_ms"].append((answered - began) * 1e3)
                await venue.cancel(order.intent.intent_id)
    return {name: spent[1:] for name, spent in waits.items()}


def an_order(number: int, *, limit: Price | None = None) -> Order:
    """The order of that number: bought and sold in turn."""
    return replace(
        _PATTERN,
        client_order_id=str(uuid.UUID(int=number)),
        side=Side.SELL if number % 2 else Side.BUY,
        limit=limit,
    )


def against_a_book() -> float:
    """Orders at market a second, each placed and filled from a book of a hundred levels a side."""
    listing = KNOWN[_BTC]
    market = PairMarket(listing, seed=7, price=_PRICE, at=NOON)
    core = BookMatching(
        venue="bench",
        instruments={_BTC: listing.instrument},
        terms=_TERMS,
        books=VenueBooks(_MEANS),
    )
    none = Quantity(Decimal(0))
    began, at = time.perf_counter(), NOON
    for number in range(_MATCHED):
        at += timedelta(microseconds=1)
        core.place(an_order(number), at)
        core.meet(Moment(symbol=_BTC, at=at, last=_PRICE, volume=none, book=market.book))
    return _rate(began, len(core.fills()))


def against_bars(settings: Settings) -> float:
    """Orders at market a second, each placed and filled by a bar of its own."""
    core = Matching(venue="bench", instruments=settings.instruments, terms=_TERMS, balances=_MEANS)
    bars = [_a_bar(number) for number in range(_MATCHED)]
    began = time.perf_counter()
    for number, bar in enumerate(bars):
        core.place(an_order(number), bar.opened_at)
        core.observe(bar)
    return _rate(began, len(core.fills()))


def booked(settings: Settings) -> float:
    """Fills a second that the ledger books, every second one closing the position."""
    ledger = Ledger("USDT", _MEANS, settings.instruments)
    fills = [_a_fill(number) for number in range(_MATCHED)]
    began = time.perf_counter()
    for fill in fills:
        ledger.book(fill)
    return _rate(began, len(fills))


async def reconciled(settings: Settings, orders: list[ApprovedOrder]) -> float:
    """Milliseconds of a reconciliation with all these orders open at a paper venue.

    Raises:
        BenchFailed: something differs.
    """
    clock, instruments = ManualClock(NOON), settings.instruments
    venue = PaperVenue(
        name="bench",
        instruments=instruments,
        terms=_TERMS,
        balances=_MEANS,
        journal=MemoryJournal(codec=venue_codec(), clock=clock),
        clock=clock,
    )
    engine = Engine(
        venue=venue,
        ledger=Ledger("USDT", _MEANS, instruments),
        journal=MemoryJournal(codec=codec(), clock=clock),
        clock=clock,
        instruments=instruments,
        settings=EngineSettings(queue=len(orders)),
        entries_last=_MINUTE,
    )
    for order in orders:
        engine.accept(order)
    await engine.work()
    began = time.perf_counter()
    found = await reconcile(engine)
    spent = (time.perf_counter() - began) * 1e3
    if found.differences or len(await venue.open_orders()) != len(orders):
        raise BenchFailed(f"nothing should differ: {found.differences[:3]}")
    return spent


def _rate(began: float, filled: int) -> float:
    if filled < _MATCHED:
        raise BenchFailed(f"{filled} fills of {_MATCHED} orders")
    return _MATCHED / (time.perf_counter() - began)


def _a_bar(number: int) -> Bar:
    return Bar(
        symbol=_BTC,
        timeframe=Timeframe.M1,
        closed_at=NOON + (number + 1) * _MINUTE,
        open=_PRICE,
        high=_PRICE,
        low=_PRICE,
        close=_PRICE,
        volume=Quantity(Decimal(1_000)),
    )


def _a_fill(number: int) -> Fill:
    order = an_order(number)
    return Fill(
        fill_id=order.client_order_id,
        client_order_id=order.client_order_id,
        symbol=_BTC,
        side=order.side,
        quantity=order.quantity,
        price=_PRICE,
        fee=Decimal("1.68"),
        fee_asset="USDT",
        liquidity=Liquidity.TAKER,
        filled_at=NOON + number * _MINUTE,
    )


def main(count: int) -> None:
    settings = load_settings(PROJECT / "config" / "paper.toml")
    orders = approvals(settings, count)
    answer = {
        **asyncio.run(to_the_wire(orders)),
        "book_per_s": against_a_book(),
        "bars_per_s": against_bars(settings),
        "fills_per_s": booked(settings),
        "reconcile_ms": asyncio.run(reconciled(settings, orders)),
        "orders": count,
    }
    print(json.dumps(answer))


_PATTERN: Final = Order(
    client_order_id="",
    strategy_id="bench",
    symbol=_BTC,
    side=Side.BUY,
    quantity=Quantity(Decimal("0.01")),
    purpose=an_entry().purpose,
    trigger=None,
    limit=None,
    stop=None,
    reduce_only=False,
    approved_at=NOON,
)


if __name__ == "__main__":
    main(int(sys.argv[1]))

"""The rehearsal exchange for tests, and ccxt's unmodified client before it.

    async with rehearsal_exchange(clock) as venue:
        client = a_client(venue)              # or: urls, key, secret for a client of your own
        venue.control.trade("BTC/USDT", "41000")   # others trade: the price, and what it sets off

Without a tape the market stands still but for `control.trade`. `control.exchange` is the truth.
"""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import ccxt.pro

from data.clock import Clock, SystemClock
from data.instrument import Price, Symbol
from sextant.rehearsal.faults import NO_FAULTS, Faults
from sextant.rehearsal.listing import Fees
from sextant.rehearsal.rates import Tier
from sextant.rehearsal.record import AccountRecord
from sextant.rehearsal.server import Control, RehearsalServer, Terms

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
PRICES = {
    Symbol("BTC/USDT"): Price(Decimal("40000.0")),
    Symbol("XRP/USDT"): Price(Decimal("1.00000")),
    Symbol("XRP/BTC"): Price(Decimal("0.00002500")),
}
BALANCES = {"USDT": Decimal(100_000), "BTC": Decimal(1), "XRP": Decimal(10_000)}
GENEROUS = Tier(asked=1e6, traded=1e6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """A running exchange: what a client needs, and what a test can do to it."""

    urls: dict[str, Any]
    key: str
    secret: str
    control: Control

    @property
    def keyring(self):
        return self.control.keyring


@asynccontextmanager
async def rehearsal_exchange(
    clock: Clock | None = None,
    *,
    balances: dict[str, Decimal] | None = None,
    fees: Fees | None = None,
    tier: Tier = GENEROUS,
    faults: Faults = NO_FAULTS,
    seed: int = 7,
    prices=PRICES,
    tape=(),
    tick: timedelta = timedelta(milliseconds=50),
    record: AccountRecord | None = None,
    speed: float = 1.0,
):
    """An exchange on a free port of loopback; rate limits are out of the way unless asked for."""
    terms = Terms(
        balances=BALANCES if balances is None else balances,
        fees=fees or Fees(),
        tier=tier,
        faults=faults,
        seed=seed,
        tick=tick,
        speed=speed,
    )
    server = RehearsalServer(
        terms, prices=prices, clock=clock or SystemClock(), tape=iter(tape), record=record
    )
    async with server.serving() as control:
        yield Rehearsal(
            urls=server.urls,
            key=server.keyring.key,
            secret=server.keyring.secret,
            control=control,
        )


@asynccontextmanager
async def a_client(venue: Rehearsal | Control, **changes):
    """ccxt.pro's Kraken client, unmodified but for its addresses, with a key of its own."""
    key, secret = venue.keyring.another()
    client = ccxt.pro.kraken({"apiKey": key, "secret": secret, "enableRateLimit": False} | changes)
    client.urls["api"] = client.deep_extend(client.urls["api"], venue.urls)
    try:
        yield client
    finally:
        await client.close()


async def until(condition):
    """Return once `condition` holds: what comes over a socket takes its time."""
    async with asyncio.timeout(120):
        while not condition():  # noqa: ASYNC110 - a socket tells nobody
            await asyncio.sleep(0.001)  # noqa: TID251 - for the socket's sake

"""Keeps our own trades and ledger entries as Kraken has them on its books (S0-33).

`python -m data.kraken_db.private_trades --db-url "$DATABASE_URL"`, with KRAKEN_API_KEY and
KRAKEN_API_SECRET in the environment; the key needs to query closed orders, trades and the ledger,
and nothing else.

Kraken tells histories newest first, fifty to a page, by how many to leave out. So that what comes
meanwhile shifts no page, each run reads a window that ends when it began; where it is in that
window is kept after every page. The next window begins an hour before the end of the last: what
Kraken books late is seen, and what is there already is replaced by itself.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Final, Generic, Protocol, TypeVar

import typer
from rich.console import Console

from data.clock import Clock, SystemClock
from data.collect.command import DbUrl, run
from data.collect.patience import Patience
from data.collect.venues import Exchange
from data.faults import Refused
from data.kraken_db.window import EPOCH, KEY_NAMES, RIGHTS, Window
from data.own_trade import AccountHistory, CollectorProgress, LedgerEntry, OwnTrade
from data.postgres.account_history import PostgresAccountHistory
from data.postgres.migrate import migrate
from data.postgres.pool import Pool, connect
from data.postgres.progress import PostgresProgress

if TYPE_CHECKING:
    from data.kraken_db.account import KeyedClient

T = TypeVar("T")
PAUSE: Final = timedelta(seconds=2)  # between pages: PARAMETERS.md 1.9


class NoKey(Refused):
    """The environment has no key to ask with."""


class Account(Protocol):
    """The private histories of one account; `data.kraken_db.account` has Kraken's."""

    async def trades(self, window: Window) -> tuple[list[OwnTrade], int]:
        """A page of the trades in `window`, newest first, and how many there are in all.

        Raises:
            SourceUnavailable: ask again.
            SourceRefused: the key is wrong, or may not.
        """
        ...

    async def entries(self, window: Window) -> tuple[list[LedgerEntry], int]:
        """A page of the ledger, in the same way."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class History(Generic[T]):
    """One of the histories: where it comes from, where it goes, and how far it has come."""

    page: Callable[[Window], Awaitable[tuple[list[T], int]]]
    put: Callable[[Sequence[T]], Awaitable[None]]
    progress: CollectorProgress


async def read_history(history: History[T], *, clock: Clock, patience: Patience) -> int:
    """Read on to the present, page by page; how many items were kept, known ones included.

    May be killed anywhere: a page is kept before it is known to be.

    Raises:
        SourceUnavailable, StoreUnavailable: the last of many tries; run it again later.
        SourceRefused: the key is wrong, or may not.
    """
    text = await patience.ask(lambda: history.progress.load(None))
    done = Window(since=EPOCH, until=EPOCH, kept=None) if text is None else Window.of(text)
    window, read = done.following(clock.now()), 0
    while window.kept is not None:
        if read:
            await clock.sleep(PAUSE)
        window, count = await _read_page(history, window, clock, patience)
        read += count
    return read


async def _read_page(
    history: History[T], window: Window, clock: Clock, patience: Patience
) -> tuple[Window, int]:
    """What is left of `window` after the next page, and how many items that had."""
    items, in_all = await patience.ask(lambda: history.page(window))
    if items:
        await patience.ask(lambda: history.put(items))
    kept = (window.kept or 0) + len(items)
    left = replace(window, kept=None if not items or kept >= in_all else kept)
    await patience.ask(lambda: history.progress.save(None, left.text, now=clock.now()))
    return left, len(items)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRead:
    """How many items a run has kept, known ones included."""

    trades: int
    entries: int


async def read_account(
    account: Account,
    store: AccountHistory,
    *,
    trades_progress: CollectorProgress,
    ledger_progress: CollectorProgress,
    clock: Clock,
    patience: Patience | None = None,
) -> AccountRead:
    """Bring own trades and ledger entries up to date; errors are those of `read_history`."""
    waits = patience or Patience(clock=clock)
    trades = History(page=account.trades, put=store.put_trades, progress=trades_progress)
    entries = History(page=account.entries, put=store.put_entries, progress=ledger_progress)
    return AccountRead(
        trades=await read_history(trades, clock=clock, patience=waits),
        entries=await read_history(entries, clock=clock, patience=waits),
    )


def open_client() -> "KeyedClient":
    """A client with the key that stands in the environment.

    Raises:
        NoKey: it does not.
    """
    key, secret = (os.environ.get(name) for name in KEY_NAMES)
    if not (key and secret):
        missing = " and ".join(name for name in KEY_NAMES if not os.environ.get(name))
        raise NoKey(
            f"{missing} not set: make a key in Kraken's settings with the rights {RIGHTS}, "
            f"and set {' and '.join(KEY_NAMES)} in the environment"
        )
    from data.kraken_db.account import KeyedClient  # ccxt takes a second to import

    return KeyedClient(key, secret)


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    db_url: DbUrl,
    every: Annotated[
        int | None,
        typer.Option(min=10, help="Go on, and look again every so many seconds; else look once."),
    ] = None,
) -> None:
    """Keep own trades and ledger entries; stopped and started again, it goes on where it was."""
    asyncio.run(_collect(db_url, None if every is None else timedelta(seconds=every)))


async def _collect(db_url: str, every: timedelta | None) -> None:
    from data.kraken_db.account import KrakenAccount

    client, clock = open_client(), SystemClock()
    account = KrakenAccount(client.ask)
    try:
        async with await connect(db_url) as pool:
            await migrate(pool)
            while True:
                read = await keep_account(pool, account, clock, exchange=Exchange.KRAKEN)
                Console().print(f"own trades read: {read.trades}, ledger entries: {read.entries}")
                if every is None:
                    return
                await clock.sleep(every)
    finally:
        await client.close()


async def keep_account(pool: Pool, account: Account, clock: Clock, *, exchange: str) -> AccountRead:
    """Bring what the database has of `account` up to date; errors are those of `read_history`."""
    return await read_account(
        account,
        PostgresAccountHistory(pool, exchange=exchange),
        trades_progress=PostgresProgress(pool, collector="own_trades", exchange=exchange),
        ledger_progress=PostgresProgress(pool, collector="own_ledger", exchange=exchange),
        clock=clock,
    )


if __name__ == "__main__":
    run(app)

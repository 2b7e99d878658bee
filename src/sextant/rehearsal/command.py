"""`sextant rehearse`: the exchange alone, until it is stopped."""

import asyncio
import contextlib
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from rich.console import Console

from data.clock import PacedClock
from data.faults import Fault
from sextant.facts import rehearsal_codec
from sextant.journal.jsonl import JsonlJournal
from sextant.rehearsal.faults import NO_FAULTS, Faults
from sextant.rehearsal.keys import DEMO_KEY, DEMO_SECRET
from sextant.rehearsal.record import AccountRecord
from sextant.rehearsal.scenes import Scene, recorded_bars, recorded_trades, synthetic
from sextant.rehearsal.server import RehearsalServer, Terms

OPENING = datetime(2026, 1, 5, tzinfo=UTC)  # as in config/rehearsal.toml


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """What was asked for; `trades` and `bars` take the place of the made-up market."""

    seed: int
    speed: float  # market seconds a second
    port: int
    symbols: Sequence[str]
    cash: Decimal  # USDT; the account's opening balance
    start: datetime = OPENING
    bars: Sequence[Path] = ()
    trades: Path | None = None
    faults: Faults = NO_FAULTS
    state: Path | None = None  # what the account is kept in; without it, it ends with us


class NotKept(Fault):
    """The account cannot be kept any more, so that nothing can be said of it."""


async def run_rehearsal(wanted: Rehearsal, console: Console) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        PortTaken: somebody listens there already.
        JournalHeld, Corrupt, NotListed: the state cannot be had, is none, or of another market.
        Malformed: a file that cannot be played.
        UnknownSymbol: a pair that is not listed, or not made up.
        NotKept: the state takes no more.
    """
    recorded = _recorded(wanted)
    start = wanted.start if recorded is None else recorded.start
    clock = PacedClock(start, speed=wanted.speed, standing=True)
    with contextlib.ExitStack() as stack:
        record = None
        if wanted.state is not None:
            journal = stack.enter_context(
                JsonlJournal(wanted.state, codec=rehearsal_codec(), clock=clock)
            )
            if journal.last is not None:
                clock.stand_at(journal.last.at)
            record = await AccountRecord.open(journal)
            if record.account is not None:
                start = record.account.at
        scene = recorded or synthetic(seed=wanted.seed, symbols=wanted.symbols, start=start)
        await _serve(wanted, scene, clock, record, console)


async def _serve(
    wanted: Rehearsal,
    scene: Scene,
    clock: PacedClock,
    record: AccountRecord | None,
    console: Console,
) -> None:
    terms = Terms(
        balances={"USDT": wanted.cash},
        listings=scene.listings,
        seed=wanted.seed,
        faults=wanted.faults,
        port=wanted.port,
        speed=wanted.speed,
        tick=timedelta(seconds=0.25) * wanted.speed,
        heartbeat=timedelta(seconds=1) * wanted.speed,
    )
    stopped = asyncio.Event()
    failures: list[Fault] = []

    def give_up(fault: Fault) -> None:
        failures.append(fault)
        stopped.set()

    server = RehearsalServer(
        terms,
        prices=scene.prices,
        clock=clock,
        tape=scene.tape,
        past=scene.past,
        traded=scene.traded,
        record=record,
        unkept=give_up,
    )
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stopped.set)
    async with server.serving():
        clock.go()
        _introduce(server, scene, clock.now(), wanted, console)
        await stopped.wait()
    if failures:
        raise NotKept(
            f"the account cannot be kept: {failures[0]}; put that right, and start again with the "
            "same --state"
        ) from failures[0]


def _recorded(wanted: Rehearsal) -> Scene | None:
    """What is to be played, unless the market is made up."""
    if wanted.trades is not None:
        return recorded_trades(wanted.trades, wanted.symbols[0])
    if wanted.bars:
        return recorded_bars(wanted.bars, seed=wanted.seed)
    return None


def _introduce(
    server: RehearsalServer, scene: Scene, now: datetime, wanted: Rehearsal, console: Console
) -> None:
    pairs = ", ".join(listing.symbol for listing in scene.listings)
    urls = server.urls
    kept = "nothing is kept" if wanted.state is None else f"the account is kept in {wanted.state}"
    for line in (
        f"A rehearsal of Kraken: {pairs} from {now:%Y-%m-%d %H:%M} UTC on, seed "
        f"{wanted.seed}, {wanted.speed:g} market seconds a second. No money, no network.",
        f"REST       {urls['public']}",
        f"WebSocket  {urls['ws']['publicV2']} and, with a token, {urls['ws']['privateV2']}",
        f"key        {DEMO_KEY}",
        f"secret     {DEMO_SECRET}",
        "A daemon trades here with KRAKEN_API_KEY and KRAKEN_API_SECRET so set, and market.url "
        f"{urls['public']}: see config/rehearsal-apart.toml.",
        f"Key and secret are made up and work nowhere else. Ctrl-C ends it; {kept}.",
    ):
        console.print(line, markup=False, highlight=False, soft_wrap=True)

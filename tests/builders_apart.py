"""A daemon and its rehearsal exchange as two processes, each of which may be killed, and what they
leave behind.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Self

from data.clock import SystemClock
from data.instrument import Symbol
from execution.venues.kraken_settings import KrakenVenueSettings
from sextant.facts import rehearsal_codec
from sextant.journal.line import parse_line
from sextant.journal.record import Record
from sextant.rehearsal.account import Account, AccountChanged
from sextant.rehearsal.booked import Booked, OwnTrade
from sextant.rehearsal.keys import DEMO_KEY, DEMO_SECRET
from sextant.rehearsal.order_form import Ticket
from sextant.rehearsal.server import TIME_PATH
from sextant.settings import load_settings
from tests.builders_daemon import CARE, EAGER, ROOT, Ended, Left, Rehearsal, ended, what_is_left
from tests.builders_rehearsal_left import a_rehearsal, account_of, record_flaws

KEYS = {"KRAKEN_API_KEY": DEMO_KEY, "KRAKEN_API_SECRET": DEMO_SECRET}
TIER = '\n[venue]\ntier = "intermediate"\n'
_WALL, _GLANCE = SystemClock(), timedelta(seconds=0.05)
LINES = 7  # that the exchange says once it listens


class ExchangeProcess:
    """`sextant rehearse` on a port of its own, with its account in a file."""

    def __init__(
        self, folder: Path, kept: Path, *, speed: float, seed: int = 7, faults: Sequence[str] = ()
    ) -> None:
        self.state = kept / "exchange.jsonl"
        self.port = _free_port()
        self._options = ["--speed", f"{speed:g}", "--seed", str(seed), "--port", str(self.port)]
        self.faults = faults  # from the next start on
        self._said = folder / "exchange.txt"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def said(self) -> str:
        return self._said.read_text()

    @property
    def records(self) -> list[Record]:
        """Its file, but for a line that is being written."""
        whole = self.state.read_bytes().rpartition(b"\n")[0]
        return [parse_line(line) for line in whole.splitlines()]

    @property
    def now(self) -> datetime:
        """Its time."""
        with urllib.request.urlopen(f"{self.url}{TIME_PATH}", timeout=60) as answer:
            return datetime.fromisoformat(json.load(answer)["now"])

    def start(self) -> None:
        """Return once it listens."""
        command = [sys.executable, "-m", "sextant", "rehearse", "--state", str(self.state)]
        with self._said.open("ab") as said:
            self._process = subprocess.Popen(
                [*command, *self._options, *(f"--fault={fault}" for fault in self.faults)],
                stdout=subprocess.PIPE,
                stderr=said,
                cwd="/",
            )
        assert self._process.stdout is not None
        for _ in range(LINES):
            line = self._process.stdout.readline()
            assert line, self.said

    def wait(self) -> str:
        """What it said when it ended by itself."""
        assert self._process is not None
        self._process.communicate(timeout=300)
        self._process = None
        return self.said

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


@dataclass(frozen=True, kw_only=True)
class Apart:
    """The two of them; the exchange runs until the block around it ends."""

    exchange: ExchangeProcess
    daemon: Rehearsal
    environment: dict[str, str]

    @property
    def config(self) -> Path:
        return self.daemon.config

    async def left(self) -> Left:
        """What the daemons left in their database, and the exchange in its file."""
        return replace(await what_is_left(self.config), venue=self.exchange.records)

    @property
    def account(self) -> Account:
        """The account at the exchange, as far as it is kept."""
        settings = load_settings(self.config)
        return account_of(Left(settings=settings, desk=[], venue=self.exchange.records))

    async def comes_to(self, condition: Callable[[Account], bool]) -> Account:
        """The account, once this holds for it."""
        while not (self.exchange.records and condition(account := self.account)):
            await _WALL.sleep(_GLANCE)
        return account

    async def market_passes(self, span: timedelta) -> None:
        """Return once it is so much later at the exchange."""
        until = self.exchange.now + span
        while self.exchange.now < until:
            await _WALL.sleep(_GLANCE)


@contextmanager
def apart(
    folder: Path,
    dsn: str,
    text: str = EAGER + CARE,
    *,
    speed: float = 60.0,
    venue: str = "",
    kept: Path | None = None,
    faults: Sequence[str] = (),
) -> Iterator[Apart]:
    """An exchange that runs, and daemons over a configuration that trades there.

    Args:
        venue: More of the section of that name.
        kept: The folder of the exchange's file, if it is another.
        faults: What goes wrong there, as `sextant rehearse` takes it.
    """
    exchange = ExchangeProcess(folder, kept or folder, speed=speed, faults=faults)
    environment = KEYS | {"SEXTANT_DATABASE_URL": dsn}
    config = a_rehearsal(folder, text + TIER + venue, speed=speed, url=f'"{exchange.url}"')
    exchange.start()
    try:
        daemon = Rehearsal(config, **environment)
        yield Apart(exchange=exchange, daemon=daemon, environment=os.environ | environment)
    finally:
        exchange.kill()


@asynccontextmanager
async def trading(pair: Apart) -> AsyncIterator[Callable[[], Awaitable[Ended]]]:
    """A daemon that trades; what is given stops it in order, and says how it ended."""
    process = pair.daemon.started()

    async def stop() -> Ended:
        process.terminate()
        return await asyncio.to_thread(ended, process)

    try:
        yield stop
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def apart_flaws(left: Left) -> list[str]:
    """Everything that is wrong with what the two left; empty if it is sound."""
    return [
        *record_flaws(left),
        *(f"balances: {flaw}" for flaw in balances_are_the_exchanges(left)),
        *(f"naked: {flaw}" for flaw in naked_too_long(left)),
    ]


def balances_are_the_exchanges(left: Left) -> Iterator[str]:
    """Our ledger's, but for charges that the exchange has taken since it was asked."""
    ours, account = left.ledger.balances, account_of(left)
    theirs = dict(account.holdings)
    for charge in account.charges:
        if not left.ledger.has_charge(charge.charge_id):
            theirs[charge.asset] += charge.amount
    for asset in ours.keys() | theirs.keys():
        apart_by = abs(ours.get(asset, Decimal(0)) - theirs.get(asset, Decimal(0)))
        if apart_by > Decimal("1e-8"):
            yield f"{asset}: {ours.get(asset)} here, {theirs.get(asset)} there"


@dataclass(frozen=True, kw_only=True)
class Span:
    """Some time at the exchange."""

    since: datetime
    until: datetime

    @property
    def lasted(self) -> timedelta:
        return self.until - self.since

    def shared_with(self, other: "Span") -> timedelta:
        shared = min(self.until, other.until) - max(self.since, other.since)
        return max(shared, timedelta(0))


@dataclass(frozen=True, kw_only=True)
class Naked(Span):
    """While less than the whole of a position would be closed by what stood at the exchange."""

    symbol: Symbol
    by_leftover: bool  # the position was opened by an attached stop that had outlived its own


def naked_too_long(left: Left) -> Iterator[Naked]:
    """Where a position was naked beyond the deadline, at any moment of the exchange's record.

    Where it attaches the stops of entries they stand there at once, and all time counts, whether a
    daemon lives or not. Where we place them, nobody does while no daemon lives: then the bound is
    the time of death and the deadline of lived time, of all lives together. So it is where we died
    between an exit and the cancellation of an attached stop, which is not reduce-only, and the
    market then reached that.
    """
    lives, longest = attended(left), left.settings.protection.deadline
    venue = left.settings.venue
    assert isinstance(venue, KrakenVenueSettings)
    for naked in naked_spans(left):
        lived = sum((naked.shared_with(life) for life in lives), timedelta(0))
        counts = naked.lasted if venue.attach_stops and not naked.by_leftover else lived
        if counts > longest:
            yield naked


def attended(left: Left) -> list[Span]:
    """Of each daemon, from when it first looked after its stops to its last record."""
    lives: list[Span] = []
    since = last = None
    for record in left.desk:
        if record.topic == "repro":
            if since is not None and last is not None:
                lives.append(Span(since=since, until=last))
            since = None
        elif record.topic == "watch" and since is None:
            since = record.at
        last = record.at
    if since is not None and last is not None:
        lives.append(Span(since=since, until=last))
    return lives


def naked_spans(left: Left) -> Iterator[Naked]:
    """All of them, until what is kept of the account ends."""
    facts = exchange_facts(left)
    for symbol, instrument in left.settings.instruments.items():
        since, by_leftover = None, False
        trades = [t for fact in facts for t in fact.trades if t.fill.symbol == symbol]
        versions = [(fact.at, o) for fact in facts for o in fact.orders if _is_of(o, symbol)]
        attached = {order.txid for _, order in versions if order.parent is not None}
        for at in _moments(versions, trades):
            held, covered = _held(trades, at), _covered(versions, trades, at)
            bare = abs(held) - covered
            is_bare = bare > 0 and not instrument.is_dust(bare, _last_price(trades, at))
            if is_bare and since is None:
                since = at
                by_leftover = any(t.fill.filled_at == at and t.order in attached for t in trades)
            elif not is_bare and since is not None:
                yield Naked(symbol=symbol, since=since, until=at, by_leftover=by_leftover)
                since = None
        if since is not None:
            yield Naked(symbol=symbol, since=since, until=facts[-1].at, by_leftover=by_leftover)


def exchange_facts(left: Left) -> list[AccountChanged]:
    codec = rehearsal_codec()
    return [codec.decode(record.topic, record.body) for record in left.venue]


def _is_of(order: Booked, symbol: Symbol) -> bool:
    return order.ticket.listing.symbol == symbol


def _moments(versions: list[tuple[datetime, Booked]], trades: list[OwnTrade]) -> list[datetime]:
    """Whenever something changes."""
    opened = {order.opened_at for _, order in versions}
    closed = {order.closed_at for _, order in versions if order.closed_at is not None}
    changed = {at for at, _ in versions}
    return sorted(opened | closed | changed | {trade.fill.filled_at for trade in trades})


def _held(trades: list[OwnTrade], at: datetime) -> Decimal:
    done = (trade.fill for trade in trades if trade.fill.filled_at <= at)
    return sum((fill.side.sign * fill.quantity for fill in done), Decimal(0))


def _last_price(trades: list[OwnTrade], at: datetime) -> Decimal:
    return next(t.fill.price for t in reversed(trades) if t.fill.filled_at <= at)


def _covered(
    versions: list[tuple[datetime, Booked]], trades: list[OwnTrade], at: datetime
) -> Decimal:
    """What the stops and exits that stand at `at` would close of the position of then.

    The amendments of an order are known from when they were written down.
    """
    held = _held(trades, at)
    standing: dict[str, Booked] = {}
    for written_at, order in versions:
        if order.opened_at <= at and (order.txid not in standing or written_at <= at):
            standing[order.txid] = order
    ends = {order.txid: order.closed_at for _, order in versions}
    filled = [t for t in trades if t.fill.filled_at <= at]
    return sum(
        (
            order.ticket.quantity
            - sum((t.fill.quantity for t in filled if t.order == txid), Decimal(0))
            for txid, order in standing.items()
            if _covers(order.ticket)
            and order.ticket.side.sign * held < 0
            and ((end := ends[txid]) is None or end > at)
        ),
        Decimal(0),
    )


def _covers(ticket: Ticket) -> bool:
    """Whether it ends a position that goes wrong: a stop, or an exit."""
    return (ticket.kind.waits or ticket.reduce_only) and not ticket.kind.takes_profit


class Lives:
    """Daemons one after the other, each forked from a process that has imported all there is."""

    def __init__(self, apart: Apart) -> None:
        folder = apart.config.parent
        self.points = folder / "points.txt"
        self.points.touch()
        self._said = folder / "lives.txt"
        self._command = ["run", "--no-view", "--config", str(apart.config)]
        self._mother = subprocess.Popen(
            [sys.executable, str(ROOT / "tests" / "mortal.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**apart.environment, "PYTHONPATH": os.pathsep.join(sys.path)},
            cwd="/",
        )
        assert self._answer() == "ready"

    @property
    def done(self) -> list[str]:
        """The moments at which a life has ended, in order."""
        return self.points.read_text().splitlines()

    @property
    def said(self) -> str:
        return self._said.read_text()

    def one(
        self, *, longest: int, cap: int = 0, at: Sequence[str] = (), again: bool = False
    ) -> int:
        """One life more, and how it ended: -9 at a moment, -14 if there was none left for it.

        Args:
            longest: Seconds.
            cap: How many of the same moments in one life count.
            at: Moments to end at, in place of all.
            again: Whether a moment counts at which a life has ended before.
        """
        return self._ended(self._command, longest=longest, cap=cap, at=at, again=again)

    def last(self, *, bars: int) -> int:
        """A life that ends by itself after so many bars."""
        return self._ended([*self._command, "--bars", str(bars)], longest=100)

    def _ended(
        self,
        command: Sequence[str],
        *,
        longest: int,
        cap: int = 0,
        at: Sequence[str] = (),
        again: bool = False,
    ) -> int:
        wanted = {
            "said": str(self._said),
            "points": str(self.points),
            "command": command,
            "cap": cap,
            "at": list(at),
            "again": again,
            "longest": longest,
        }
        assert self._mother.stdin is not None
        self._mother.stdin.write(json.dumps(wanted) + "\n")
        self._mother.stdin.flush()
        return int(self._answer())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._mother.communicate()

    def _answer(self) -> str:
        assert self._mother.stdout is not None
        return self._mother.stdout.readline().strip()

"""Rehearsals for the tests: eager configurations, daemons that die where they are told to, and an
audit of what they leave behind that shares no code with `sextant audit`.
"""

import os
import signal
import subprocess
import sys
import textwrap
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import pytest

from data.account import ClosedTrade
from data.postgres.embedded import database
from data.postgres.pool import connect
from execution.charge import Charge
from execution.difference import Reconciliation
from execution.fill import Fill
from execution.holdings import SetAside
from execution.ledger import Ledger
from execution.order import Submitted, Submitting
from execution.venue import OrderChanged, VenueOrder
from execution.venue_books import VenueBooks
from execution.venue_state import Placed, VenueState
from risk.breaker import RiskState
from risk.intent import Purpose
from sextant.cycle import Decision
from sextant.daemon import Daemon
from sextant.facts import (
    BarSeen,
    DecisionFailed,
    DecisionSkipped,
    FlawsSeen,
    RunStarted,
    codec,
    venue_codec,
)
from sextant.house import House, open_house
from sextant.journal.codec import Codec
from sextant.journal.record import GENESIS, Record, digest_of
from sextant.settings import Settings, load_settings, secret

ROOT = Path(__file__).resolve().parents[1]
T = TypeVar("T")

# Two desks that trade by chance on every minute, and limits wide enough to let them.
EAGER = """
    [quality]
    max_delay = "PT12H"

    [risk]
    max_price_age = "PT12H"
    min_stop_atr = 0.0
    max_daily_loss = 0.9
    max_weekly_loss = 0.9
    max_monthly_loss = 0.9
    max_day_drawdown = 1
    max_cost_to_risk = 0
    trend_gate = false
    drawdown_leverage = []
    max_correlated_exposure = 1
    max_drawdown = 0.9
    derisk_drawdown = 0.9
    cool_down_after_order = "PT1M"
    cool_down_after_loss = "PT1M"
    max_loss_streak = 100000
    loss_streaks = []

    [[desk]]
    strategy_id = "chance-btc"
    instruments = ["BTC/USDT"]
    timeframe = "1m"
    [desk.strategy]
    kind = "seeded_random"
    seed = 3
    quantity = 0.03
    stop_distance = 0.006
    confidence = 0.9

    [[desk]]
    strategy_id = "chance-xrp"
    instruments = ["XRP/USDT"]
    timeframe = "1m"
    [desk.strategy]
    kind = "seeded_random"
    seed = 4
    quantity = 30000
    stop_distance = 0.006
    confidence = 0.9
"""

# Positions are looked after so eagerly that most have their stop moved, or end by target or age.
CARE = """
    [protection]
    take_profit = true
    break_even_from = 0.0004
    break_even_buffer = 0.0001
    trail_from = 0.0003
    trail_distance = 0.0006
    min_move = 0.00005
    move_every = "PT1M"
    max_age = "PT5M"
"""

# Ends itself without a word at the event loop's n-th callback.
_DIES_AFTER = """
    import asyncio, os, signal, sys
    left, run = int(sys.argv.pop(1)), asyncio.Handle._run
    def counted(handle):
        global left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        run(handle)
    asyncio.Handle._run = counted
"""

# The same at the n-th call of a method, before or after it has done its work, by any signal. Where
# it can wait it does, until the signal has had its effect. Of several, each counts from the one
# before.
_SIGNALLED_AT = """
    import asyncio, functools, importlib, inspect, os, sys
    due = 0
    def arm(number, place, nth, when, sign):
        module, _, name = place.rpartition(":")
        owner, _, name = name.rpartition(".")
        target = importlib.import_module(module)
        for part in filter(None, owner.split(".")):
            target = getattr(target, part)
        work, left = getattr(target, name), int(nth)
        def is_due():
            global due
            nonlocal left
            if due != number:
                return False
            left -= 1
            due += not left
            return not left
        async def signalled():
            os.kill(os.getpid(), int(sign))
            await asyncio.sleep(0.2)
        @functools.wraps(work)
        async def marked(*args, **named):
            now = is_due()
            if now and when == "before":
                await signalled()
            try:
                return await work(*args, **named)
            finally:  # an error is an end, too
                if now and when == "after":
                    await signalled()
        @functools.wraps(work)
        def marked_at_once(*args, **named):
            now = is_due()
            if now and when == "before":
                os.kill(os.getpid(), int(sign))
            try:
                return work(*args, **named)
            finally:
                if now and when == "after":
                    os.kill(os.getpid(), int(sign))
        setattr(target, name, marked if inspect.iscoroutinefunction(work) else marked_at_once)
    for number in range(int(sys.argv.pop(1))):
        arm(number, *(sys.argv.pop(1) for _ in range(4)))
"""

# The command line, of which a made-up market waits for its daemon; what goes before it has been
# done by then, so that whoever imports a function by its name has the one that was put in place.
_MAIN = f"""
    sys.path.append({str(ROOT)!r})
    from tests.held_market import hold_markets
    hold_markets()
    from sextant.cli import main
    main()
"""


def a_config(
    folder: Path,
    text: str = EAGER,
    *,
    speed: float = 6000.0,
    name: str = "config",
    state: Path | None = None,
) -> Path:
    """A configuration over config/synthetic.toml that keeps its state in `state`."""
    path = folder / f"{name}.toml"
    head = f'extends = "{ROOT / "config" / "synthetic.toml"}"\n'
    market = f"[market]\nspeed = {speed}\n"
    storage = f'[storage]\nfolder = "{state or folder / "state"}"\n'
    path.write_text(head + textwrap.dedent(text) + market + storage)
    return path


@dataclass(frozen=True)
class Ended:
    """How a daemon's process ended."""

    code: int
    said: str  # stdout and stderr


class Rehearsal:
    """Daemons over one configuration, one after the other, each in a process of its own."""

    def __init__(self, config: Path, **environment: str) -> None:
        self.config = config
        self._environment = {**os.environ, "SEXTANT_DATABASE_URL": "", **environment}

    def run(self, bars: int) -> Ended:
        """A daemon that stops by itself after so many bars."""
        return _ended(self.started(bars))

    def audited(self) -> Ended:
        """The product's own audit; code 0 is sound."""
        return _ended(self._spawn("import sys", command=("audit",)))

    def started(self, bars: int | None = None) -> subprocess.Popen[str]:
        return self._spawn("import sys", bars=bars)

    def killed_after(self, callbacks: int) -> Ended:
        """A daemon that dies by SIGKILL at this callback of its event loop."""
        return _ended(self._spawn(_DIES_AFTER, str(callbacks)))

    def signalled(
        self,
        place: str,
        nth: int,
        when: str,
        sign: signal.Signals = signal.SIGKILL,
        *,
        bars: int | None = None,
    ) -> Ended:
        """A daemon that is sent `sign` before or after the n-th call of `module:Class.method`."""
        return self.signalled_in_turn((place, nth, when, sign), bars=bars)

    def signalled_in_turn(
        self, *times: tuple[str, int, str, int], bars: int | None = None
    ) -> Ended:
        """The same several times; each place's calls count from the signal before."""
        how = [
            word
            for place, nth, when, sign in times
            for word in (place, str(nth), when, str(int(sign)))
        ]
        return _ended(self._spawn(_SIGNALLED_AT, str(len(times)), *how, bars=bars))

    def _spawn(
        self,
        code: str,
        *arguments: str,
        bars: int | None = None,
        command: tuple[str, ...] = ("run", "--no-view"),
    ) -> subprocess.Popen[str]:
        limit = [] if bars is None else ["--bars", str(bars)]
        run = [*command, "--config", str(self.config), *limit]
        program = textwrap.dedent(code) + textwrap.dedent(_MAIN)
        return subprocess.Popen(
            [
                sys.executable,
                "-B",
                "-c",
                program,
                *arguments,
                *run,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self._environment,
            cwd="/",
        )


def _ended(process: subprocess.Popen[str]) -> Ended:
    try:
        said, _ = process.communicate(timeout=300)
    except subprocess.TimeoutExpired:
        process.kill()
        said, _ = process.communicate()
        raise AssertionError(f"the daemon did not end:\n{said}") from None
    return Ended(code=process.returncode, said=said)


def ended(process: subprocess.Popen[str]) -> Ended:
    """The end of a started daemon, which must come by itself within a minute."""
    return _ended(process)


def servers(folder: Path) -> list[str]:
    """The command lines of the PostgreSQL processes that run over `folder`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                line = (entry / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if str(folder) in line and "postgres" in line.partition("\0")[0]:
                found.append(line.replace("\0", " "))
    return found


@contextmanager
def small_disk(folder: Path, size: str, *options: str) -> Iterator[Path]:
    """A disk of this size, mounted below `folder`; only root can make one."""
    disk = folder / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", ",".join([f"size={size},mode=711", *options])]
    made = subprocess.run([*mount, "tmpfs", disk], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        pytest.skip(f"cannot mount a small disk: {made.stderr.strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", disk], check=True)


@dataclass(frozen=True)
class Left:
    """Everything that daemons left in their database."""

    settings: Settings
    desk: list[Record]
    venue: list[Record]

    @cached_property
    def facts(self) -> list[object]:
        return _decoded(codec(), self.desk)

    @cached_property
    def venue_facts(self) -> list[object]:
        return _decoded(venue_codec(), self.venue)

    def of(self, kind: type[T]) -> list[T]:
        """Our facts of one kind, in order."""
        return [fact for fact in self.facts if isinstance(fact, kind)]

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger that the fills and charges in our journal make."""
        ledger = a_ledger(self.settings)
        for fact in self.facts:
            if isinstance(fact, BarSeen):
                ledger.mark(fact.bar.symbol, fact.bar.close, fact.bar.closed_at)
            elif isinstance(fact, Fill):
                self.book(ledger, fact)
            elif isinstance(fact, Charge):
                ledger.charge(fact)
            elif isinstance(fact, SetAside):
                ledger.set_aside(fact)
        return ledger

    @cached_property
    def exchanges(self) -> dict[str, Purpose]:
        """Why, of the orders that move what is kept beside the trading book."""
        orders = (fact.order for fact in self.of(Submitting))
        return {o.client_order_id: o.purpose for o in orders if o.purpose.exchanges}

    def book(self, ledger: Ledger, fill: Fill) -> ClosedTrade | None:
        """Book a fill where it belongs; the trade that it ended."""
        purpose = self.exchanges.get(fill.client_order_id)
        if purpose is None:
            return ledger.book(fill)
        ledger.exchange(fill, for_bag=purpose is Purpose.HODL)
        return None

    @cached_property
    def books(self) -> VenueState:
        """The venue as its own journal makes it."""
        books = VenueBooks(self.settings.account.balances)
        state = VenueState("paper", latency=timedelta(0), books=books)
        for fact in self.venue_facts:
            if isinstance(fact, Placed) and fact.order.purpose.exchanges:
                books.exchange(fact.order.client_order_id)
            if isinstance(fact, Charge):
                books.charge(fact)
            else:
                state.apply(fact)
        return state


def a_ledger(settings: Settings) -> Ledger:
    """The books as they were opened."""
    account = settings.account
    return Ledger(
        account.currency, account.balances, settings.instruments, portfolio=settings.portfolio
    )


def _decoded(of: Codec, records: Sequence[Record]) -> list[object]:
    return [of.decode(record.topic, record.body) for record in records]


async def what_is_left(config: Path) -> Left:
    """What the daemons of this configuration left; none of them may be running."""
    settings = load_settings(config)
    dsn = secret(settings.storage.dsn_env)
    async with (
        database(dsn, settings.state_folder / "postgres") as address,
        await connect(address) as pool,
    ):
        rows = await pool.fetch("SELECT * FROM journal ORDER BY name, seq")
    records = [Record(**{**row, "body": row["body"].encode()}) for row in rows]
    return Left(
        settings=settings,
        desk=[record for record in records if record.name == "desk"],
        venue=[record for record in records if record.name != "desk"],
    )


def flaws(left: Left) -> list[str]:
    """Everything that is wrong with what was left; empty if it is sound."""
    return [f"{check.__name__}: {flaw}" for check in CHECKS for flaw in check(left)]


def chains_hold(left: Left) -> Iterator[str]:
    """Each record's digest is that of its content and of the record before it."""
    for records in (left.desk, left.venue):
        before, previous = 0, GENESIS
        for record in records:
            content = digest_of(
                name=record.name,
                seq=record.seq,
                at=record.at,
                topic=record.topic,
                body=record.body,
                previous=record.previous,
            )
            if (record.seq, record.previous, record.digest) != (before + 1, previous, content):
                yield f"{record.name} {record.seq}"
            before, previous = record.seq, record.digest


def time_goes_forward(left: Left) -> Iterator[str]:
    """No record is older than the one before it, restarts included."""
    for records in (left.desk, left.venue):
        for i in range(1, len(records)):
            if records[i].at < records[i - 1].at:
                yield f"{records[i].name} {records[i].seq}: {records[i].at}"


def every_order_is_written_first_and_sent_once(left: Left) -> Iterator[str]:
    """No id is submitted twice; the venue has each at most once, and none that we do not."""
    ours = Counter(fact.order.client_order_id for fact in left.of(Submitting))
    theirs = Counter(
        fact.order.client_order_id for fact in left.venue_facts if isinstance(fact, Placed)
    )
    yield from (f"submitted twice: {i}" for i, n in ours.items() if n > 1)
    yield from (f"placed twice: {i}" for i, n in theirs.items() if n > 1)
    yield from (f"placed without a record of ours: {i}" for i in theirs.keys() - ours.keys())


def every_fill_is_booked_once(left: Left) -> Iterator[str]:
    ours = Counter(left.of(Fill))
    theirs = Counter(fact for fact in left.venue_facts if isinstance(fact, Fill))
    yield from (f"differs: {fill}" for fill in (ours - theirs) + (theirs - ours))
    yield from (f"twice: {fill}" for fill, n in (ours + theirs).items() if n > 2)


def every_charge_is_booked_once(left: Left) -> Iterator[str]:
    ours = Counter(left.of(Charge))
    theirs = Counter(fact for fact in left.venue_facts if isinstance(fact, Charge))
    yield from (f"differs: {charge}" for charge in (ours - theirs) + (theirs - ours))
    yield from (f"twice: {charge}" for charge, n in (ours + theirs).items() if n > 2)


def balances_agree(left: Left) -> Iterator[str]:
    """To the last digit."""
    ours, theirs = left.ledger.balances, left.books.books.balances
    for asset in ours.keys() | theirs.keys():
        if ours.get(asset, Decimal(0)) != theirs.get(asset, Decimal(0)):
            yield f"{asset}: {ours.get(asset)} here, {theirs.get(asset)} there"


def cash_positions_and_fees_add_up(left: Left) -> Iterator[str]:
    """cash + cost of positions == opening balance + realised - fees - charges, by currency; of the
    opening balance without what is kept, and less what went into bags."""
    ledger, account = left.ledger, left.settings.account
    kept = left.settings.portfolio
    opening = {a: amount - kept.get(a, Decimal(0)) for a, amount in account.balances.items()}
    opening[account.currency] -= ledger.holdings.spent
    cost: defaultdict[str, Decimal] = defaultdict(Decimal)
    for symbol in left.settings.instruments:
        cost[symbol.quote] += ledger.cost(symbol)
    for asset in ledger.cash.keys() | opening.keys():
        has = ledger.cash.get(asset, Decimal(0)) + cost[asset]
        due = opening.get(asset, Decimal(0)) + ledger.realised.get(asset, Decimal(0))
        costs = ledger.fees.get(asset, Decimal(0)) + ledger.charges.get(asset, Decimal(0))
        if has != due - costs:
            yield f"{asset}: {has}, not {due}"


def every_position_has_its_stop(left: Left) -> Iterator[str]:
    """Working stops at the venue for exactly the size of each position that is not dust.

    Where an exit at market works too, the two together cover at least the position; so does a stop
    where the last fill was a target's: it is made to fit as soon as that is known.
    """
    for symbol, instrument in left.settings.instruments.items():
        held, mark = left.ledger.held(symbol), left.ledger.last_mark(symbol)
        if not held or mark is None or instrument.is_dust(held, mark.price):
            continue
        working = [w for w in left.books.resting.get(symbol, {}).values() if w.view.reduce_only]
        last = next((f for f in reversed(left.books.fills) if f.symbol == symbol), None)
        taking = last is not None and left.books.orders[last.client_order_id].takes_profit
        reducing = [w.view for w in working if not w.takes_profit]
        stops = _remaining(order for order in reducing if order.trigger is not None)
        exits = _remaining(order for order in reducing if order.trigger is None)
        covers = stops + exits >= abs(held)
        if stops != abs(held) and not ((exits or taking) and covers):
            yield f"{symbol}: {held} held, stops for {stops}, exits for {exits}"


def no_target_outlives_its_position(left: Left) -> Iterator[str]:
    """Nothing waits at the venue to take a gain that nobody has."""
    for symbol, resting in left.books.resting.items():
        waiting = [w.view for w in resting.values() if w.takes_profit]
        if _remaining(waiting) > abs(left.ledger.held(symbol)):
            yield f"{symbol}: {waiting}"


def _remaining(orders: Iterable[VenueOrder]) -> Decimal:
    return sum((order.quantity - order.filled for order in orders), Decimal(0))


def no_bar_is_used_twice(left: Left) -> Iterator[str]:
    """Of each minute the venue has filled no more than the share of its volume that it may."""
    share = left.settings.paper_venue.participation
    filled: Counter[tuple[str, datetime]] = Counter()
    for fact in left.venue_facts:
        if isinstance(fact, Fill):
            minute = fact.filled_at.replace(second=0, microsecond=0)
            filled[fact.symbol, minute] += fact.quantity
    for seen in left.of(BarSeen):
        used = filled[seen.bar.symbol, seen.bar.opened_at]
        if share and used > share * seen.bar.volume:
            yield f"{seen.bar.symbol} {seen.bar.closed_at}: {used} of {seen.bar.volume}"


def no_order_ends_for_want_of_a_price(left: Left) -> Iterator[str]:
    """The venue always knows what the account is worth, after a restart too."""
    for fact in left.venue_facts:
        if isinstance(fact, OrderChanged) and "no price" in fact.reason:
            yield f"{fact.order.client_order_id}: {fact.reason}"


def every_bar_is_seen_once(left: Left) -> Iterator[str]:
    """Of each symbol every minute, in order, without gap or repeat, restarts included."""
    newest = {}
    for seen in left.of(BarSeen):
        bar = seen.bar
        before = newest.get(bar.symbol)
        if before is not None and bar.opened_at != before.closed_at:
            yield f"{bar.symbol}: {bar.closed_at} after {before.closed_at}"
        newest[bar.symbol] = bar
    for flaw in left.of(FlawsSeen):
        yield f"flaws: {flaw}"


def every_bar_is_decided_on_or_accounted_for(left: Left) -> Iterator[str]:
    """Each desk has on each of its bars one decision, or one reason why there is none."""
    kinds = (Decision, DecisionSkipped, DecisionFailed)
    found = Counter(
        (fact.strategy_id, fact.symbol, fact.bar_closed_at)
        for fact in left.facts
        if isinstance(fact, kinds)
    )
    due = Counter(
        (desk.strategy_id, seen.bar.symbol, seen.bar.closed_at)
        for seen in left.of(BarSeen)
        for desk in left.settings.desk
        if seen.bar.symbol in desk.instruments and desk.timeframe.closes_at(seen.bar.closed_at)
    )
    yield from (f"nothing on record: {key}" for key in due - found)
    yield from (f"too much on record: {key}" for key in found - due)


def the_losing_streak_is_that_of_the_trades(left: Left) -> Iterator[str]:
    """Every risk state counts the losses that the fills before it make: none is forgotten."""
    ledger = a_ledger(left.settings)
    streak = 0
    for fact in left.facts:
        if isinstance(fact, BarSeen):
            ledger.mark(fact.bar.symbol, fact.bar.close, fact.bar.closed_at)
        elif isinstance(fact, Fill) and (trade := left.book(ledger, fact)) is not None:
            streak = 0 if trade.pnl is not None and trade.pnl > 0 else streak + 1
        elif isinstance(fact, RiskState) and fact.loss_streak != streak:
            yield f"{fact.loss_streak}, not {streak}"


def every_start_reconciled(left: Left) -> Iterator[str]:
    """Each start held the books against the venue's, and in the end they agree."""
    found, starts = left.of(Reconciliation), len(left.of(RunStarted))
    if len(found) < starts:
        yield f"{len(found)} reconciliations, {starts} starts"
    if found and not found[-1].reconciled:
        yield f"{found[-1]}"


def every_order_has_its_outcome(left: Left) -> Iterator[str]:
    """Of each order we know what became of it."""
    told = {fact.client_order_id for fact in left.of(Submitted)}
    told |= {fact.order.client_order_id for fact in left.of(OrderChanged)}
    for fact in left.of(Submitting):
        if fact.order.client_order_id not in told:
            yield fact.order.client_order_id


CHECKS = (
    chains_hold,
    time_goes_forward,
    every_order_is_written_first_and_sent_once,
    every_fill_is_booked_once,
    every_charge_is_booked_once,
    balances_agree,
    cash_positions_and_fees_add_up,
    every_position_has_its_stop,
    no_target_outlives_its_position,
    no_bar_is_used_twice,
    no_order_ends_for_want_of_a_price,
    every_bar_is_seen_once,
    every_bar_is_decided_on_or_accounted_for,
    the_losing_streak_is_that_of_the_trades,
    every_start_reconciled,
    every_order_has_its_outcome,
)


async def ran(config: Path, bars: int) -> House:
    """The house of a daemon that ran in this process for so many bars; it is closed by now."""
    async with open_house(load_settings(config)) as house:
        await Daemon(house, max_bars=bars).run(view=False)
    return house

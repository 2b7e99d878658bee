"""The daemon: the market, the desks and the engine at work, until somebody says stop."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from datetime import timedelta
from pathlib import Path

import structlog
from rich.console import Console
from rich.live import Live

from data.bar import Bar
from data.clock import SystemClock
from data.faults import Transient
from data.feed import MarketEvent
from data.snapshot import Snapshot
from data.store import StoreUnavailable
from execution.reconcile import reconcile
from execution.shielded import to_the_end
from sextant.alerts import Alert
from sextant.command import Command, Verb, listening
from sextant.desk import Desk
from sextant.evaluation.report import table, write_report
from sextant.evaluation.summary import Summary, summarise
from sextant.facts import RunStopped
from sextant.house import House, open_house
from sextant.market import Service
from sextant.operator import obey
from sextant.promotion import clear
from sextant.rests import THE_END
from sextant.session import Session
from sextant.settings import Settings
from sextant.telemetry import start_logging
from sextant.terminal import render

_RECONCILE_EVERY, _RECONCILE_AGAIN = timedelta(minutes=2), timedelta(seconds=2)
_RECONCILE_WITHIN = timedelta(seconds=12)  # at the end; an order is lost after ten
_ASK_AGAIN = timedelta(seconds=0.5)  # at the end, after orders without an answer
_RECONCILE_ENDING = timedelta(seconds=15)  # while the kill switch ends things; exits come first
_WATCH_EVERY = timedelta(seconds=1)
_SETTLE_WITHIN = timedelta(seconds=20)  # a supervisor kills after some time, too
_CROSS_WITHIN, _CROSS_EVERY = timedelta(seconds=5), timedelta(milliseconds=50)  # at the end
_SERVE_AGAIN = timedelta(minutes=1)
_VIEW_EVERY = timedelta(milliseconds=500)
_FIRST_WAIT, _LONGEST_WAIT = timedelta(milliseconds=100), timedelta(seconds=5)
_WALL = (
    SystemClock()
)  # outages and the view last as long as they last, whatever time the market has
_log = structlog.get_logger(__name__)


async def run_daemon(settings: Settings, *, view: bool, max_bars: int | None = None) -> Summary:
    """Trade until SIGINT or SIGTERM, the end of the market, or `max_bars` bars; then settle.

    SIGUSR1 throws the kill switch; one that comes before the house is open does it then.

    Raises:
        NotCleared: real money is at stake, and not every condition for it is met.
        Fault: the outside world does not let us begin, or go on.
    """
    start_logging(settings, to_file=False)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C, until we listen to both
    flatten = asyncio.Event()
    with _signals_set({signal.SIGUSR1: flatten}):
        cleared = await clear(settings, os.environ, now=_WALL.now())
        async with open_house(settings, cleared=cleared) as house:
            start_logging(settings, to_file=view)
            reason = await Daemon(house, max_bars=max_bars, flatten=flatten).run(view=view)
            summary = summary_of(house)
    page = write_report(settings.state_folder / "report", summary, house.session.scorecard)[1]
    _say_goodbye(summary, reason, page, Console(stderr=not view))
    return summary


def summary_of(house: House) -> Summary:
    """The run so far, in numbers."""
    return summarise(
        house.session.scorecard,
        title=f"Sextant, {house.settings.mode}",
        market=house.market.name,
        currency=house.settings.account.currency,
        equity=house.session.book.ledger.equity,
        model_costs_usd=house.seats.budget.spent,
        kept=house.session.book.kept,
        whole=house.session.book.ledger.whole,
    )


def _say_goodbye(summary: Summary, reason: str, page: Path, console: Console) -> None:
    console.print(table(summary))
    console.print(f"stopped: {reason}; report in {page}", soft_wrap=True, markup=False)


class Daemon:
    """Drives a house. Each desk decides on each of its symbols in a task of its own."""

    def __init__(
        self,
        house: House,
        *,
        max_bars: int | None = None,
        flatten: asyncio.Event | None = None,
    ) -> None:
        self._house = house
        self._session = house.session
        self._max_bars = max_bars
        self._flatten = flatten or asyncio.Event()  # set by whoever wants the kill switch thrown
        self._workers: dict[tuple[str, str], Worker] = {}

    async def run(self, *, view: bool) -> str:
        """Work until told to stop; returns why it did. What is on the wire ends on record.

        Raises:
            JournalFailed: there is no record to end on: the database is away, and stays away.
        """
        with contextlib.ExitStack() as patience:
            reason = await self._work(patience, view=view)
            self._session.keep_costs()  # of decisions that were given up, too
            await self._session.book.engine.drain()
            if self._house.dead_man is not None:
                await self._house.dead_man.end()
            await self._reconcile_in_the_end()
            self._house.journal.write(RunStopped(at=self._house.clock.now(), reason=reason))
            await self._house.journal.flush()
            _log.info("stopped; all is on record")
        return reason

    async def _work(self, patience: contextlib.ExitStack, *, view: bool) -> str:
        """Trade until told to stop; from then on `patience` bounds how long all may take."""
        stop = asyncio.Event()
        engine = self._session.book.engine
        self._session.book.alerts.listener = _log_alert
        with _signals_set({signal.SIGINT: stop, signal.SIGTERM: stop}):
            async with (
                listening(self._house.settings.state_folder, self._obey),
                asyncio.TaskGroup() as tasks,
            ):
                background = [
                    tasks.create_task(engine.run(), name="engine"),
                    tasks.create_task(self._keep_reconciled(), name="reconcile"),
                    tasks.create_task(self._keep_watch(), name="watch"),
                    tasks.create_task(self._heed_signal(), name="kill-switch"),
                ]
                if (listen := self._house.venue.listen) is not None:
                    background.append(tasks.create_task(listen(), name="venue"))
                if (dead_man := self._house.dead_man) is not None:
                    background.append(tasks.create_task(dead_man.run(), name="dead-man"))
                if (relisting := self._house.relisting) is not None:
                    background.append(tasks.create_task(relisting.run(), name="relisting"))
                background += [
                    tasks.create_task(_run(service), name=service.name)
                    for service in self._house.services()
                ]
                if view:
                    background.append(tasks.create_task(self._show(), name="view"))
                stopping = tasks.create_task(stop.wait(), name="stop")
                feed = tasks.create_task(self._follow(tasks), name="feed")
                await asyncio.wait({feed, stopping}, return_when=asyncio.FIRST_COMPLETED)
                reason = "its bars are done" if feed.done() else "asked to"
                _log.info("stopping; what is on the wire ends on record", reason=reason)
                patience.callback(_after(_SETTLE_WITHIN, self._house.give_up).cancel)
                feed.cancel()
                await asyncio.wait({feed})  # the bar at hand is dealt with
                for worker in self._workers.values():
                    worker.cancel()
                await self._end_resting()
                for task in (*background, stopping):
                    task.cancel()
        return reason

    async def _end_resting(self) -> None:
        """Have what rests first cancelled; an exit takes what it has not got, if that ends in time.

        Else its position is left to its stop.
        """
        session = self._session
        session.withdraw_resting()
        try:
            async with asyncio.timeout(_CROSS_WITHIN.total_seconds()):
                while session.book.passive.has_exits:
                    await _WALL.sleep(_CROSS_EVERY)
                    session.look_after()
        except TimeoutError:
            _log.warning("an exit that rested was not crossed: nobody knows yet how it has ended")

    async def _obey(self, command: Command) -> str:
        """Do what a person orders; return once it is on record."""
        house = self._house
        text = obey(self._session, command, house.journal, now=house.clock.now())
        _log.warning("obeyed", verb=command.verb, by=command.by, why=command.why, came=text)
        await house.journal.flush()
        return text

    async def _heed_signal(self) -> None:
        """Throw the kill switch whenever a signal asks for it."""
        while True:
            await self._flatten.wait()
            self._flatten.clear()
            await self._obey(Command(verb=Verb.FLATTEN, by="a signal", why="SIGUSR1"))

    async def _follow(self, tasks: asyncio.TaskGroup) -> None:
        """Take the market's events in order, and hand what each desk sees to its worker."""
        house = self._house
        house.market.go()
        async with contextlib.aclosing(house.feed.events()) as events:
            await self._take_all(events, tasks)
        for worker in self._workers.values():
            await worker.finish()

    async def _take_all(self, events: AsyncIterator[MarketEvent], tasks: asyncio.TaskGroup) -> None:
        house, session = self._house, self._session
        async for event in events:
            await house.market.keep(event)
            if not isinstance(event, Bar):
                await session.hear(event)
                continue
            if event.closed_at <= house.newest.get(event.symbol, event.opened_at):
                continue  # seen before the restart
            await self._keep(event)
            await house.clock.sleep_until(event.closed_at)  # the venue's is ahead
            await to_the_end(self._take(event, tasks))
            if self._max_bars is not None and session.scorecard.bars >= self._max_bars:
                break

    async def _take(self, bar: Bar, tasks: asyncio.TaskGroup) -> None:
        for desk, snapshot in await self._session.take(bar):
            self._worker(desk, snapshot, tasks).offer(snapshot)
        self._session.look_at_holdings(bar)

    def _worker(self, desk: Desk, snapshot: Snapshot, tasks: asyncio.TaskGroup) -> "Worker":
        key = (desk.strategy_id, snapshot.instrument.symbol)
        worker = self._workers.get(key)
        if worker is None:
            worker = self._workers[key] = Worker(self._session, desk, tasks)
        return worker

    async def _keep(self, bar: Bar) -> None:
        """Put the bar into the store, through outages; the market waits meanwhile."""
        wait = _FIRST_WAIT
        while True:
            try:
                await self._house.bars.put([bar])
            except StoreUnavailable as error:
                _log.warning("the store is away; the market waits", error=str(error))
                await _WALL.sleep(wait)
                wait = min(2 * wait, _LONGEST_WAIT)
            else:
                return

    async def _keep_watch(self) -> None:
        """Look after the stops every second, whether bars come or not.

        A kill switch that was on before the start goes on before anything else.
        """
        if self._session.book.latches.awaits_venue:
            self._session.look_after()
        while True:
            await _WALL.sleep(_WATCH_EVERY)
            self._session.look_after()

    async def _keep_reconciled(self) -> None:
        """Hold our books against the venue's again: soon while they differ, else now and then."""
        waited = timedelta(0)
        while True:
            await _WALL.sleep(_RECONCILE_AGAIN)
            waited += _RECONCILE_AGAIN
            if waited < self._reconcile_after() and not self._money_has_moved():
                continue
            waited = timedelta(0)
            await self._reconcile()

    def _money_has_moved(self) -> bool:
        """Whether the venue has told of a balance that has changed, and not by trading."""
        outliving = self._house.venue.outliving
        if outliving is None or not outliving.venue.moved.is_set():
            return False
        outliving.venue.moved.clear()
        return True

    async def _reconcile_in_the_end(self) -> None:
        """What the venue has filled or charged until now is on record, if it answers in time.

        And what became of each order that was sent: one without an answer may still arrive, so that
        the venue is asked until it has, or no longer can; one that was to be cancelled, and is
        open there, is cancelled again.
        """
        engine = self._session.book.engine
        try:
            async with asyncio.timeout(_RECONCILE_WITHIN.total_seconds()):
                await self._reconcile()
                while engine.outbox.has_work:
                    await _WALL.sleep(_ASK_AGAIN)
                    await engine.work()
                    await self._reconcile()
        except TimeoutError:
            _log.warning("could not reconcile before stopping: no answer")

    async def _reconcile(self) -> None:
        try:
            found = await reconcile(self._session.book.engine)
        except Transient as error:
            _log.warning("could not reconcile", error=str(error))
            return
        for difference in found.differences:
            _log.warning("reconciled", kind=difference.kind, subject=difference.subject)

    def _reconcile_after(self) -> timedelta:
        """How long after the last time to ask the venue again."""
        book = self._session.book
        if not book.engine.reconciled:
            return _RECONCILE_AGAIN
        if not book.latches.awaits_venue:
            return _RECONCILE_EVERY
        is_ending = book.latches.is_ending(self._house.clock.now())
        return _RECONCILE_ENDING if is_ending else _RECONCILE_AGAIN

    async def _show(self) -> None:
        """The live view; trading goes on without it if it fails."""
        try:
            await self._draw()
        except Exception:  # noqa: BLE001 - what is shown must never stop what is done
            _log.exception("the view failed; trading goes on")

    async def _draw(self) -> None:
        house = self._house
        title = f"Sextant, {house.settings.mode} on {house.market.name}"
        with Live(auto_refresh=False, console=Console()) as live:
            while True:
                shown = render(
                    self._session,
                    title=title,
                    now=house.clock.now(),
                    model_costs_usd=house.seats.budget.spent,
                    guard=house.dead_man.guard if house.dead_man is not None else None,
                )
                live.update(shown, refresh=True)
                await _WALL.sleep(_VIEW_EVERY)


class Worker:
    """Decides for one desk on one symbol; while it is busy, only the newest snapshot waits."""

    def __init__(self, session: Session, desk: Desk, tasks: asyncio.TaskGroup) -> None:
        self._session = session
        self._desk = desk
        self._mailbox: asyncio.Queue[Snapshot] = asyncio.Queue(maxsize=1)
        self._at_hand: Snapshot | None = None
        self._task = tasks.create_task(self._run(), name=f"desk {desk.strategy_id}")

    def offer(self, snapshot: Snapshot) -> None:
        """Hand over the newest snapshot; one that still waits is passed over, on record."""
        if self._mailbox.full():
            self._session.skip(self._desk, self._mailbox.get_nowait(), "still busy")
            self._mailbox.task_done()
        self._mailbox.put_nowait(snapshot)

    async def finish(self) -> None:
        """Return once nothing waits and nothing is being decided."""
        await self._mailbox.join()

    def cancel(self) -> None:
        """Decide no more; what was to be decided is on record as passed over."""
        self._task.cancel()
        if self._at_hand is not None:
            self._session.skip(self._desk, self._at_hand, THE_END)
        if self._mailbox.full():
            self._session.skip(self._desk, self._mailbox.get_nowait(), THE_END)

    async def _run(self) -> None:
        while True:
            self._at_hand = await self._mailbox.get()
            await self._session.decide(self._desk, self._at_hand)
            self._at_hand = None
            self._mailbox.task_done()


async def _run(service: Service) -> None:
    """Work beside the trading, which a failure of it never stops; it is begun again after a while.

    A run may last for months, and what fails once, as on an answer that nobody thought of, must not
    leave the store without trades from then on.
    """
    try:
        while True:
            try:
                await service.run()
            except Exception:  # noqa: BLE001 - what is collected must never stop what is traded
                _log.exception("a service failed; it is begun again", service=service.name)
            await _WALL.sleep(_SERVE_AGAIN)
    finally:
        if service.close is not None:
            await _closed(service.name, service.close)


async def _closed(name: str, close: Callable[[], Coroutine[None, None, None]]) -> None:
    try:
        await to_the_end(close())
    except Transient as error:
        _log.warning("a service could not finish", service=name, error=str(error))


def _log_alert(alert: Alert) -> None:
    _log.warning("alert", kind=alert.kind, subject=alert.subject, text=alert.text)


def _after(delay: timedelta, act: Callable[[], None]) -> asyncio.TimerHandle:
    return asyncio.get_running_loop().call_later(delay.total_seconds(), act)


@contextlib.contextmanager
def _signals_set(events: Mapping[signal.Signals, asyncio.Event]) -> Iterator[None]:
    """Each signal sets its event while the block runs."""
    loop = asyncio.get_running_loop()
    for sign, event in events.items():
        loop.add_signal_handler(sign, event.set)
    try:
        yield
    finally:
        for sign in events:
            loop.remove_signal_handler(sign)

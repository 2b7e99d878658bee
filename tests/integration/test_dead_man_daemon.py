"""What takes the daemon's resting entries back if it is no more: the real daemon at an exchange."""

import asyncio
import os
import signal
from datetime import timedelta

import pytest
from rich.console import Console

from data.postgres.embedded import EmbeddedPostgres
from data.postgres.pool import connect
from execution.dead_man import Guard, GuardChanged
from execution.difference import DifferenceKind, Reconciliation
from execution.order import Cancelling, OrderStatus, Submitting
from execution.venue import OrderChanged
from sextant import wiring
from sextant.audit import audit, run_audit
from sextant.cycle import Decision
from sextant.daemon import Daemon
from sextant.house import open_house
from sextant.rehearsal.booked import Status
from sextant.rehearsal.server import Control
from sextant.settings import load_settings
from tests.builders_daemon import what_is_left
from tests.builders_dead_man import PATIENT, SPEED, elsewhere, strategies
from tests.builders_postgres import server_folder  # noqa: F401 - a fixture
from tests.builders_rehearsal import a_client
from tests.builders_rehearsal_left import a_rehearsal, rehearsal_flaws
from tests.builders_safety import ONLY_OUTLIVED, calls_noted, safety_functions

pytestmark = pytest.mark.xdist_group("daemon")

NEVER = 24 * 60
SLACK = timedelta(minutes=2)  # what was on its way when the signal came
DEADLINE = timedelta(minutes=10)  # config/rehearsal.toml
BARE = "[venue]\nattach_stops = false\n"  # protection places stops: none comes along with a fill


@pytest.fixture(autouse=True)
def dsn(monkeypatch, postgres):
    """A database of the test's own is the configured one."""
    monkeypatch.setenv("SEXTANT_DATABASE_URL", postgres)
    return postgres


async def came(condition, *, within=300):
    """Return once `condition` holds, whatever time that takes, within reason."""
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)  # noqa: TID251 - for another process


@pytest.mark.req("S0-33")
async def test_the_switch_is_armed_renewed_and_taken_back_for_a_stop(tmp_path, monkeypatch):
    monkeypatch.setattr(wiring, "strategy", strategies(30))
    config = a_rehearsal(tmp_path, PATIENT + BARE, speed=SPEED)
    with calls_noted() as called:
        async with open_house(load_settings(config)) as house, asyncio.TaskGroup() as tasks:
            exchange = house.market._exchange.server.exchange
            work = tasks.create_task(Daemon(house).run(view=False))
            await came(lambda: exchange.cancels_all_at is not None)
            first = exchange.cancels_all_at
            await came(lambda: (exchange.cancels_all_at or first) > first)
            await came(lambda: any(order.waits for order in exchange.open_orders()))
            assert exchange.cancels_all_at is None
            await came(lambda: any(o.status is Status.EXPIRED for o in exchange.orders.values()))
            os.kill(os.getpid(), signal.SIGINT)
            await work
    left = await what_is_left(config)
    assert rehearsal_flaws(left) == []
    changes = left.of(GuardChanged)
    assert [c.guard for c in changes][:3] == [Guard.IDLE, Guard.SWITCH, Guard.EXPIRY]
    dropped = changes[2].dropped
    assert dropped
    assert {c.client_order_id for c in left.of(Cancelling)} >= set(dropped)
    told = [fact.order for fact in left.of(OrderChanged)]
    assert any(order.status is OrderStatus.EXPIRED for order in told)
    assert await run_audit(load_settings(config), export=None, console=Console())
    silent = {name for name, code in safety_functions() if code not in called}
    assert not silent & ONLY_OUTLIVED.keys()


async def test_an_order_of_others_is_not_hit(tmp_path, monkeypatch):
    """It comes while the switch is armed, and the stream tells of it."""
    monkeypatch.setattr(wiring, "strategy", strategies(NEVER))
    config = a_rehearsal(tmp_path, PATIENT + BARE, speed=SPEED)
    async with open_house(load_settings(config)) as house, asyncio.TaskGroup() as tasks:
        exchange = house.market._exchange.server.exchange
        work = tasks.create_task(Daemon(house).run(view=False))
        await came(lambda: exchange.cancels_all_at is not None)
        async with a_client(Control(house.market._exchange.server)) as other:
            placed = await other.create_order("BTC/USDT", "limit", "buy", 0.01, 1000)
        await came(lambda: exchange.cancels_all_at is None)
        await came(lambda: any(o.status is Status.EXPIRED for o in exchange.orders.values()))
        assert exchange.orders[placed["id"]].is_open
        os.kill(os.getpid(), signal.SIGINT)
        await work
    changes = (await what_is_left(config)).of(GuardChanged)
    assert [c.guard for c in changes][1:3] == [Guard.SWITCH, Guard.EXPIRY]
    assert changes[2].means.foreign == (placed["id"],)


@pytest.mark.parametrize(
    ("at_once_from", "bare", "guard"),
    [
        pytest.param(0, "", Guard.EXPIRY, id="beside a position, its entry's stop attached"),
        pytest.param(0, BARE, Guard.EXPIRY, id="beside a position, with a stop of our own"),
        pytest.param(NEVER, BARE, Guard.SWITCH, id="alone, by the switch"),
    ],
)
@pytest.mark.req("S0-33", "S1-76")
async def test_frozen_past_the_deadline_its_entries_are_gone_and_its_stops_stand(
    tmp_path, dsn, monkeypatch, at_once_from, bare, guard
):
    config = a_rehearsal(tmp_path, PATIENT + bare, speed=SPEED)
    has_position = at_once_from != NEVER
    async with elsewhere(config, at_once_from=at_once_from) as there:
        daemon = there.daemon()
        try:
            await came(lambda: there.resting and (there.stops or not has_position))
            if guard is Guard.SWITCH:
                await came(lambda: there.control.exchange.cancels_all_at is not None)
            os.kill(daemon.pid, signal.SIGSTOP)
            frozen_at, stops = there.clock.now(), there.stops
            await came(lambda: not there.resting)
            woken_at = frozen_at + timedelta(minutes=15)
            await came(lambda: there.clock.now() > woken_at)
            assert there.stops.keys() == stops.keys()
            os.kill(daemon.pid, signal.SIGCONT)
            await came(lambda: there.resting)  # it trades again
            daemon.send_signal(signal.SIGTERM)
            await came(lambda: daemon.poll() is not None)
        finally:
            daemon.kill()
            said = daemon.communicate()[0]
        assert daemon.returncode == 0, said
        assert there.stops.keys() == stops.keys()
    _require_awake(await what_is_left(there.config), guard, frozen_at, woken_at)
    monkeypatch.setattr(wiring, "strategy", strategies(at_once_from))
    async with await connect(dsn) as pool:
        assert (await audit(load_settings(there.config), pool)).mismatches == ()


@pytest.mark.parametrize(
    ("at_once_from", "guard"),
    [
        pytest.param(0, Guard.EXPIRY, id="beside a position"),
        pytest.param(NEVER, Guard.SWITCH, id="alone, by the switch"),
    ],
)
@pytest.mark.req("S1-76")
async def test_who_can_keep_no_record_for_so_long_has_no_entry_left(
    tmp_path,
    server_folder,  # noqa: F811
    monkeypatch,
    at_once_from,
    guard,
):
    """The daemon lives, and its database is away past the deadline."""
    server = EmbeddedPostgres(server_folder / "own")
    monkeypatch.setenv("SEXTANT_DATABASE_URL", await server.start())
    config = a_rehearsal(tmp_path, PATIENT + BARE, speed=SPEED)
    has_position = at_once_from != NEVER
    async with elsewhere(config, at_once_from=at_once_from) as there:
        daemon = there.daemon()
        try:
            await came(lambda: there.resting and (there.stops or not has_position))
            if guard is Guard.SWITCH:
                await came(lambda: there.control.exchange.cancels_all_at is not None)
            await server.stop()
            away_at, stops, resting = there.clock.now(), there.stops, there.resting
            await came(lambda: not there.resting)
            assert there.stops.keys() == stops.keys()
            for order in resting.values():  # a try to write is a second of ours: two minutes
                assert order.closed_at - away_at <= 2 * DEADLINE
            await server.start()
            await came(lambda: there.resting)  # it trades again
            daemon.send_signal(signal.SIGTERM)
            await came(lambda: daemon.poll() is not None)
        finally:
            daemon.kill()
            said = daemon.communicate()[0]
        assert daemon.returncode == 0, said
        assert there.stops.keys() >= stops.keys()
        left = await what_is_left(there.config)
        assert guard in {change.guard for change in left.of(GuardChanged)}
        assert left.of(Reconciliation)[-1].reconciled
        monkeypatch.setattr(wiring, "strategy", strategies(at_once_from))
        assert await run_audit(load_settings(there.config), export=None, console=Console())
    await server.stop()


def _require_awake(left, guard, frozen_at, woken_at):
    """It noticed, asked the venue before it entered again, and decided on no bar that it missed."""
    assert guard in {change.guard for change in left.of(GuardChanged)}
    found = left.of(Reconciliation)
    (asleep,) = [n for n, each in enumerate(found) if not each.was_asked]
    assert found[asleep].differences[0].kind is DifferenceKind.ASLEEP
    assert found[asleep].at >= woken_at
    assert found[-1].reconciled
    slept = (frozen_at + SLACK, found[asleep].at)
    assert not [d for d in left.of(Decision) if slept[0] < d.bar_closed_at <= slept[1]]
    entries = [s.at for s in left.of(Submitting) if not s.order.reduce_only]
    again = next(each.at for each in found[asleep:] if each.reconciled)
    assert not [at for at in entries if slept[0] < at < again]
    assert max(entries) > again

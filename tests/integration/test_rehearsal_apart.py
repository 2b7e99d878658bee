"""A daemon and its exchange in two processes: each outlives the other, and what is around them."""

import asyncio
import contextlib
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta

import pytest

from data.clock import PacedClock
from data.postgres.embedded import EmbeddedPostgres
from execution.venues.answers import KeyRefused
from sextant import house as house_module
from sextant.daemon import Daemon
from sextant.facts import codec
from sextant.house import open_house
from sextant.journal.memory import MemoryJournal
from sextant.market_settings import RehearsalMarketSettings
from sextant.rehearsal.command import OPENING
from sextant.rehearsal.faults import Accident
from sextant.rehearsal_apart import AnotherExchange, ExchangeApart
from sextant.rehearsal_market import HostedExchange
from sextant.settings import BadSettings, load_settings
from tests.builders_apart import KEYS, apart, apart_flaws, trading
from tests.builders_daemon import CARE, EAGER, small_disk
from tests.builders_rehearsal import NOON, rehearsal_exchange
from tests.builders_rehearsal_left import a_rehearsal, stops_missing_there

pytestmark = [pytest.mark.xdist_group("daemon"), pytest.mark.timeout(400)]

MINUTE = timedelta(minutes=1)
SPEED = 60.0
# Nothing can be done for a position while nothing can be written down.
PATIENT = EAGER + CARE.replace("[protection]\n", '[protection]\n    deadline = "PT1H"\n')


@pytest.fixture
async def database(server_folder, monkeypatch):
    """The configured database is a server that the test may stop."""
    server = EmbeddedPostgres(server_folder / "own")
    monkeypatch.setenv("SEXTANT_DATABASE_URL", await server.start())
    yield server
    await server.stop()


@contextlib.contextmanager
def filled(disk):
    """A disk without room, while the block lasts."""
    filler = disk / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while file.write(bytes(1 << 12)):
            pass
    try:
        yield
    finally:
        filler.unlink()


def holds_something(account):
    return any(lots for lots in account.lots.values())


def has_more(account):
    """Than now, of trades."""
    return lambda later: len(later.trades) > len(account.trades)


async def require_sound(pair):
    audited = await asyncio.to_thread(pair.daemon.audited)
    assert audited.code == 0, audited.said
    assert apart_flaws(await pair.left()) == []


async def test_it_trades_at_an_exchange_in_a_process_of_its_own(
    server_folder, postgres, monkeypatch
):
    monkeypatch.setenv("SEXTANT_DATABASE_URL", postgres)
    with apart(server_folder, postgres, speed=120) as pair:
        async with trading(pair) as stop:
            await pair.comes_to(lambda account: len(account.trades) > 3)
            stopped = await stop()
        assert stopped.code == 0, stopped.said
        await require_sound(pair)


async def test_an_exchange_that_is_killed_is_found_again(server_folder, postgres, monkeypatch):
    monkeypatch.setenv("SEXTANT_DATABASE_URL", postgres)
    with apart(server_folder, postgres, speed=120) as pair:
        async with trading(pair) as stop:
            for _ in range(2):
                before = await pair.comes_to(holds_something)
                pair.exchange.kill()
                await asyncio.to_thread(pair.exchange.start)
                await pair.comes_to(has_more(before))
            stopped = await stop()
        assert stopped.code == 0, stopped.said
        assert "market time stands" in stopped.said
        assert "start `sextant rehearse` there, with the --state that it had" in stopped.said
        assert "market time goes on" in stopped.said
        await require_sound(pair)


async def test_while_the_database_is_away_stops_stand(server_folder, database):
    with apart(server_folder, database.dsn, PATIENT, speed=60) as pair:
        async with trading(pair) as stop:
            before = await pair.comes_to(holds_something)
            await database.stop()
            await pair.market_passes(3 * MINUTE)
            dark = pair.exchange.records
            await database.start()
            await pair.comes_to(has_more(before))
            stopped = await stop()
        assert stopped.code == 0, stopped.said
        assert "the journal waits" in stopped.said
        left = await pair.left()
        assert list(stops_missing_there(replace(left, venue=dark))) == []
        await require_sound(pair)


async def test_while_the_disk_is_full_stops_stand(server_folder):
    with (
        small_disk(server_folder, "140m") as disk,
        apart(disk, "", PATIENT, speed=60, kept=server_folder) as pair,
    ):
        async with trading(pair) as stop:
            await pair.comes_to(holds_something)
            with filled(disk):
                await pair.market_passes(3 * MINUTE)
                dark = pair.exchange.records
            stopped = await stop()
        assert list(stops_missing_there(replace(await pair.left(), venue=dark))) == []
        assert "No space left on device" in stopped.said, stopped.said
        again = await asyncio.to_thread(pair.daemon.run, bars=6)
        assert again.code == 0, again.said
        await require_sound(pair)


async def test_an_exchange_that_cannot_keep_its_account_ends(server_folder, postgres, monkeypatch):
    """What nobody was told of is done again; what is told was kept."""
    monkeypatch.setenv("SEXTANT_DATABASE_URL", postgres)
    with (
        small_disk(server_folder, "1m") as disk,
        apart(server_folder, postgres, speed=120, kept=disk) as pair,
    ):
        async with trading(pair) as stop:
            before = await pair.comes_to(holds_something)
            with filled(disk):
                said = await asyncio.to_thread(pair.exchange.wait)
            assert "No space left on device; put that right" in said
            assert "Traceback" not in said.rpartition("sextant: ")[2]
            await asyncio.to_thread(pair.exchange.start)
            await pair.comes_to(has_more(before))
            stopped = await stop()
        assert stopped.code == 0, stopped.said
        await require_sound(pair)


@pytest.fixture
def clock():
    return PacedClock(NOON, speed=SPEED)


def followed(venue, **settings):
    """The exchange as a daemon with these settings takes it."""
    words = {"start": NOON, "seed": 7, "speed": SPEED, "timeframe": "1m", "source": "rehearsal"}
    url = venue.urls["public"]
    return ExchangeApart(RehearsalMarketSettings.model_validate(words | settings), url)


@pytest.mark.parametrize(
    ("settings", "seen", "said"),
    [
        pytest.param({"seed": 8}, NOON, "--seed 7, and market.seed is 8", id="another market"),
        pytest.param({"speed": 9}, NOON, "--speed 60, and market.speed is 9", id="another speed"),
        pytest.param({}, NOON + timedelta(days=1), "with the --state that it had", id="begun anew"),
    ],
)
async def test_an_exchange_that_is_not_ours_is_named(clock, settings, seen, said):
    async with rehearsal_exchange(clock, speed=SPEED) as venue, AsyncExitStack() as running:
        exchange = followed(venue, **settings)
        exchange.begin_after(seen)
        with pytest.raises(AnotherExchange, match=said):
            await exchange.open(MemoryJournal(codec=codec(), clock=clock), running)


async def test_an_exchange_goes_on_from_where_our_records_end(clock):
    async with rehearsal_exchange(clock, speed=SPEED) as venue, AsyncExitStack() as running:
        exchange = followed(venue)
        exchange.begin_after(NOON + 90 * MINUTE)
        await exchange.open(MemoryJournal(codec=codec(), clock=clock), running)
        assert clock.now() >= NOON + 90 * MINUTE
        await clock.sleep(MINUTE)
        assert exchange.clock.now() >= NOON + 90 * MINUTE


async def test_time_stands_while_the_exchange_is_away(clock):
    async with rehearsal_exchange(clock, speed=SPEED) as venue, AsyncExitStack() as running:
        exchange = followed(venue)
        async with asyncio.TaskGroup() as tasks, venue.control.down():
            journal = MemoryJournal(codec=codec(), clock=clock)
            opening = tasks.create_task(exchange.open(journal, running))
            await clock.sleep(MINUTE)
            assert not opening.done()
        async with venue.control.down():
            while (now := exchange.clock.now()) != await _later(clock, exchange):
                assert now <= clock.now()
        await exchange.clock.sleep(MINUTE)
        assert exchange.clock.now() > now


async def _later(clock, exchange):
    await clock.sleep(MINUTE)
    return exchange.clock.now()


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        pytest.param({}, "KRAKEN_API_KEY and KRAKEN_API_SECRET not set", id="no key"),
        pytest.param(KEYS | {"KRAKEN_API_KEY": "another"}, "Invalid key", id="another key"),
    ],
)
async def test_a_key_that_does_not_fit_is_named(tmp_path, postgres, monkeypatch, environment, said):
    monkeypatch.setenv("SEXTANT_DATABASE_URL", postgres)
    for name in KEYS:
        monkeypatch.setenv(name, environment.get(name, ""))
    clock = PacedClock(OPENING, speed=SPEED)
    async with rehearsal_exchange(clock, speed=SPEED) as venue:
        config = a_rehearsal(tmp_path, speed=SPEED, url=f'"{venue.urls["public"]}"')
        with pytest.raises(ExceptionGroup) as raised:
            async with open_house(load_settings(config)):
                pass
    assert said in str(raised.value.subgroup(KeyRefused).exceptions)


@pytest.mark.parametrize(
    "url", ["http://api.kraken.com:80", "https://127.0.0.1:1", "127.0.0.1:8880"]
)
def test_an_exchange_apart_is_on_this_machine(tmp_path, url):
    with pytest.raises(BadSettings, match=r"market.*url"):
        load_settings(a_rehearsal(tmp_path, url=f'"{url}"'))


async def test_a_start_waits_for_an_account_that_cannot_be_asked(tmp_path, postgres, monkeypatch):
    """Found by killing a daemon again and again, until the exchange refused its questions."""
    monkeypatch.setenv("SEXTANT_DATABASE_URL", postgres)
    refusing, asked = HostedExchange.open, []

    async def opened(exchange, books, running):
        site = await refusing(exchange, books, running)
        exchange.server.mischief.order("Balance", Accident.REFUSE_503, Accident.REFUSE_503)
        return site

    async def reconciled(engine):
        asked.append(engine)
        return await house_module_reconcile(engine)

    house_module_reconcile = house_module.reconcile
    monkeypatch.setattr(HostedExchange, "open", opened)
    monkeypatch.setattr(house_module, "reconcile", reconciled)
    async with open_house(load_settings(a_rehearsal(tmp_path))) as house:
        assert len(asked) == 3
        assert house.session.book.engine.reconciled
        await Daemon(house, max_bars=3).run(view=False)

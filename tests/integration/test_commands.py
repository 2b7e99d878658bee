"""A person's hand on a running daemon: consent, denial, halt and resume, all on record."""

import asyncio
import stat
from contextlib import asynccontextmanager

import pytest
from typer.testing import CliRunner

from data.faults import Refused
from data.postgres.pool import connect
from execution.order import Submitting
from risk.breaker import TradingState
from risk.referral import Referral
from sextant.audit import audit
from sextant.cli import app
from sextant.command import SOCKET, CannotObey, Command, NobodyThere, Verb, listening, send
from sextant.daemon import Daemon
from sextant.facts import Commanded
from sextant.house import open_house
from sextant.referrals import End, ReferralEnded
from sextant.settings import load_settings
from tests.builders_daemon import EAGER, a_config, flaws, ran, what_is_left

pytestmark = pytest.mark.xdist_group("daemon")

ASKING = EAGER.replace("[risk]", '[risk]\n    refer_above = 0.0001\n    referral_span = "PT10M"')


@pytest.fixture
def configured(monkeypatch, postgres):
    """A database of the test's own is the configured one."""
    monkeypatch.setenv("SEXTANT_DATABASE_URL", postgres)
    return postgres


@asynccontextmanager
async def running(config):
    """A daemon at work in this process, until the block ends."""
    async with open_house(load_settings(config)) as house, asyncio.TaskGroup() as tasks:
        work = tasks.create_task(Daemon(house).run(view=False))
        folder = house.settings.state_folder
        while not (folder / SOCKET).exists():
            await house.clock.sleep(house.settings.market.timeframe.delta)
        yield house
        work.cancel()


def command(verb, subject="", *, by="Ada", why="looked at it"):
    return Command(verb=verb, by=by, why=why, subject=subject)


async def a_waiting_order(house):
    """The first order that waits for consent."""
    while not house.session.referrals:
        await house.clock.sleep(house.settings.market.timeframe.delta)
    return next(iter(house.session.referrals))


@pytest.mark.req("S2-48")
async def test_consent_brings_the_order_and_denial_ends_it(tmp_path, configured):
    config = a_config(tmp_path, ASKING, speed=600)
    async with running(config) as house:
        folder = house.settings.state_folder
        referral = await a_waiting_order(house)
        intent_id = referral.intent.intent_id
        assert intent_id in await send(folder, command(Verb.WAITING))
        assert "approved" in await send(folder, command(Verb.APPROVE, intent_id[:8]))
        with pytest.raises(CannotObey, match="no order waits"):
            await send(folder, command(Verb.APPROVE, intent_id))
        other = (await a_waiting_order(house)).intent.intent_id
        assert "denied" in await send(folder, command(Verb.DENY, other))
    left = await what_is_left(config)
    assert {e.intent_id: e.end for e in left.of(ReferralEnded)}.items() >= {
        intent_id: End.CONSENTED,
        other: End.DENIED,
    }.items()
    entries = [s for s in left.of(Submitting) if not s.order.reduce_only]
    assert [s.order.client_order_id for s in entries] == [intent_id]
    assert [(c.command.verb, c.command.by) for c in left.of(Commanded)] == [
        (Verb.APPROVE, "Ada"),
        (Verb.DENY, "Ada"),
    ]


@pytest.mark.req("S2-48")
async def test_without_an_answer_a_referral_ends_and_nothing_is_bought(tmp_path, configured):
    config = a_config(tmp_path, ASKING)
    await ran(config, 120)
    left = await what_is_left(config)
    ended = left.of(ReferralEnded)
    assert {e.end for e in ended} == {End.EXPIRED}
    assert left.of(Referral)
    assert not left.of(Submitting)
    assert flaws(left) == []

    await ran(config, 3)  # what still waited ends with the run; the audit knows it
    left = await what_is_left(config)
    assert End.STOPPED in {e.end for e in left.of(ReferralEnded)}
    async with await connect(configured) as pool:
        found = await audit(load_settings(config), pool)
    assert found.is_sound, found


@pytest.mark.req("S1-97")
async def test_a_halt_stops_entries_until_it_is_lifted_and_the_audit_is_sound(tmp_path, configured):
    config = a_config(tmp_path)
    async with running(config) as house:
        folder = house.settings.state_folder
        with pytest.raises(CannotObey, match="nothing is halted"):
            await send(folder, command(Verb.RESUME))
        assert "halted by Ada" in await send(folder, command(Verb.HALT))
        assert house.session.book.state.trading is TradingState.HALTED
        assert "lifted" in await send(folder, command(Verb.RESUME))
        assert house.session.book.state.trading is TradingState.ACTIVE
        with pytest.raises(CannotObey, match="say who"):
            await send(folder, command(Verb.HALT, by=" "))
    left = await what_is_left(config)
    assert [c.command.verb for c in left.of(Commanded)] == [Verb.HALT, Verb.RESUME]
    async with await connect(configured) as pool:
        found = await audit(load_settings(config), pool)
    assert found.is_sound, found


def test_where_no_daemon_runs_a_halt_holds_from_the_next_start(tmp_path, configured):
    config = a_config(tmp_path)
    asyncio.run(ran(config, 30))
    said = CliRunner().invoke(
        app, ["halt", "--by", "Ada", "--why", "storm", "--config", str(config)]
    )
    assert (said.exit_code, "halted by Ada: storm" in said.output) == (0, True), said.output
    house = asyncio.run(ran(config, 30))
    assert house.session.book.state.reason == "halted by Ada: storm"


async def test_only_the_owner_may_open_the_socket_and_it_goes_with_the_daemon(tmp_path):
    async def obey(given):
        return given.why

    async with listening(tmp_path, obey):
        assert stat.S_IMODE((tmp_path / SOCKET).stat().st_mode) == 0o600
        assert await send(tmp_path, command(Verb.HALT)) == "looked at it"
    with pytest.raises(NobodyThere, match="no daemon runs"):
        await send(tmp_path, command(Verb.HALT))


async def test_a_socket_left_by_a_killed_daemon_is_replaced(tmp_path):
    async def obey(given):
        return "done"

    (tmp_path / SOCKET).touch()
    async with listening(tmp_path, obey):
        assert await send(tmp_path, command(Verb.HALT)) == "done"


async def test_what_is_no_command_is_answered_and_harms_nothing(tmp_path):
    async def obey(given):
        raise Refused("no")

    async with listening(tmp_path, obey):
        for garbage in (b"\n", b"{}\n", b'{"verb": "buy"}\n', b"x" * 100_000 + b"\n"):
            reader, writer = await asyncio.open_unix_connection(tmp_path / SOCKET)
            writer.write(garbage)
            assert b'"done":false' in await reader.readline()
            writer.close()
        with pytest.raises(CannotObey, match="no"):
            await send(tmp_path, command(Verb.HALT))


async def test_a_folder_too_long_for_a_socket_is_named(tmp_path):
    with pytest.raises(Refused, match=r"storage\.folder"):
        async with listening(tmp_path / ("x" * 100), print):
            pass

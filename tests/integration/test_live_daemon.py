"""The real daemon on paper over a live exchange, which is the Kraken of loopback.

Whatever the wire does, the bars on record are the market's; on data that is not fit nobody decides.
"""

import asyncio
import signal
from datetime import timedelta

import pytest
from rich.console import Console

from data.bar import Timeframe
from data.defect import DefectKind
from data.postgres.bars import PostgresBarStore
from data.postgres.books import PostgresBookStore
from data.postgres.pool import connect
from data.postgres.trades import PostgresTradeStore
from data.quality import FlawKind
from execution.fill import Fill
from sextant.audit import run_audit
from sextant.cycle import Decision
from sextant.facts import BarSeen, DecisionSkipped, DefectsSeen, FlawsSeen, RunStarted
from sextant.settings import load_settings
from tests.builders_daemon import Rehearsal, ended, flaws, what_is_left
from tests.builders_live_daemon import (
    BTC,
    LIVE,
    MINUTE,
    PAST,
    SECOND,
    START,
    XRP,
    Deal,
    a_world,
    bars_of,
    trades_of,
)
from tests.builders_safety import ONLY_LIVE, calls_noted, safety_functions
from tests.wire.kraken_market import Market
from tests.wire.loopback import HTML, UNREADABLE, Answer

pytestmark = pytest.mark.xdist_group("daemon")

DESKS = {BTC: "chance-btc", XRP: "chance-xrp"}
BUSY = Answer(status=503, body="busy", content_type="text/plain")
MANY = 1_000_000


@pytest.fixture(autouse=True)
def dsn(monkeypatch, postgres):
    """A database of the test's own is the configured one."""
    monkeypatch.setenv("SEXTANT_DATABASE_URL", postgres)
    return postgres


async def audited(world):
    return await run_audit(load_settings(world.config), export=None, console=Console())


def seen(left, symbol):
    """The bars of `symbol` on record, in order."""
    return [fact.bar for fact in left.of(BarSeen) if fact.bar.symbol == symbol]


def require_the_markets_bars(left, world, symbol, since=START):
    """What is on record is what was traded, each minute once."""
    told = seen(left, symbol)
    assert told == bars_of(world.server, symbol, since, told[-1].closed_at)


@pytest.mark.req("S1-17")
async def test_it_trades_on_paper_keeps_what_comes_and_goes_on_after_a_restart(
    tmp_path, monkeypatch, dsn
):
    async with a_world(tmp_path, monkeypatch) as world:
        await world.traded(20)
        for _ in range(7 * 20):  # nobody is there for seven minutes
            await world.pass_time()
        await world.traded(40)
        left = await what_is_left(world.config)
        assert flaws(left) == []
        assert await audited(world)
        assert [run.resumed for run in left.of(RunStarted)] == [False, True]
        assert left.of(RunStarted)[0].warmed_up_to == {BTC: START, XRP: START}
        assert left.of(Fill)
        assert {decision.symbol for decision in left.of(Decision)} == {BTC, XRP}
        for symbol in (BTC, XRP):
            require_the_markets_bars(left, world, symbol)
            await _require_kept(dsn, world, left, symbol)


async def test_trades_that_a_kill_took_are_filled_within_minutes(tmp_path, monkeypatch, dsn):
    async with a_world(tmp_path, monkeypatch) as world:
        await world.traded(20)
        killed_at = seen(await what_is_left(world.config), BTC)[-1].closed_at
        async with await connect(dsn) as pool:
            await pool.execute("DELETE FROM trades WHERE traded_at >= $1", killed_at - 20 * SECOND)
        await world.traded(20)
        left = await what_is_left(world.config)
        for symbol in (BTC, XRP):
            await _require_kept(dsn, world, left, symbol)


@pytest.mark.req("S1-27")
async def test_the_audit_needs_no_bar_of_the_store(tmp_path, monkeypatch, dsn):
    async with a_world(tmp_path, monkeypatch, past=14 * 60) as world:
        for _ in range(2):
            await world.traded(20)
        async with await connect(dsn) as pool:
            kept = PostgresBarStore(pool, exchange="kraken")
            assert len(await kept.last(BTC, Timeframe.M1, MANY)) > 13 * 60  # older ones were filled
            await pool.execute("TRUNCATE bars")
            assert not await kept.last(BTC, Timeframe.M1, MANY)
        assert await audited(world)
        assert all(run.warm_up_bars for run in (await what_is_left(world.config)).of(RunStarted))


async def _require_kept(dsn, world, left, symbol):
    """The store has the past, the bars on record, all trades and books by the minute."""
    until = seen(left, symbol)[-1].closed_at
    async with await connect(dsn) as pool:
        kept = await PostgresBarStore(pool, exchange="kraken").last(symbol, Timeframe.M1, MANY)
        stored = PostgresTradeStore(pool, exchange="kraken").between(symbol, START, until)
        trades = [trade async for trade in stored]
        books = await PostgresBookStore(pool, exchange="kraken").last(symbol, MANY)
    assert [bar for bar in kept if bar.closed_at > START] == seen(left, symbol)
    assert len(kept) == PAST + len(seen(left, symbol))
    made = [trade for trade in trades_of(world.server, symbol) if START <= trade.traded_at < until]
    assert trades == made
    assert len(books) > 15


async def test_a_first_start_takes_the_bar_that_the_past_does_not_have_yet(tmp_path, monkeypatch):
    candles = Market.candles

    def late(market, minutes, now):
        return candles(market, minutes, now)[:-2]  # the open one, and the newest closed

    monkeypatch.setattr(Market, "candles", late)
    async with a_world(tmp_path, monkeypatch) as world:
        await world.traded(6)
        left = await what_is_left(world.config)
        (started,) = left.of(RunStarted)
        for symbol in (BTC, XRP):
            newest = started.warmed_up_to[symbol]
            assert newest <= started.at - MINUTE
            require_the_markets_bars(left, world, symbol, since=newest)


async def test_a_start_without_the_exchange_waits_for_it(tmp_path, monkeypatch):
    async with a_world(tmp_path, monkeypatch) as world:
        world.server.rest_fails = BUSY
        world.plan({100: [set_(rest_fails=None)]})
        await world.traded(6)
        left = await what_is_left(world.config)
        assert left.of(RunStarted)[0].at > START + 100 * SECOND
        assert flaws(left) == []


async def test_told_to_stop_while_it_waits_for_the_exchange_it_does_so_at_once(tmp_path, dsn):
    async with a_world(tmp_path) as world:
        pass
    rehearsal = Rehearsal(world.config, SEXTANT_DATABASE_URL=dsn)  # nobody listens there now
    daemon = rehearsal.started()
    line = await asyncio.to_thread(daemon.stdout.readline)
    assert "kraken cannot be reached; the start waits for it" in line
    daemon.send_signal(signal.SIGTERM)
    stopped = await asyncio.to_thread(ended, daemon)
    assert "Traceback" not in stopped.said
    assert stopped.code != 0


def set_(**values):
    def accident(server):
        for name, value in values.items():
            setattr(server, name, value)

    return accident


def closed(server):
    return server.close_sockets()


def reset(server):
    server.reset_sockets()


def rest_answers(*answers):
    return lambda server: server.instead.extend(answers)


def mute(*topics):
    return set_(mute=set(topics))


TRADES = f"trade@{BTC}"


@pytest.mark.req("S1-17")
@pytest.mark.parametrize(
    "accidents",
    [
        pytest.param(
            {130: [set_(silent=True)], 200: [set_(silent=False)]}, id="silent, sockets live"
        ),
        pytest.param({130: [closed], 190: [closed], 192: [closed]}, id="closed again and again"),
        pytest.param({130: [reset]}, id="reset in the middle of a frame"),
        pytest.param(
            {130: [closed, set_(rest_fails=BUSY)], 270: [set_(rest_fails=None)]},
            id="5xx for long, and the socket closed",
        ),
        pytest.param(
            {130: [closed, rest_answers(BUSY, HTML, UNREADABLE)]}, id="no sense from REST"
        ),
        pytest.param({130: [mute(TRADES)], 142: [mute()]}, id="trades lost on the way"),
        pytest.param({130: [set_(corrupt_next_book=True)]}, id="a level of the book corrupt"),
    ],
)
async def test_whatever_the_wire_does_the_bars_on_record_are_the_markets(
    tmp_path, monkeypatch, accidents
):
    async with a_world(tmp_path, monkeypatch) as world:
        await world.traded(16, accidents)
        left = await what_is_left(world.config)
        for symbol in (BTC, XRP):
            require_the_markets_bars(left, world, symbol)
        assert flaws(left) == []
        assert await audited(world)


def crossed(server):
    return server.change_book(BTC, bids={"85650.0": "1.00000000"})


def uncrossed(server):
    return server.change_book(BTC, bids={"85650.0": "0"})


def thin(server):
    asks = server.markets[BTC].asks
    return server.change_book(BTC, asks={f"{price}": "0.00000100" for price in asks})


def thick(server):
    asks = server.markets[BTC].asks
    return server.change_book(BTC, asks={f"{price}": "1.00000000" for price in asks})


class Behind:
    """A clock that is ten seconds late."""

    def __init__(self, clock):
        self._clock = clock

    def now(self):
        return self._clock.now() - 10 * SECOND


def behind(server):
    server.clock = Behind(server.clock)


def on_time(server):
    server.clock = server.clock._clock


CORRUPTED = {at: [set_(corrupt_next_book=True)] for at in range(121, 310, 3)}
DEFECTS = [
    pytest.param(
        DefectKind.STALE_BARS,
        {121: [set_(silent=True, rest_fails=BUSY)], 400: [set_(silent=False, rest_fails=None)]},
        id="no bars for long",
    ),
    pytest.param(
        DefectKind.INTERRUPTED,
        {121: [closed, set_(rest_fails=BUSY)], 200: [set_(rest_fails=None)]},
        id="the feed interrupted",
    ),
    pytest.param(
        DefectKind.STALE_BOOK,
        {121: [set_(silent=True)], 280: [set_(silent=False)]},
        id="no books for long",
    ),
    pytest.param(DefectKind.CROSSED_BOOK, {121: [crossed], 280: [uncrossed]}, id="a crossed book"),
    pytest.param(DefectKind.THIN_BOOK, {121: [thin], 280: [thick]}, id="a thin book"),
    pytest.param(DefectKind.BROKEN_BOOK, CORRUPTED, id="a book broken again and again"),
    pytest.param(DefectKind.CLOCK_SKEW, {181: [behind], 400: [on_time]}, id="clocks apart"),
]


@pytest.mark.req("S1-17")
@pytest.mark.parametrize(("kind", "accidents"), DEFECTS)
async def test_on_unfit_data_nobody_decides_until_it_is_cured(
    tmp_path, monkeypatch, kind, accidents
):
    async with a_world(tmp_path, monkeypatch) as world:
        await world.traded(32, accidents)
        left = await what_is_left(world.config)
        require_the_markets_bars(left, world, BTC)
        _require_none_decided_while(kind, left)
        assert await audited(world)


def _require_none_decided_while(kind, left):
    """Some were made before `kind` was on record and after its cure, none while any defect was.

    A loaded machine may see further defects, so only what is on record counts, not the clock.
    """
    facts = [fact for fact in left.facts if getattr(fact, "symbol", None) == BTC]
    states = [i for i, fact in enumerate(facts) if isinstance(fact, DefectsSeen)]
    found = next(i for i in states if kind in {defect.kind for defect in facts[i].defects})
    cured = next(i for i in states if i > found and not facts[i].defects)
    decided = [i for i, fact in enumerate(facts) if isinstance(fact, Decision)]
    passed_over = [i for i, fact in enumerate(facts) if isinstance(fact, DecisionSkipped)]
    skipped = [i for i in passed_over if facts[i].reason.startswith("its data: ")]
    defective = set(_while_defective(facts))
    assert any(f"{kind}: " in facts[i].reason for i in skipped)
    assert defective.issuperset(skipped)
    assert defective.isdisjoint(decided)
    assert decided[0] < found < cured < decided[-1]


def _while_defective(facts):
    """The places of what was recorded while the last DefectsSeen before it named a defect."""
    defects = ()
    for i, fact in enumerate(facts):
        if isinstance(fact, DefectsSeen):
            defects = fact.defects
        elif defects:
            yield i


async def test_after_a_jump_nobody_decides_until_several_bars_were_good(tmp_path, monkeypatch):
    async with a_world(tmp_path, monkeypatch) as world:
        at = START + 5 * MINUTE - timedelta(microseconds=1)
        deal = Deal(at=at, symbol=BTC, price="99000.0", quantity="0.10000000", side="buy")
        world.deals = sorted([*world.deals, deal], key=lambda deal: deal.at)
        await world.traded(32)
        left = await what_is_left(world.config)
        require_the_markets_bars(left, world, BTC)
        _require_none_decided_while(DefectKind.JUMP, left)
        flawed = [fact.flaws[0] for fact in left.of(FlawsSeen)]
        assert [(flaw.kind, flaw.closed_at) for flaw in flawed] == [
            (FlawKind.JUMP, START + 5 * MINUTE),
            (FlawKind.JUMP, START + 6 * MINUTE),
        ]
        assert await audited(world)


async def test_in_a_dead_market_nobody_trades_and_it_stays_so(tmp_path, monkeypatch):
    dead_after = LIVE.replace('max_delay = "PT1M"', 'max_delay = "PT1M"\n    dead_after = 5')
    async with a_world(tmp_path, monkeypatch, text=dead_after, minutes=6) as world:
        await world.traded(40)
        left = await what_is_left(world.config)
        for symbol in (BTC, XRP):
            bars = seen(left, symbol)
            assert [bar.volume for bar in bars[6:]] == [0] * len(bars[6:])
            require_the_markets_bars(left, world, symbol)
        dead = START + 11 * MINUTE
        decided = [decision.bar_closed_at for decision in left.of(Decision)]
        assert START < max(decided) < dead
        flawed = {flaw.kind for fact in left.of(FlawsSeen) for flaw in fact.flaws}
        assert flawed == {FlawKind.DEAD}
        assert len(left.of(FlawsSeen)) == 40 - 2 * 10
        assert await audited(world)


@pytest.mark.req("S0-19")
async def test_a_live_feed_calls_every_safety_function_that_is_for_it(tmp_path, monkeypatch):
    accidents = {at: [set_(corrupt_next_book=True)] for at in range(70, 700, 90)}
    accidents |= {at: [mute(TRADES)] for at in range(100, 700, 90)}
    accidents |= {at: [mute()] for at in range(112, 700, 90)}
    async with a_world(tmp_path, monkeypatch) as world:
        with calls_noted() as called:
            await world.traded(12, accidents)
    names = {name for name, code in safety_functions() if code in called}
    assert ONLY_LIVE.keys() <= names

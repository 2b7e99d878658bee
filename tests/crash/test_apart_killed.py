"""kill -9 of a daemon at every moment of its journal and its wire; its exchange goes on without it.

Each life of the daemon ends at a moment that none has ended at before (`tests.mortal`); the next
finds what the last has left, and has to come to the same books as the exchange.
"""

import asyncio
import random
import signal
from collections import Counter
from datetime import timedelta

import pytest

from execution.order import Outcome, Submitted, Submitting
from execution.protection import NakedSeen
from execution.venue import OrderChanged
from risk.intent import Purpose
from sextant.facts import RunStarted
from tests.builders_apart import Lives, apart, apart_flaws, naked_spans
from tests.builders_daemon import CARE, EAGER
from tests.builders_postgres import (  # noqa: F401 - fixtures
    a_database,
    postgres,
    postgres_server,
    server_folder,
)

pytestmark = pytest.mark.xdist_group("daemon")

SPEED = 120.0
LONGEST = 30  # seconds of a life
AT_ONCE = timedelta(milliseconds=1)  # instants of one act of the exchange are microseconds apart
SAMPLE = 6  # moments in `make test`
AT_EACH = 70  # moments of a history
# Half a minute of a machine's time: how long a life takes to see a position and to send its stop.
PATIENT = EAGER + CARE + '    deadline = "PT1H"\n'
OWN_STOPS = "attach_stops = false\n"
HISTORIES = {
    "attached-stops": {},
    "own-stops": {"venue": OWN_STOPS, "text": PATIENT},
    "bad-line": {"faults": ("refused=0.1", "lost=0.1", "unanswered=0.2", "dropped=0.1")},
}
EXITS = (Purpose.EXIT, Purpose.MAX_AGE, Purpose.TAKE_PROFIT)
# What the sample of `make test` draws from: moments at which something is on its way.
ON_THE_WAY = [
    f"{what} {nth}"
    for what in (
        "record order_intent:entry after",
        "record execution after",
        "record order:open after",
        "record fill after",
        "record cancel after",
        "record risk_state after",
        "record order_intent:exit after",
        "request AddOrder:entry before",
        "request AddOrder:entry after",
        "request AddOrder:exit before",
        "request AddOrder:exit after",
        "request CancelOrder before",
        "request CancelOrder after",
    )
    for nth in (1, 2)
]


async def lived(lives, pair, bars=40):
    """A last life that ends by itself, and its audit; what all of them left.

    The exchange is killed too, and behaves from then on: an answer that is lost at the end is open.
    """
    pair.exchange.kill()
    pair.exchange.faults = ()
    await asyncio.to_thread(pair.exchange.start)
    ended = await asyncio.to_thread(lives.last, bars=bars)
    assert ended == 0, lives.said
    return await asyncio.to_thread(pair.daemon.audited), await pair.left()


async def died_at_each(lives, count):
    """Lives until they have ended at so many moments, each at one of its own."""
    cap = 1
    while len(lives.done) < count:
        code = await asyncio.to_thread(lives.one, cap=cap, longest=LONGEST)
        assert code in (-signal.SIGKILL, -signal.SIGALRM), lives.said
        cap += code == -signal.SIGALRM  # no such moment was left


def left_in_flight(left):
    """How many lives ended while orders of each purpose were under way, or a stop stood."""
    found, under_way = Counter(), {}
    for fact in left.facts:
        match fact:
            case RunStarted():
                found.update(set(under_way.values()))
            case Submitting():
                under_way[fact.order.client_order_id] = fact.order.purpose
            case Submitted() if fact.outcome not in (Outcome.ACCEPTED, Outcome.UNKNOWN):
                under_way.pop(fact.client_order_id, None)
            case OrderChanged() if fact.order.status.is_final:
                under_way.pop(fact.order.client_order_id, None)
            case OrderChanged() if fact.order.trigger is not None:
                under_way[fact.order.client_order_id] = Purpose.PROTECTION
    return found


def require_sound(audited, left):
    assert audited.code == 0, audited.said
    assert apart_flaws(left) == []


def require_covered_at_once(left):
    """Stops that entries take along stand there at once, whoever is dead; nor is one ever gone.

    One may be there for too long: `naked_too_long` bounds what it opens then.
    """
    spans = [naked for naked in naked_spans(left) if not naked.by_leftover]
    assert [naked for naked in spans if naked.lasted > AT_ONCE] == []


@pytest.mark.req("S1-76", "S1-153")
async def test_a_sample_of_kills_loses_and_repeats_nothing(server_folder, postgres, monkeypatch):  # noqa: F811
    monkeypatch.setenv("SEXTANT_DATABASE_URL", postgres)
    wanted = random.Random(5).sample(ON_THE_WAY, 12)
    with apart(server_folder, postgres, speed=SPEED) as pair, Lives(pair) as lives:
        while len(lives.done) < SAMPLE:
            code = await asyncio.to_thread(lives.one, at=wanted, longest=LONGEST)
            assert code in (-signal.SIGKILL, -signal.SIGALRM), (lives.done, lives.said)
        audited, left = await lived(lives, pair)
    require_sound(audited, left)
    require_covered_at_once(left)


# A position waits longer for its stop than any life lasts from its first look to its third.
IMPATIENT = (
    EAGER
    + """
    [protection]
    patience = "PT4M"
    deadline = "PT30M"
"""
)
MOST_LIVES = 12


def waits(left):
    """Since when positions were naked, as on record: of each run that it began and ended in."""
    run, begun, found = 0, {}, []
    for fact in left.facts:
        match fact:
            case RunStarted():
                run += 1
            case NakedSeen(is_naked=True):
                assert fact.symbol not in begun, f"a wait begins anew: {fact}"
                begun[fact.symbol] = run
            case NakedSeen():
                found.append((begun.pop(fact.symbol), run))
    return found


@pytest.mark.req("S0-26", "S1-76")
async def test_lives_too_short_to_wait_place_the_stop_all_the_same(
    server_folder,  # noqa: F811
    postgres,  # noqa: F811
    monkeypatch,
):
    monkeypatch.setenv("SEXTANT_DATABASE_URL", postgres)
    with (
        apart(server_folder, postgres, IMPATIENT, speed=60, venue=OWN_STOPS) as pair,
        Lives(pair) as lives,
    ):
        while not any(ended > began for began, ended in waits(await pair.left())):
            assert len(lives.done) < MOST_LIVES, waits(await pair.left())
            at = ["record watch after 3"]
            await asyncio.to_thread(lives.one, at=at, longest=LONGEST, again=True)
        require_sound(*await lived(lives, pair, bars=10))


@pytest.mark.soak
@pytest.mark.req("S1-76", "S1-153")
@pytest.mark.timeout(7200)
async def test_kills_at_every_moment_lose_and_repeat_nothing(
    server_folder,  # noqa: F811
    postgres_server,  # noqa: F811
    monkeypatch,
    capsys,
):
    """Each history in a database and at an exchange of its own, so that none falls far behind."""
    moments, in_flight = set(), Counter()
    for name, changes in HISTORIES.items():
        folder = server_folder / name
        folder.mkdir()
        async with a_database(postgres_server) as dsn:
            monkeypatch.setenv("SEXTANT_DATABASE_URL", dsn)
            with apart(folder, dsn, speed=SPEED, **changes) as pair, Lives(pair) as lives:
                await died_at_each(lives, AT_EACH)
                audited, left = await lived(lives, pair)
                done = lives.done
        in_flight += left_in_flight(left)
        moments |= {(name, moment) for moment in done}
        with capsys.disabled():
            longest = max((naked.lasted for naked in naked_spans(left)), default=None)
            print(f"\n{name}: {len(done)} kills, {len(left.facts)} records, naked {longest}")
        require_sound(audited, left)
        if name == "attached-stops":
            require_covered_at_once(left)
    with capsys.disabled():
        print(f"{len(moments)} moments; in flight: {dict(in_flight)}")
    assert len(moments) >= 210
    assert in_flight[Purpose.ENTRY] > 10
    assert in_flight[Purpose.PROTECTION] > 10
    assert sum(in_flight[purpose] for purpose in EXITS) > 5

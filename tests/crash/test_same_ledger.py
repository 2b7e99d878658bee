"""kill -9 at every record and every request comes to the ledger of the run without the kill.

Same orders under the same client order ids, same fills at the same prices, same positions, same
balances to the last digit: see `tests.builders_held_ledger` for the two differences that are
allowed, and `tests.builders_held` for a market that stands still while we are dead.
"""

import random
from collections import Counter
from datetime import timedelta

import ccxt
import pytest

from data.instrument import Side
from execution.order import Outcome
from execution.outbox import Outbox
from execution.protection import Protection
from tests.builders_held import Fate, HeldDiary, act, live_through
from tests.builders_held_ledger import converged, moments_of
from tests.builders_venue import BTC

HISTORIES = (True, False)  # whether the venue attaches stops to entries
SAMPLE = 12  # of the moments of each history, in `make test`
TWICE = 60  # in `make soak`: pairs of moments of each history
IN_FLIGHT = (  # moments that the sample has some of, whatever the seed draws
    "request AddOrder:entry before",
    "request AddOrder:entry after",
    "request AddOrder:exit before",
    "request AddOrder:exit after",
    "request AddOrder:stop before",
    "request AddOrder:stop after",
    "request CancelOrder after",
    "record order_intent",
    "record fill",
)


def sampled(attach, seed=5):
    """Some of what is in flight, and some of all."""
    rng, moments = random.Random(seed), moments_of(attach=attach)
    chosen = set(rng.sample(range(len(moments)), SAMPLE - len(IN_FLIGHT)))
    for kind in IN_FLIGHT:
        chosen.add(rng.choice([n for n, moment in enumerate(moments) if moment == kind]))
    return sorted(chosen)


def killed_at(attach, *moments):
    return live_through(Fate(attach=attach, dies_at=moments))


@pytest.mark.req("S1-76", "S1-153")
@pytest.mark.parametrize("attach", HISTORIES)
@pytest.mark.timeout(600)
def test_a_sample_of_kills_comes_to_the_same_ledger(attach):
    for moment in sampled(attach):
        converged(killed_at(attach, moment))


@pytest.mark.soak
@pytest.mark.req("S1-76", "S1-153")
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("attach", HISTORIES)
def test_a_kill_at_every_moment_comes_to_the_same_ledger(attach, capsys):
    moments, words, longest = moments_of(attach=attach), Counter(), timedelta(0)
    for n in range(len(moments)):
        world = killed_at(attach, n)
        assert world.deaths, f"nobody died at {n}: {moments[n]}"
        words[converged(world).word] += 1
        longest = max([longest, *(span.lasted for span in world.spans)])
    with capsys.disabled():
        print(f"\nattach={attach}: {len(moments)} moments, {dict(words)}, naked {longest}")
    assert len(moments) > 200
    assert words["same ids"] > len(moments) * 0.8
    assert words["lacks the entry that died"] > 5


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("attach", HISTORIES)
def test_two_kills_in_one_story_come_to_the_same_ledger(attach, capsys):
    """The second soon after the first, while it is being recovered from."""
    rng, words = random.Random(11), Counter()
    for _ in range(TWICE):
        first = rng.randrange(len(moments_of(attach=attach)))
        words[converged(killed_at(attach, first, first + rng.randint(1, 40))).word] += 1
    with capsys.disabled():
        print(f"\nattach={attach}: {TWICE} pairs, {dict(words)}")


# A position that gets no stop, and a daemon that gets no rest

STRAINED = (act(10, "enter", "A", BTC, Side.BUY, "0.04", "39200", "45000", None),)
ONE_LIFE = pytest.param(None, id="one life")


def lives_of(*seconds):
    return [pytest.param(timedelta(seconds=s), id=f"lives of {s} s") for s in seconds]


def strained(lasts, answer):
    """No stop ever gets there, and each life ends soon."""
    return live_through(
        Fate(
            attach=False,
            script=STRAINED,
            ends=200,
            lasts=lasts,
            fails={"AddOrder:stop": answer},
        )
    )


@pytest.mark.req("S0-26")
@pytest.mark.parametrize("lasts", [ONE_LIFE, *lives_of(5, 20, 100)])
def test_however_short_its_lives_what_gets_no_stop_is_closed_at_the_deadline(lasts):
    world = strained(lasts, ccxt.PermissionDenied)
    (span,) = world.spans
    assert span.lasted == world.settings.protection.deadline
    assert not world.held(BTC)


@pytest.mark.parametrize("lasts", [ONE_LIFE, *lives_of(20, 30, 100)])
def test_a_stop_without_an_answer_holds_the_close_up_no_longer_than_it_may_be_lost(lasts):
    world = strained(lasts, ccxt.RequestTimeout)
    (span,) = world.spans
    settings = world.settings
    assert span.lasted <= settings.protection.deadline + settings.engine.lost_after
    assert not world.held(BTC)


# Whoever breaks a promise is found out


def assumes_that_it_never_arrived(monkeypatch):
    async def not_at_all(outbox, *, at_once=False):
        for client_order_id in tuple(outbox._unknown):
            order = outbox._books.blotter.find(client_order_id)
            outbox._give(order, Outcome.UNAVAILABLE, "surely not", outbox._clock.now())
            del outbox._unknown[client_order_id]

    monkeypatch.setattr(Outbox, "ask_unanswered", not_at_all)


def writes_nothing_before_it_sends(monkeypatch):
    async def later(diary):
        pass

    monkeypatch.setattr(HeldDiary, "flush", later)


def forgets_since_when(monkeypatch):
    begin = Protection.__init__

    def begun(protection, instruments, settings, *, amends, write, seen=()):
        begin(protection, instruments, settings, amends=amends, write=write)

    monkeypatch.setattr(Protection, "__init__", begun)


@pytest.mark.parametrize(
    ("breaks", "moment", "said"),
    [
        pytest.param(
            assumes_that_it_never_arrived,
            "request AddOrder:stop after",
            "nobody asked for",
            id="an order twice",
        ),
        pytest.param(
            writes_nothing_before_it_sends,
            "request AddOrder:entry after",
            "DifferenceKind.BALANCE",
            id="an order without a record",
        ),
    ],
)
def test_whoever_doubles_or_loses_an_order_is_found_out(breaks, moment, said, monkeypatch):
    nth = moments_of(attach=False).index(moment)
    converged(killed_at(False, nth))
    breaks(monkeypatch)
    with pytest.raises(AssertionError, match=said):
        converged(killed_at(False, nth))


def test_whoever_forgets_since_when_is_found_out(monkeypatch):
    forgets_since_when(monkeypatch)
    world = strained(timedelta(seconds=20), ccxt.PermissionDenied)
    (span,) = world.spans
    assert span.lasted == timedelta(seconds=190)
    assert world.held(BTC)

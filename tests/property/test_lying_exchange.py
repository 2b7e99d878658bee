"""The house at an exchange that lies, over the real wire protocol: what must hold all the same.

No order twice, none without approval and record; no fill lost or booked twice, fees and charges
included; no position without its stop for longer than it may be; what is not ours left alone; no
entry while unreconciled or halted; the kill switch done only when the exchange holds nothing of
ours. What happens follows from a seed, which every failure names: see tests/builders_lies.py.
"""

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from data.instrument import Side
from execution import reconcile
from execution.engine import Engine
from execution.order import Outcome
from execution.protection import Protection
from execution.venue import OutcomeUnknown
from execution.venues.ccxt_venue import CcxtVenue
from sextant.book import Book
from sextant.rehearsal.faults import Accident
from tests.builders_lies import failure_of, in_words, live_through
from tests.builders_lies_life import Diary
from tests.builders_lies_script import Script, Step, script_of
from tests.builders_venue import BTC, XRP

WITHOUT_SHRINKING = (Phase.reuse, Phase.generate)  # half a seed is another story


@pytest.mark.req("S0-21", "S1-131", "S1-132", "S1-137", "S1-97")
@pytest.mark.timeout(600)
@given(seed=st.integers(0, 2**32))
@settings(max_examples=6, deadline=None, phases=WITHOUT_SHRINKING)
def test_whatever_it_says_our_books_come_to_be_its_own(seed):
    live_through(script_of(seed, 45))


@pytest.mark.soak
@pytest.mark.parametrize("block", range(20))
def test_whatever_it_says_for_long_our_books_come_to_be_its_own(block):
    for seed in range(block * 10, block * 10 + 10):
        live_through(script_of(seed, 200))


def test_the_same_seed_is_the_same_story():
    one, other = (live_through(script_of(3, 25)) for _ in range(2))
    assert one.story.lines == other.story.lines
    assert len(one.exchange.orders) > len(one.foreign)


def a_script(*steps, attach=True, patient=False):
    """Steps of a name, arguments and a wait each, at an exchange that counts no requests."""
    return Script(
        seed=1,
        attach=attach,
        tier=False,
        spot=False,
        patient=patient,
        steps=tuple(Step(name=name, args=tuple(args), wait=wait) for name, *args, wait in steps),
    )


def an_entry(*, accident=None, symbol=XRP, wait=7.0):
    return ("enter", symbol, Side.BUY, "market", 1, 0.02, accident, wait)


@pytest.mark.parametrize(
    ("script", "orders"),
    [
        pytest.param(
            a_script(("misbehave", "gives out dead tokens", "all", 1, 60.0), ("hang_up", 60.0)),
            0,
            id="it gives out tokens that are dead",
        ),
        pytest.param(
            a_script(an_entry(accident=Accident.LATE, wait=200.0), patient=True),
            1,
            id="an order arrives when its answer is given up",
        ),
        pytest.param(
            a_script(an_entry(accident=Accident.DROP_ANSWER), an_entry(symbol=BTC), patient=True),
            2,
            id="it takes an order and hangs up",
        ),
        pytest.param(
            a_script(an_entry(), ("restart_exchange", 20.0, 35.0), an_entry(symbol=BTC)),
            2,
            id="it comes back with what it kept",
        ),
        pytest.param(
            a_script(("enter_and_crash", XRP, Side.BUY, 0.011, 1.0, 35.0)),
            1,
            id="we are killed before the answer",
        ),
    ],
)
def test_a_story_ends_well(script, orders):
    world = live_through(script)
    assert sum(world.arrived.values()) == orders
    assert all(world.held(symbol) >= 0 for symbol in (BTC, XRP))


# Whoever breaks a promise is found out


async def outcome_without_asking(engine, approved):
    try:
        await engine.venue.submit(approved)
    except OutcomeUnknown as error:
        return Outcome.UNAVAILABLE, str(error)
    return Outcome.ACCEPTED, ""


async def never_there(venue, client_order_id):
    return False


async def only_says_so(diary):
    pass


def sends_again_unasked(monkeypatch):
    monkeypatch.setattr(Engine, "_outcome", outcome_without_asking)
    monkeypatch.setattr(CcxtVenue, "_is_there", never_there)


def asks_for_no_stops(monkeypatch):
    monkeypatch.setattr(Protection, "review", lambda *_, **__: ())


def keeps_nothing(monkeypatch):
    monkeypatch.setattr(Diary, "flush", only_says_so)


def believes_itself_flat(monkeypatch):
    monkeypatch.setattr(Book, "_still_open", lambda *_: ())
    monkeypatch.setattr(Book, "_doubts", lambda *_: ())


def takes_every_answer_for_agreement(monkeypatch):
    monkeypatch.setattr(reconcile, "compare_balances", lambda *_: [])
    monkeypatch.setattr(reconcile, "_open_questions", lambda *_: [])


@pytest.mark.parametrize(
    ("breaks", "script", "said"),
    [
        pytest.param(
            sends_again_unasked,
            a_script(an_entry(accident=Accident.DROP_ANSWER, wait=35.0)),
            "placed twice",
            id="an order twice",
        ),
        pytest.param(
            asks_for_no_stops,
            a_script(an_entry(wait=400.0), attach=False),
            "naked",
            id="a position without its stop",
        ),
        pytest.param(
            keeps_nothing, a_script(an_entry()), "not on record", id="an order without a record"
        ),
        pytest.param(
            believes_itself_flat,
            a_script(
                an_entry(), ("misbehave", "loses requests", "trading", 1, 0.0), ("flatten", 35.0)
            ),
            "said to be flat",
            id="flat in our own opinion",
        ),
        pytest.param(
            takes_every_answer_for_agreement,
            a_script(an_entry(accident=Accident.DROP_REQUEST, wait=200.0), patient=True),
            "reconciled with",
            id="reconciled in our own opinion",
        ),
    ],
)
def test_a_broken_promise_is_found_out(breaks, script, said, monkeypatch):
    live_through(script)
    breaks(monkeypatch)
    failure = failure_of(script)
    assert failure is not None
    assert said in "\n".join([in_words(failure), *failure.__notes__])

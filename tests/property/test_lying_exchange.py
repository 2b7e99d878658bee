"""The house at exchanges that lie, over the real wire protocols: what must hold all the same.

No order twice, none without approval and record; no fill lost or booked twice, fees and charges
included; no position without its stop for longer than it may be; what is not ours left alone; no
entry while unreconciled or halted; the kill switch done only when the exchange holds nothing of
ours. What happens follows from a seed, which every failure names: see tests/builders_lies.py.
"""

import itertools
import uuid
from collections import Counter
from dataclasses import replace
from functools import partial

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from data.instrument import Side
from execution import reconcile
from execution.order import Outcome
from execution.outbox import Outbox
from execution.protection import Protection
from execution.venue import OutcomeUnknown
from execution.venues import binance_exchange, binance_orders, hyperliquid_exchange
from execution.venues.binance_exchange import BinanceExchange
from execution.venues.ccxt_venue import CcxtVenue
from execution.venues.hyperliquid_exchange import HyperliquidExchange
from execution.venues.kraken_exchange import KrakenExchange
from risk.intent import Purpose
from sextant.latches import Latches
from sextant.rehearsal.faults import Accident
from tests.builders_lies import failure_of, in_words, live_through
from tests.builders_lies_life import Diary
from tests.builders_lies_script import PLACES, Script, Step, script_of
from tests.builders_venue import BTC, XRP

WITHOUT_SHRINKING = (Phase.reuse, Phase.generate)  # half a seed is another story


PERPETUALS = ["binance", "hyperliquid"]
VENUES = ["kraken", *PERPETUALS]


@pytest.mark.req("S0-21", "S1-131", "S1-132", "S1-137", "S1-97")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("venue", VENUES)
@given(seed=st.integers(0, 2**32))
@settings(max_examples=5, deadline=None, phases=WITHOUT_SHRINKING)
def test_whatever_it_says_our_books_come_to_be_its_own(venue, seed):
    live_through(script_of(seed, 45, venue))


@pytest.mark.soak
@pytest.mark.parametrize("venue", VENUES)
@pytest.mark.parametrize("block", range(20))
def test_whatever_it_says_for_long_our_books_come_to_be_its_own(block, venue):
    for seed in range(block * 10, block * 10 + 10):
        live_through(script_of(seed, 200, venue))


@pytest.mark.parametrize("venue", VENUES)
def test_the_same_seed_is_the_same_story(venue):
    one, other = (live_through(script_of(3, 25, venue)) for _ in range(2))
    assert one.story.lines == other.story.lines
    assert one.arrived


@pytest.mark.parametrize("venue", VENUES)
def test_a_failure_names_the_command_that_tells_it_again(venue, monkeypatch):
    """What is found in a story that is drawn from its seed is found in the one of the command."""
    monkeypatch.setattr(Diary, "flush", only_says_so)
    script = script_of(3, 25, venue)
    failure = failure_of(script)
    replay = next(note for note in failure.__notes__ if note.startswith("replay:"))
    *_, seed, _, steps, _, named = replay.split()
    assert script_of(int(seed), int(steps), named) == script
    again = failure_of(script_of(int(seed), int(steps), named))
    assert again.__notes__ == failure.__notes__


def a_script(*steps, attach=True, patient=False, venue="kraken", foreign=True):
    """Steps of a name, arguments and a wait each, at an exchange that counts no requests."""
    return Script(
        seed=1,
        attach=attach,
        tier=False,
        spot=False,
        patient=patient,
        steps=tuple(Step(name=name, args=tuple(args), wait=wait) for name, *args, wait in steps),
        venue=venue,
        foreign=foreign,
    )


def an_entry(*, accident=None, symbol=XRP, wait=7.0, how="market"):
    return ("enter", symbol, Side.BUY, how, 1, 0.02, accident, wait)


def entries(venue):
    """Into the second market of an exchange, and into the first."""
    first, second = PLACES[venue].symbols
    return partial(an_entry, symbol=second), partial(an_entry, symbol=first)


def endings(venue):
    """Scripts for one exchange, and how many entries and stops of ours arrive in each."""
    enter, enter_other = entries(venue)
    _, second = PLACES[venue].symbols
    write = partial(a_script, venue=venue)
    placing = "POST order" if venue == "binance" else "exchange"
    soon = 0.011 if venue == "binance" else 0.036  # Hyperliquid is asked for much before
    dead = [("misbehave", "gives out dead tokens", "all", 1, 60.0), ("hang_up", 60.0)]
    named = {
        "it gives out tokens that are dead": (write(*dead), 0),
        "an order arrives when its answer is given up": (
            write(enter(accident=Accident.LATE, wait=200.0), patient=True), 1,
        ),
        "it takes an order and hangs up": (
            write(enter(accident=Accident.DROP_ANSWER), enter_other(), patient=True), 2,
        ),
        "it comes back with what it kept": (
            write(enter(), ("restart_exchange", 20.0, 35.0), enter_other()), 2,
        ),
        "we are killed before the answer": (
            write(("enter_and_crash", second, Side.BUY, soon, 1.0, 35.0)), 1,
        ),
        "it asks for so much patience that the entry is too old": (
            write(enter(accident=Accident.REFUSE_429, wait=200.0)), int(venue != "binance"),
        ),
        "it is overloaded": (
            write(enter(accident=Accident.BUSY, wait=200.0)), int(venue == "binance"),
        ),
        "it fills the stop while we are away": (
            write(enter(), ("cut_off", 3.0, 0.0), ("set_off", 0, 5, 35.0)), 1,
        ),
        "its key has expired": (write(enter(), ("expire_tokens", 7.0), enter_other()), 2),
        "its history of one market is late": (
            write(("lag", second, 50, 0.0), enter(), enter_other(), ("behave", 60.0)), 2,
        ),
        "its history of one market is late, and we are killed before it is told": (
            write(
                ("fall_silent", True, 105.0), ("lag", second, 50, 0.0), enter(wait=1.5),
                enter_other(wait=25.0), ("crash", 60.0, 0.0), ("fall_silent", False, 35.0),
            ),
            2,
        ),
        "it tells a fill before it knows its order": (
            write(
                ("fall_silent", venue == "binance", 0.0),  # whose stream names the order
                ("lag_orders", second, 1.0, 0.0),
                enter(accident=Accident.DROP_ANSWER, wait=35.0),
                ("fall_silent", False, 35.0),
            ),
            1,
        ),
        "funding is paid while we are down": (
            write(enter(), ("crash", 15.0, 0.0), ("fund", second, 3, 35.0)), 1,
        ),
        "an action is lost again and again": (
            write(("mishap", placing, Accident.DROP_REQUEST, 5, 0.0), enter(wait=400.0)), 0,
        ),
    }  # fmt: skip
    return [pytest.param(*it, id=f"{venue}: {name}") for name, it in named.items()]


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
        *(each for venue in PERPETUALS for each in endings(venue)),
    ],
)
def test_a_story_ends_well(script, orders):
    world = live_through(script)
    asked = [world.approved[name].intent for name in world.arrived]
    assert sum(intent.purpose is Purpose.ENTRY for intent in asked) == orders
    assert all(world.there.held(symbol) >= 0 for symbol in world.there.place.symbols)


@pytest.mark.parametrize(
    ("venue", "status"),
    [
        pytest.param("binance", "EXPIRED", id="binance ends it"),
        pytest.param("hyperliquid", "scheduledCancel", id="hyperliquid's switch goes off"),
    ],
)
def test_what_rests_does_not_outlive_us(venue, status):
    """An entry rests, we are killed, and come back when the exchange has ended it."""
    enter, _ = entries(venue)
    script = a_script(
        enter(how="near"), ("crash", 1_000.0, 35.0), venue=venue, foreign=venue == "binance"
    )
    world = live_through(script)
    assert sum(world.arrived.values()) == 1
    assert any(f"there: {status} " in line for line in world.story.lines)


# Whoever breaks a promise is found out


async def outcome_without_asking(outbox, approved):
    try:
        await outbox._venue.submit(approved)
    except OutcomeUnknown as error:
        return Outcome.UNAVAILABLE, str(error)
    return Outcome.ACCEPTED, ""


async def never_there(venue, client_order_id):
    return False


async def only_says_so(diary):
    pass


def sends_again_unasked(monkeypatch):
    monkeypatch.setattr(Outbox, "_outcome", outcome_without_asking)
    monkeypatch.setattr(CcxtVenue, "_is_there", never_there)
    monkeypatch.setattr(HyperliquidExchange, "_is_there", never_there)


def asks_for_no_stops(monkeypatch):
    monkeypatch.setattr(Protection, "review", lambda *_, **__: ())


def keeps_nothing(monkeypatch):
    monkeypatch.setattr(Diary, "flush", only_says_so)


def believes_itself_flat(monkeypatch):
    monkeypatch.setattr(Latches, "_still_open", lambda *_: ())
    monkeypatch.setattr(Latches, "_doubts", lambda *_: ())


def takes_every_answer_for_agreement(monkeypatch):
    monkeypatch.setattr(reconcile, "compare_balances", lambda *_: [])
    monkeypatch.setattr(reconcile, "_open_questions", lambda *_: [])


def names_retries_anew(monkeypatch):
    """Whatever is sent once more goes out under another client order id."""
    for exchange in (BinanceExchange, HyperliquidExchange, KrakenExchange):
        monkeypatch.setattr(exchange, "place", placing_anew(exchange.place))


def placing_anew(place):
    sent = Counter()

    async def placed(self, order, **options):
        name = order.client_order_id
        sent[name] += 1
        if sent[name] > 1:
            order = replace(order, client_order_id=str(uuid.uuid5(uuid.UUID(name), "again")))
        return await place(self, order, **options)

    return placed


def takes_each_telling_for_a_fill(monkeypatch):
    """What a fill is called by the exchange counts for nothing."""
    numbers = itertools.count()

    def as_if_new(made):
        def fill_of(*args, **options):
            fill = made(*args, **options)
            return fill and replace(fill, fill_id=f"{fill.fill_id}-{next(numbers)}")

        return fill_of

    for module, name in FILLS:
        monkeypatch.setattr(module, name, as_if_new(getattr(module, name)))


FILLS = [
    (binance_orders, "fill_of_update"),
    (binance_exchange, "fill_of_row"),
    (hyperliquid_exchange, "fill_of_row"),
]


def broken(venue):
    """Who breaks which promise there, in which story, and what is found."""
    enter, _ = entries(venue)
    write = partial(a_script, venue=venue)
    placing = "POST order" if venue == "binance" else "exchange"
    refused = Accident.BUSY if venue == "binance" else Accident.REFUSE_429
    lost = enter(accident=Accident.DROP_ANSWER, wait=35.0)
    named = {
        "an order twice": (sends_again_unasked, write(lost), "placed twice"),
        "an order under two names": (
            names_retries_anew,
            write(enter(accident=refused, wait=100.0)),
            "never approved",
        ),
        "a fill twice": (
            takes_each_telling_for_a_fill, write(enter(wait=60.0)), "never filled there",
        ),
        "a position without its stop": (
            asks_for_no_stops, write(enter(wait=400.0)), "naked",
        ),
        "an order without a record": (keeps_nothing, write(enter()), "not on record"),
        "flat in our own opinion": (
            believes_itself_flat,
            write(
                enter(),
                ("mishap", placing, Accident.DROP_REQUEST, 5, 0.0),
                ("flatten", 35.0),
            ),
            "said to be flat",
        ),
        "reconciled in our own opinion": (
            takes_every_answer_for_agreement,
            write(enter(accident=Accident.DROP_REQUEST, wait=200.0), patient=True),
            "reconciled with",
        ),
    }  # fmt: skip
    return [pytest.param(*it, id=f"{venue}: {name}") for name, it in named.items()]


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
        *(each for venue in PERPETUALS for each in broken(venue)),
    ],
)
def test_a_broken_promise_is_found_out(breaks, script, said, monkeypatch):
    live_through(script)
    breaks(monkeypatch)
    failure = failure_of(script)
    assert failure is not None
    assert said in "\n".join([in_words(failure), *failure.__notes__])

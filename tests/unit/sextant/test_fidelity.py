"""Recordings whose truth is known by hand: how they are read, and what the rules score on them."""

import json
from datetime import timedelta
from decimal import Decimal

import pytest
from rich.console import Console

from data.faults import Malformed
from data.instrument import Side
from data.order_book import OrderBook
from data.trade import Trade
from sextant.fidelity.command import Wanted, run_fidelity
from sextant.fidelity.frames import NothingRecorded, read_tape
from sextant.fidelity.outcome import Outcome, filled_share, slippage_bps
from sextant.fidelity.probes import Placement, Plan, Probe, TooShort, limit_probes, market_probes
from sextant.fidelity.reality import limit_reality, market_reality
from sextant.fidelity.rules import BarRule, BookRule, LastPriceRule, TouchRule
from sextant.fidelity.tape import Tape
from tests.builders_fidelity import (
    MILLISECOND,
    a_book,
    a_print,
    after,
    book_terms,
    depth_line,
    levels,
    paper_terms,
    recorded_line,
    snapshot_line,
    ticker_line,
    trade_line,
)
from tests.builders_venue import BTC

BIDS, ASKS = "100 5, 99 5, 98 5", "101 5, 102 5, 103 5"
SECOND = timedelta(seconds=1)


def written(folder, lines, name="btc.jsonl"):
    path = folder / name
    path.write_text("".join(lines))
    return path


def quiet_market(seconds):
    """The same book ten times a second, and each second a sale of 0.1 to the best bid."""
    lines = [depth_line(1, 5, "", "", at=0), snapshot_line(5, BIDS, ASKS, at=50)]
    for tenth in range(1, seconds * 10):
        lines.append(depth_line(5 + tenth, 5 + tenth, "100 5", "101 5", at=100 * tenth))
        if tenth % 10 == 5:
            lines.append(trade_line(tenth, "sell", "100", "0.1", at=100 * tenth + 30))
    return lines


# -- what came of an order


def a_tape(*events, feed=None):
    return Tape(venue="test", symbol=BTC, truth=events, feed=feed or events)


def a_probe(side, quantity, limit=None, *, latency=100):
    return Probe(
        group="test",
        at=after(0),
        side=Side(side),
        quantity=Decimal(quantity),
        limit=Decimal(limit) if limit else None,
        latency=latency * MILLISECOND,
        mid=Decimal("100.5"),
    )


def a_plan(**changes):
    usual = {
        "seed": 7,
        "each": 20,
        "sizes": (Decimal("0.1"), Decimal(1)),
        "share": Decimal("0.1"),
        "latency": 100 * MILLISECOND,
        "latency_spread": 2.0,
        "lifetime": SECOND,
        "warm_up": timedelta(0),
    }
    return Plan(**usual | changes)


def outcome(text):
    return Outcome.of(levels(text))


def test_a_market_order_meets_the_first_book_after_its_real_arrival():
    tape = a_tape(
        a_book(BIDS, ASKS, at=0),
        a_book(BIDS, "104 1", at=100),
        a_book(BIDS, "105 1, 106 9", at=101),
    )
    assert market_reality(tape, a_probe("buy", "2")) == outcome("105 1, 106 1")


def test_where_the_recording_ends_nothing_is_known_to_fill():
    tape = a_tape(a_book(BIDS, ASKS, at=0))
    assert market_reality(tape, a_probe("buy", "2")) == outcome("")
    bounds = limit_reality(tape, a_probe("buy", "2", "100"), a_plan())
    assert (bounds.least, bounds.most) == (outcome(""), outcome(""))


@pytest.mark.parametrize(
    ("events", "least", "most"),
    [
        pytest.param([], "", "", id="nothing happens"),
        pytest.param([a_print("sell", "100", "7", at=300)], "100 2", "100 2", id="7 of 5 and 2"),
        pytest.param([a_print("sell", "100", "6", at=300)], "100 1", "100 1", id="a part"),
        pytest.param(
            [a_book("100 1, 99 5", ASKS, at=250), a_print("sell", "100", "2", at=300)],
            "",
            "100 1",
            id="whose were the four that left?",
        ),
        pytest.param([a_print("sell", "99", "9", at=300)], "100 2", "100 2", id="traded through"),
        pytest.param(
            [a_book("98 5", "99 1", at=300)], "", "100 1", id="offered at its price, not traded"
        ),
        pytest.param([a_print("sell", "99", "9", at=50)], "", "", id="before it arrives"),
        pytest.param([a_print("sell", "99", "9", at=1_101)], "", "", id="after it has left"),
        pytest.param([a_print("buy", "101", "9", at=300)], "", "", id="the other side's"),
    ],
)
def test_a_limit_order_is_filled_between_two_bounds(events, least, most):
    story = [a_book(BIDS, ASKS, at=0), a_book(BIDS, ASKS, at=200), *events]
    tape = a_tape(*sorted(story, key=lambda e: getattr(e, "at", None) or e.traded_at))
    bounds = limit_reality(tape, a_probe("buy", "2", "100"), a_plan())
    assert (bounds.least, bounds.most) == (outcome(least), outcome(most))


def test_between_two_books_of_an_arrival_the_bounds_take_the_longer_and_the_shorter_queue():
    tape = a_tape(
        a_book("100 1", ASKS, at=0),
        a_book("100 5", ASKS, at=200),
        a_print("sell", "100", "4", at=300),
    )
    bounds = limit_reality(tape, a_probe("buy", "2", "100"), a_plan())
    assert (bounds.least, bounds.most) == (outcome(""), outcome("100 2"))


def test_a_limit_order_may_take_when_it_arrives():
    tape = a_tape(a_book(BIDS, ASKS, at=0), a_book(BIDS, "99.5 1, 101 5", at=200))
    bounds = limit_reality(tape, a_probe("buy", "2", "100"), a_plan())
    assert bounds.least == bounds.most == outcome("99.5 1")


def test_a_market_order_has_no_bounds():
    with pytest.raises(ValueError, match="no bounds"):
        limit_reality(a_tape(a_book(BIDS, ASKS)), a_probe("buy", "2"), a_plan())


@pytest.mark.parametrize(
    ("side", "fills", "bps"),
    [
        pytest.param("buy", "101 1, 102 1", 100 / 100.5 * 100, id="bought above the mid"),
        pytest.param("sell", "100 1", 0.5 / 100.5 * 10_000, id="sold below it"),
        pytest.param("sell", "101 1", -0.5 / 100.5 * 10_000, id="sold above it"),
        pytest.param("sell", "", None, id="not at all"),
    ],
)
def test_slippage_is_what_it_was_worse_than_the_mid(side, fills, bps):
    found = slippage_bps(a_probe(side, "2"), outcome(fills))
    assert found == (None if bps is None else pytest.approx(bps))


def test_a_share_is_of_the_quantity_asked_for():
    assert filled_share(a_probe("buy", "4"), outcome("101 1, 102 2")) == 0.75


# -- what the rules say


def test_the_rules_are_told_the_feed_alone():
    """At 60 ms the best price was known to have moved; the feed told of it at 120."""
    told = (
        a_book(BIDS, ASKS, at=-10),
        a_print("buy", "101", "1", at=-5),
        a_book(BIDS, "103 5", at=120),
    )
    truth = (*told[:2], a_book(BIDS, "102 1, 103 5", at=60), told[2])
    tape, probe = a_tape(*truth, feed=told), a_probe("buy", "1", latency=50)
    book = BookRule(tape=tape, terms=paper_terms(), book_terms=book_terms(), lifetime=SECOND)
    assert book.market(probe) == outcome("101 1")
    assert TouchRule(tape=tape, lifetime=SECOND).market(probe) == outcome("101 1")
    assert LastPriceRule(tape=tape, lifetime=SECOND).market(probe) == outcome("101.101 1")
    assert market_reality(tape, probe) == outcome("102 1")


@pytest.mark.parametrize(
    ("events", "queue", "last", "touch"),
    [
        pytest.param([], "", "", "", id="nothing happens"),
        pytest.param(
            [a_print("sell", "100", "0.1", at=300)], "", "100 2", "100 2", id="a small sale at it"
        ),
        pytest.param([a_book("98 5", "100 1", at=300)], "", "", "100 2", id="an offer at it"),
        pytest.param(
            [a_print("sell", "100", "6", at=300)], "100 1", "100 2", "100 2", id="past the queue"
        ),
    ],
)
def test_simple_bots_fill_at_a_touch(events, queue, last, touch):
    tape = a_tape(a_book(BIDS, ASKS, at=0), a_book(BIDS, ASKS, at=200), *events)
    probe = a_probe("buy", "2", "100")
    book = BookRule(tape=tape, terms=paper_terms(), book_terms=book_terms(), lifetime=SECOND)
    assert book.limit(probe, probe.limit) == outcome(queue)
    assert LastPriceRule(tape=tape, lifetime=SECOND).limit(probe, probe.limit) == outcome(last)
    assert TouchRule(tape=tape, lifetime=SECOND).limit(probe, probe.limit) == outcome(touch)


def test_bars_say_nothing_of_a_minute_that_was_recorded_in_part():
    tape = a_tape(a_book(BIDS, ASKS, at=-1_000), a_print("sell", "100", "1", at=500))
    rule = BarRule(tape=tape, terms=paper_terms(), lifetime=SECOND)
    assert rule.market(a_probe("buy", "1")) is None


def test_bars_fill_at_their_price_and_costs():
    """A minute at 100, of which a tenth fills; then one at 110, which is not asked."""
    prints = [
        a_print("sell", price, quantity, at=at, trade_id=number)
        for number, (price, quantity, at) in enumerate(
            [("100", "1", -30_000), ("100", "50", 10), ("110", "50", 60_010)]
        )
    ]
    tape = a_tape(a_book(BIDS, ASKS, at=-40_000), *prints)
    rule = BarRule(tape=tape, terms=paper_terms(), lifetime=SECOND)
    bought = rule.market(a_probe("buy", "9"))
    assert bought.quantity == 5
    assert bought.value / bought.quantity >= Decimal("100.02")


# -- which probes are sent


def test_the_same_seed_sends_the_same_probes(tmp_path):
    tape = read_tape([written(tmp_path, quiet_market(30))], name=None, depth=20)
    once, again, other = (market_probes(tape, a_plan(seed=seed)) for seed in (1, 1, 2))
    assert once == again != other
    assert {probe.side for probe in once} == set(Side)
    assert [probe.quantity for probe in once[::20]] == [Decimal("1.5"), Decimal(15)]
    assert all(50 * MILLISECOND <= probe.latency <= 200 * MILLISECOND for probe in once)


@pytest.mark.parametrize(
    ("asks", "found"),
    [
        pytest.param("101 5, 102 5", {"at the touch": 100, "behind": 98}, id="no tick between"),
        pytest.param(
            "103 5, 104 5", {"inside": 101, "at the touch": 100, "behind": 98}, id="room for one"
        ),
    ],
)
def test_limits_are_placed_by_the_book_that_the_sender_has(asks, found):
    books = [a_book(BIDS, asks, at=1_000 * second) for second in range(10)]
    tape = a_tape(*books, a_print("sell", "100", "1", at=9_500))
    sent = limit_probes(tape, a_plan(each=8))
    assert {p.group: p.limit for p in sent if p.side is Side.BUY} == found
    assert all(probe.quantity == Decimal(1) for probe in sent)  # the lot


def test_a_recording_too_short_for_a_probe_is_refused():
    tape = a_tape(a_book(BIDS, ASKS, at=0), a_print("sell", "100", "1", at=900))
    with pytest.raises(TooShort, match="shorten"):
        market_probes(tape, a_plan())


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"each": 0}, id="no probes"),
        pytest.param({"latency_spread": 0.5}, id="a spread below one"),
        pytest.param({"sizes": (Decimal(0),)}, id="of nothing"),
    ],
)
def test_impossible_plans_are_refused(change):
    with pytest.raises(ValueError, match="no such probes"):
        a_plan(**change)


# -- how recordings are read


def test_best_prices_between_two_tellings_are_the_truth_and_not_told(tmp_path):
    lines = [
        depth_line(1, 5, "", "", at=0),
        snapshot_line(5, BIDS, ASKS, at=50),
        depth_line(6, 7, "100 4", "", at=100),
        ticker_line(8, "99 5", "101 3", at=120),
        ticker_line(6, "100 9", "101 9", at=125),  # older than what is known
        trade_line(1, "sell", "100", "4", at=130),
        trade_line(1, "sell", "100", "4", at=131),  # told twice
        depth_line(8, 9, "100 0", "101 3", at=200),
    ]
    tape = read_tape([written(tmp_path, lines)], name=None, depth=20)
    assert (tape.venue, tape.symbol) == ("binance", "BTC/USDT")
    assert (tape.feed.count(OrderBook), tape.feed.count(Trade)) == (2, 1)
    known = [event for event in tape.truth.events if isinstance(event, OrderBook)]
    assert [(b.bids[0], b.asks[0]) for b in known] == [
        (*levels("100 4"), *levels("101 5")),
        (*levels("99 5"), *levels("101 3")),
        (*levels("99 5"), *levels("101 3")),
    ]
    assert (tape.instrument.tick, tape.instrument.lot) == (1, 1)


def test_a_depth_that_is_older_than_the_best_prices_is_told_but_not_true(tmp_path):
    lines = [
        depth_line(1, 5, "", "", at=0),
        snapshot_line(5, BIDS, ASKS, at=50),
        ticker_line(9, "99 1", "101 5", at=90),
        depth_line(6, 7, "100 4", "", at=100),
        trade_line(1, "sell", "100", "4", at=130),
    ]
    tape = read_tape([written(tmp_path, lines)], name=None, depth=20)
    assert tape.feed.book_at(after(100)).bids[0] == levels("100 4")[0]
    assert tape.truth.book_at(after(100)).bids[0] == levels("99 1")[0]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        pytest.param(["\n", "configuration: {}\n"], "none", id="nothing that is a frame"),
        pytest.param([depth_line(1, 5, "", "", at=0)], "no whole order book", id="no snapshot"),
        pytest.param(
            [depth_line(1, 5, "", "", at=0), snapshot_line(5, BIDS, ASKS, at=1)],
            "or no trades",
            id="no trades",
        ),
        pytest.param(
            [
                depth_line(1, 5, "", "", at=0),
                recorded_line(
                    {"channel": "l2Book", "data": {"coin": "BTC", "time": 0, "levels": [[], []]}},
                    at=1,
                ),
            ],
            "more than one venue",
            id="two venues",
        ),
    ],
)
def test_what_cannot_be_played_is_refused(tmp_path, lines, said):
    with pytest.raises(NothingRecorded, match=said):
        read_tape([written(tmp_path, lines)], name=None, depth=20)


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        pytest.param(depth_line(9, 9, "100 4", "", at=300), "missing between", id="a gap"),
        pytest.param(
            trade_line(1, "sell", "much", "1", at=300), "unreadable", id="no number for a price"
        ),
        pytest.param("1772452800000000000 {half\n", "no JSON", id="half a frame"),
    ],
)
def test_a_damaged_recording_is_refused_and_says_where(tmp_path, broken, said):
    path = written(tmp_path, [*quiet_market(1)[:3], broken])
    with pytest.raises(Malformed, match=said):
        read_tape([path], name=None, depth=20)


# -- the scores


def wanted(path, **changes):
    usual = {
        "files": [path],
        "market": None,
        "terms": paper_terms(),
        "book_terms": book_terms(cancelled_ahead="0.5", settling=250),
        "seed": 7,
        "probes": 12,
        "latency_spread": 2.0,
        "lifetime": 10 * SECOND,
        "warm_up": SECOND,
    }
    return Wanted(**usual | changes)


def told(path, **changes):
    with Console(width=80, record=True, file=None, quiet=True) as console:
        return run_fidelity(wanted(path, **changes), as_json=False, console=console)


def test_in_a_market_that_stands_still_the_truth_is_known_by_hand(tmp_path):
    found = told(written(tmp_path, quiet_market(60)))
    half = 0.5 / 100.5 * 10_000  # from the mid to the best price
    whole = 1.5 / 100.5 * 10_000  # to the mean of three levels
    book = {s.group: s for s in found.market if s.rule == "book and queue"}
    assert [(g, s.realised_bps) for g, s in book.items()] == [
        ("1% of depth", pytest.approx(half)),
        ("10% of depth", pytest.approx(half)),
        ("50% of depth", pytest.approx((5 * 0.5 + 2.5 * 1.5) / 7.5 / 100.5 * 10_000)),
        ("100% of depth", pytest.approx(whole)),
    ]
    assert all((s.mean_error_bps, s.p95_error_bps) == (0.0, 0.0) for s in book.values())
    touch = {s.group: s for s in found.market if s.rule == "a touch fills all"}
    assert touch["100% of depth"].mean_error_bps == pytest.approx(half - whole)
    assert touch["1% of depth"].mean_error_bps == pytest.approx(0)


def test_sales_that_never_reach_us_are_false_fills_of_simple_bots(tmp_path):
    """In ten seconds 1.0 is sold to the best bid, and five stand before us."""
    found = told(written(tmp_path, quiet_market(60)))
    limits = {(s.group, s.rule): s for s in found.limit}
    ours = limits["at the touch", "book and queue"]
    assert (ours.predicted_fill, ours.least_fill, ours.most_fill) == (0.0, 0.0, 0.0)
    assert (ours.false_fills, ours.missed_fills, ours.certain) == (0, 0, 12)
    touch = limits["at the touch", "a touch fills all"]
    assert touch.false_fills == round(12 * touch.predicted_fill) > 0  # each bid among the probes
    assert limits["behind", "a touch fills all"].false_fills == 0
    assert found.without_room == 12  # a spread of one tick has no inside
    assert {group for group, _ in limits} == {Placement.TOUCH, Placement.BEHIND}


def test_the_scores_are_the_same_for_the_same_seed(tmp_path):
    path = written(tmp_path, quiet_market(30))
    assert told(path) == told(path)
    assert told(path, seed=8).market != told(path).market


def test_the_tables_fit_and_the_json_says_what_is_assumed(tmp_path, capsys):
    path = written(tmp_path, quiet_market(30))
    run_fidelity(wanted(path), as_json=False, console=Console(width=80))
    shown = capsys.readouterr().out
    assert "…" not in shown
    assert "book and queue" in shown and "Assumed" in shown
    run_fidelity(wanted(path), as_json=True, console=Console(width=80))
    document = json.loads(capsys.readouterr().out)
    assert document["plan"]["latency"] == 0.1
    assert document["recording"]["files"].keys() == {"btc.jsonl"}
    assert len(document["market"]) == 16
    assert document["known"] and document["assumed"]

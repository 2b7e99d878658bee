"""`sextant fidelity`: scores of the rules of filling on one recording."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final

from rich.console import Console

from data.feeds.recorded import file_digest
from data.order_book import OrderBook
from data.trade import Trade
from execution.live_matching import BookTerms
from execution.paper_terms import PaperTerms
from sextant.fidelity.frames import read_tape
from sextant.fidelity.probes import Placement, Plan, limit_probes, market_probes
from sextant.fidelity.reality import limit_reality, market_reality
from sextant.fidelity.report import Fidelity, Recording, fidelity_json, fidelity_tables
from sextant.fidelity.rules import BarRule, BookRule, FillRule, LastPriceRule, TouchRule
from sextant.fidelity.scores import limit_scores, market_scores
from sextant.fidelity.tape import Tape

DEPTH: Final = 20  # levels of a side that are kept: what Hyperliquid sends
SIZES: Final = tuple(map(Decimal, ("0.01", "0.1", "0.5", "1")))
LIMIT_SHARE: Final = Decimal("0.1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What was asked for; the terms are paper's, and their latency is what the rules know."""

    files: Sequence[Path]
    market: str | None  # by the venue's own name; None: the only one
    terms: PaperTerms
    book_terms: BookTerms
    seed: int
    probes: int  # of each size, and of each placement
    latency_spread: float
    lifetime: timedelta
    warm_up: timedelta


def run_fidelity(wanted: Wanted, *, as_json: bool, console: Console) -> Fidelity:
    """Score the rules on a recording and print it.

    Raises:
        NothingRecorded: the files hold no market that can be played, or more than one.
        TooShort: no probe fits into the recording.
        Malformed: a file is damaged, or the recorded book not whole.
        OSError: a file cannot be read.
    """
    found = fidelity(read_tape(wanted.files, name=wanted.market, depth=DEPTH), wanted)
    if as_json:
        console.out(fidelity_json(found), highlight=False)
    else:
        console.print(fidelity_tables(found))
    return found


def fidelity(tape: Tape, wanted: Wanted) -> Fidelity:
    """The scores, the same for the same tape and wishes.

    Raises:
        TooShort: no probe fits into the recording.
    """
    plan = Plan(
        seed=wanted.seed,
        each=wanted.probes,
        sizes=SIZES,
        share=LIMIT_SHARE,
        latency=wanted.terms.latency,
        latency_spread=wanted.latency_spread,
        lifetime=wanted.lifetime,
        warm_up=wanted.warm_up,
    )
    rules = _rules(tape, wanted)
    markets = [(probe, market_reality(tape, probe)) for probe in market_probes(tape, plan)]
    limits = [(probe, limit_reality(tape, probe, plan)) for probe in limit_probes(tape, plan)]
    return Fidelity(
        recording=_recording(tape, wanted.files),
        plan=plan,
        cancelled_ahead=wanted.book_terms.queue.cancelled_ahead,
        market=list(market_scores(rules, markets)),
        limit=list(limit_scores(rules, limits)),
        without_room=len(Placement) * wanted.probes - len(limits),
    )


def _rules(tape: Tape, wanted: Wanted) -> list[FillRule]:
    terms, lifetime = wanted.terms, wanted.lifetime
    return [
        BookRule(tape=tape, terms=terms, book_terms=wanted.book_terms, lifetime=lifetime),
        BarRule(tape=tape, terms=terms, lifetime=lifetime),
        LastPriceRule(tape=tape, lifetime=lifetime),
        TouchRule(tape=tape, lifetime=lifetime),
    ]


def _recording(tape: Tape, files: Sequence[Path]) -> Recording:
    return Recording(
        files={path.name: file_digest(path) for path in files},
        venue=tape.venue,
        symbol=tape.symbol,
        first=tape.feed.first,
        last=tape.feed.last,
        depth=DEPTH,
        books=tape.feed.count(OrderBook),
        books_known=tape.truth.count(OrderBook),
        trades=tape.feed.count(Trade),
    )

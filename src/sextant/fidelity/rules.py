"""The rules of filling that are scored: paper's two, and two of simpler bots.

A rule sees what its sender would: the feed up to the moment that it asks about, and never the real
latency of a probe.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, Protocol

from data.bar import Bar, Timeframe
from data.instrument import Price, Side
from data.order_book import Level, OrderBook
from data.trade import Trade
from data.trade_bars import TradeBars
from execution.fill import Fill
from execution.live_matching import BookTerms, LiveMatching
from execution.matching import Matching
from execution.order import Order
from execution.paper_terms import PaperTerms
from execution.venue_books import VenueBooks
from execution.venue_state import VenueFact
from risk.intent import Purpose
from sextant.fidelity.outcome import Outcome
from sextant.fidelity.probes import Probe
from sextant.fidelity.tape import Tape, received_at

_PLENTY: Final = Decimal(10) ** 18  # of both assets: no probe fails for want of money
FIXED_SLIPPAGE: Final = Decimal("0.001")  # PARAMETERS.md 1.7, "Paper": what upstream's paper took


class FillRule(Protocol):
    """Says what would come of a probe; None where it cannot say."""

    @property
    def name(self) -> str: ...

    def market(self, probe: Probe) -> Outcome | None: ...

    def limit(self, probe: Probe, price: Price) -> Outcome | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BookRule:
    """Paper on a live book, as it runs in the daemon: what arrives walks it, what rests queues."""

    tape: Tape
    terms: PaperTerms
    book_terms: BookTerms
    lifetime: timedelta
    name: str = "book and queue"

    def market(self, probe: Probe) -> Outcome | None:
        """By the newest book that was told when the order is thought to arrive."""
        arrival = probe.at + self.terms.latency
        if self.tape.feed.book_at(arrival) is None:
            return None
        matching = self._told_of(probe)
        facts = [*self._play(matching, probe.at, arrival), *matching.pass_time(arrival)]
        return _outcome(facts)

    def limit(self, probe: Probe, price: Price) -> Outcome | None:
        matching = self._told_of(probe)
        end = probe.at + self.lifetime
        facts = self._play(matching, probe.at, end)
        matching.cancel("probe", end)
        end += self.terms.latency
        facts += self._play(matching, end - self.terms.latency, end)
        return _outcome([*facts, *matching.pass_time(end)])

    def _told_of(self, probe: Probe) -> LiveMatching:
        """A venue that knows what its sender knows, and the probe on its way there."""
        symbol, feed = self.tape.symbol, self.tape.feed
        matching = LiveMatching(
            venue="probe",
            instruments={symbol: self.tape.instrument},
            terms=self.terms,
            book_terms=self.book_terms,
            balances={},
            books=_purse(self.tape),
        )
        if (book := feed.book_at(probe.at)) is not None:
            matching.show(book, book.at)
        matching.place(_order(self.tape, probe), probe.at)
        return matching

    def _play(self, matching: LiveMatching, begin: datetime, end: datetime) -> list[VenueFact]:
        facts: list[VenueFact] = []
        for event in self.tape.feed.between(begin, end):
            if isinstance(event, OrderBook):
                facts += matching.show(event, event.at)
            else:
                facts += matching.hear(event, event.traded_at)
        return facts


class BarRule:
    """Paper on closed bars of a minute, made of the recorded trades; the last counts as whole.

    An order is alive in every minute that its life touches: a bar does not tell its parts.
    """

    name = "one-minute bars"

    def __init__(self, *, tape: Tape, terms: PaperTerms, lifetime: timedelta) -> None:
        self._tape = tape
        self._terms = terms
        self._lifetime = lifetime
        self._bars = _bars_of(tape)

    def market(self, probe: Probe) -> Outcome | None:
        """In the minute in which it arrives."""
        arrival = probe.at + self._terms.latency
        return self._filled(probe, [b for b in self._bars if b.opened_at <= arrival < b.closed_at])

    def limit(self, probe: Probe, price: Price) -> Outcome | None:
        arrival = probe.at + self._terms.latency
        end = arrival + self._lifetime
        touched = [b for b in self._bars if b.closed_at > arrival and b.opened_at < end]
        return self._filled(probe, touched)

    def _filled(self, probe: Probe, bars: Sequence[Bar]) -> Outcome | None:
        if not bars:
            return None
        matching = Matching(
            venue="probe",
            instruments={self._tape.symbol: self._tape.instrument},
            terms=self._terms,
            balances={},
            books=_purse(self._tape),
        )
        matching.place(_order(self._tape, probe), probe.at)
        return _outcome([fact for bar in bars for fact in matching.observe(bar)])


@dataclass(frozen=True, slots=True, kw_only=True)
class LastPriceRule:
    """A simple bot's: all of a market order at the last price and a tenth of a percent.

    A limit order is filled whole once the last price is at its limit.
    """

    tape: Tape
    lifetime: timedelta
    name: str = "last price + 0.1%"

    def market(self, probe: Probe) -> Outcome | None:
        last = self.tape.feed.trade_at(probe.at)
        if last is None:
            return None
        price = Price(last.price * (1 + probe.side.sign * FIXED_SLIPPAGE))
        return Outcome.of([Level(price, probe.quantity)])

    def limit(self, probe: Probe, price: Price) -> Outcome | None:
        seen = self.tape.feed.between(probe.at, probe.at + self.lifetime)
        trades = (event for event in seen if isinstance(event, Trade))
        touched = any(_reaches(trade.price, price, probe.side) for trade in trades)
        return Outcome.of([Level(price, probe.quantity)] if touched else [])


@dataclass(frozen=True, slots=True, kw_only=True)
class TouchRule:
    """A simple bot's: all of a market order at the best price, at once.

    A limit order is filled whole once a trade or the other side's best price is at its limit.
    """

    tape: Tape
    lifetime: timedelta
    name: str = "a touch fills all"

    def market(self, probe: Probe) -> Outcome | None:
        book = self.tape.feed.book_at(probe.at)
        if book is None or not book.taken_by(probe.side):
            return None
        return Outcome.of([Level(book.taken_by(probe.side)[0].price, probe.quantity)])

    def limit(self, probe: Probe, price: Price) -> Outcome | None:
        for event in self.tape.feed.between(probe.at, probe.at + self.lifetime):
            if isinstance(event, Trade):
                best: Price | None = event.price
            else:
                offered = event.taken_by(probe.side)
                best = offered[0].price if offered else None
            if best is not None and _reaches(best, price, probe.side):
                return Outcome.of([Level(price, probe.quantity)])
        return Outcome.of([])


def _bars_of(tape: Tape) -> list[Bar]:
    making = TradeBars(tape.symbol, Timeframe.M1)
    trades = (event for event in tape.feed.events if isinstance(event, Trade))
    bars = [bar for trade in trades for bar in making.add(trade)]
    end = Timeframe.M1.close_after(received_at(tape.feed.events[-1]))
    return [*bars, *making.close_until(end)]


def _purse(tape: Tape) -> VenueBooks:
    return VenueBooks({tape.symbol.base: _PLENTY, tape.symbol.quote: _PLENTY})


def _order(tape: Tape, probe: Probe) -> Order:
    return Order(
        client_order_id="probe",
        strategy_id="",
        symbol=tape.symbol,
        side=probe.side,
        quantity=probe.quantity,
        purpose=Purpose.ENTRY,
        trigger=None,
        limit=probe.limit,
        stop=None,
        reduce_only=False,
        approved_at=probe.at,
    )


def _outcome(facts: Sequence[object]) -> Outcome:
    return Outcome.of(Level(f.price, f.quantity) for f in facts if isinstance(f, Fill))


def _reaches(price: Price, limit: Price, side: Side) -> bool:
    """Whether a price is at a limit or beyond it; a touch does."""
    return price <= limit if side is Side.BUY else price >= limit

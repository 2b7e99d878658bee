"""The breaker over days, halts, flattens, restarts, against a plain account of what was promised.

The reference keeps the whole history and answers by reading it again, where the breaker keeps a few
anchors; and it reckons in dates, where the breaker reckons in moments.
"""

import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from data.account import ClosedTrade
from data.instrument import Notional
from risk.breaker import (
    FlatSeen,
    Flatten,
    Halt,
    Liquidated,
    Marked,
    MarketSeen,
    ModelAnswered,
    ModelFailed,
    OrderPlaced,
    Rebalanced,
    Resume,
    TradingState,
    initial_state,
    next_state,
    trading_at,
)
from risk.breaker_orders import breaker_intents
from risk.mark_watch import MarkWatch
from sextant.facts import codec
from tests.builders_risk import (
    BTC,
    INSTRUMENT,
    NOW,
    XRP,
    a_position,
    a_trade,
    an_account,
    limits_with,
)

JOURNAL = codec()
LIMITS = limits_with(max_day_drawdown="0.12")
MINUTE = timedelta(minutes=1)
ACCOUNT = an_account("1000", a_position("2"))
unknown = st.sampled_from((None, "NaN", "sNaN", "Infinity", "-Infinity")).map(
    lambda text: text and Decimal(text)
)
unread = st.sampled_from((None, float("nan"), float("inf")))
equities = st.sampled_from((1000, 950, 951, 900, 901, 810, 800, 1200, 1140, 700)).map(Decimal)


class Reference:
    """Every mark since the start or the last drawdown's end, and every halt with its end."""

    def __init__(self, equity, at):
        self.marks = [(at, equity)]
        self.peak = equity
        self.day_peak_from = 0
        self.known = True
        self.spikes = {}
        self.failures = {}
        self.pauses = {}
        self.weekly = set()
        self.cut = set()
        self.latched = None
        self.thrown = None  # why the kill switch is on
        self.is_flat = False  # by the venue's word, since it is on
        self.ends = []
        self.losses = 0
        self.cool_downs = {}

    def first_of(self, same):
        """The first known equity of the newest mark's day or week."""
        newest = same(self.marks[-1][0])
        return next(equity for at, equity in self.marks if same(at) == newest)

    def day_peak(self):
        """The highest equity of the newest mark's day, since that limit was last lifted."""
        day = self.marks[-1][0].date()
        marks = self.marks[self.day_peak_from :]
        return max((equity for at, equity in marks if at.date() == day), default=None)

    def mark(self, equity, at):
        self.known = equity is not None and equity.is_finite()
        if not self.known:
            return
        self.marks.append((at, equity))
        self.peak = equity if self.peak is None else max(self.peak, equity)
        today = at.replace(hour=0, minute=0, second=0, microsecond=0)
        if fall(self.first_of(datetime.date), equity) >= Fraction(5, 100):
            self.ends.append((today + timedelta(days=1), "daily_loss_limit"))
        if fall(self.first_of(iso_week), equity) >= Fraction(10, 100):
            self.ends.append((today + timedelta(days=8 - at.isoweekday()), "weekly_loss_limit"))
            self.weekly.add(iso_week(at))
        if fall(self.first_of(month), equity) >= Fraction(15, 100):
            first = (today.replace(day=1) + timedelta(days=32)).replace(day=1)
            self.ends.append((first, "monthly_loss_limit"))
        if fall(self.peak, equity) >= Fraction(20, 100):
            self.throw("drawdown_limit")
        if fall(self.day_peak(), equity) >= Fraction(12, 100):
            self.throw("day_drawdown_limit")

    def throw(self, why):
        self.latched = self.latched or why
        if self.thrown is None:
            self.thrown, self.is_flat = why, False

    def see(self, symbol, atr, move, at):
        if atr is not None and 3 < atr < math.inf:
            self.spikes.setdefault(symbol, []).append(at + timedelta(minutes=15))
        if move is not None and 0.03 < abs(move) < math.inf:
            self.cool(symbol, at + timedelta(minutes=10))

    def fail(self, desk, at):
        self.failures[desk] = self.failures.get(desk, 0) + 1
        if self.failures[desk] >= 3:
            self.pauses.setdefault(desk, []).append(at + timedelta(minutes=5))

    def close(self, pnl, at, symbol):
        if pnl is not None and pnl >= 0:
            self.losses = 0 if pnl > 0 else self.losses
            return
        self.losses += 1
        self.cool(symbol, at + timedelta(minutes=10))
        if self.losses >= 3:
            span = timedelta(minutes=60 if self.losses >= 5 else 30)
            self.ends.append((at + span, "loss_streak"))
        if self.losses >= 6:
            self.latched = self.latched or "loss_streak"

    def cool(self, symbol, until):
        self.cool_downs.setdefault(symbol, []).append(until)

    def resume(self):
        if self.thrown and not self.is_flat:
            return
        if "drawdown_limit" in (self.latched, self.thrown):
            self.peak = None
        if "day_drawdown_limit" in (self.latched, self.thrown):
            self.day_peak_from = len(self.marks)
        if self.latched and self.losses >= 6:
            self.losses = 0
        self.latched = self.thrown = None

    def trading(self, now):
        if self.latched:
            return TradingState.HALTED
        if not self.known or any(now < end for end, _ in self.ends):
            return TradingState.REDUCING
        return TradingState.ACTIVE

    def reason(self, now):
        """Why not, as of `now`: a person's to lift, unknown, or what ends last, the first of its
        kind."""
        if self.latched or not self.known:
            return self.latched or "equity_unknown"
        open_ends = [(end, why) for end, why in self.ends if now < end]
        return max(open_ends, key=lambda e: e[0])[1] if open_ends else ""

    def closes(self):
        """What share of everything held is to be closed after the newest mark."""
        if self.thrown:
            return 1
        week = iso_week(self.marks[-1][0])
        return Fraction(1, 2) if week in self.weekly - self.cut else 0


def fall(start, equity):
    return Fraction(start - equity) / Fraction(start)


def iso_week(at):
    return at.isocalendar()[:2]


def month(at):
    return at.year, at.month


def longest(times):
    return {key: max(untils) for key, untils in times.items()}


class Breaker(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.now = NOW
        self.state = initial_state(Notional(Decimal(1000)), NOW)
        self.reference = Reference(Decimal(1000), NOW)
        self.watch = MarkWatch(LIMITS)

    def tell(self, event):
        self.state = next_state(self.state, event, LIMITS)
        if not isinstance(event, ClosedTrade | ModelFailed):
            assert next_state(self.state, event, LIMITS) is self.state

    @rule(equity=equities | unknown, minutes=st.sampled_from((0, 1, 15, 300)))
    def mark(self, equity, minutes):
        self.now += minutes * MINUTE
        self.reference.mark(equity, self.now)
        watched = self.watch.after(self.state, equity, self.now)
        assert watched == next_state(self.state, Marked(equity=equity, at=self.now), LIMITS)
        assert (watched is self.state) == (watched == self.state)
        self.tell(Marked(equity=equity, at=self.now))
        assert self.state.reason == self.reference.reason(self.now)
        promised = self.reference.closes()
        assert self.what_a_breaker_closes() == promised
        if promised == Fraction(1, 2):
            self.reference.cut.add(iso_week(self.now))

    def what_a_breaker_closes(self):
        """As a share of what is held, asked for and on record as the daemon does after a mark."""
        orders = breaker_intents(
            self.state,
            ACCOUNT,
            LIMITS,
            instruments={BTC: INSTRUMENT},
            closing=frozenset(),
            now=self.now,
        )
        if orders is None:
            return 0
        self.tell(orders.acted)
        (intent,) = orders.intents
        return -Fraction(intent.quantity) / 2

    @rule(
        pnl=st.sampled_from(("-1", "-1", "-1", "0", "1", None)), symbol=st.sampled_from((BTC, XRP))
    )
    def close_a_trade(self, pnl, symbol):
        trade = a_trade(pnl, symbol=symbol, closed_at=self.now)
        self.reference.close(trade.pnl, self.now, symbol)
        self.tell(trade)

    @rule(symbol=st.sampled_from((BTC, XRP)))
    def place_an_order(self, symbol):
        self.reference.cool(symbol, self.now + timedelta(minutes=5))
        self.tell(OrderPlaced(symbol=symbol, at=self.now))

    @rule(
        symbol=st.sampled_from((BTC, XRP)),
        atr=st.sampled_from((1.0, 3.0, 3.01)) | unread,
        move=st.sampled_from((0.0, 0.03, -0.031)) | unread,
    )
    def see_the_market(self, symbol, atr, move):
        self.reference.see(symbol, atr, move, self.now)
        self.tell(MarketSeen(symbol=symbol, atr=atr, mean_atr=1.0, move=move, at=self.now))

    @rule(symbol=st.sampled_from((BTC, XRP)))
    def rebalance(self, symbol):
        self.reference.cool(symbol, self.now + timedelta(minutes=30))
        self.tell(Rebalanced(symbol=symbol, at=self.now))

    @rule(desk=st.sampled_from(("one", "two")))
    def fail_to_decide(self, desk):
        self.reference.fail(desk, self.now)
        self.tell(ModelFailed(strategy_id=desk, at=self.now))

    @rule(desk=st.sampled_from(("one", "two")))
    def decide(self, desk):
        self.reference.failures.pop(desk, None)
        self.tell(ModelAnswered(strategy_id=desk, at=self.now))

    @rule()
    def halt(self):
        self.reference.latched = self.reference.latched or "halted by Ada: a test"
        self.tell(Halt(by="Ada", why="a test", at=self.now))

    @rule(symbol=st.sampled_from((BTC, XRP)))
    def be_liquidated(self, symbol):
        self.reference.latched = self.reference.latched or f"liquidation of {symbol}"
        self.tell(Liquidated(symbol=symbol, at=self.now))

    @rule()
    def flatten(self):
        self.reference.throw("flattened by Ada: a test")
        self.tell(Flatten(by="Ada", why="a test", at=self.now))

    @rule(is_flat=st.booleans())
    def ask_the_venue(self, is_flat):
        self.reference.is_flat = is_flat
        self.tell(FlatSeen(is_flat=is_flat, at=self.now))

    @rule()
    def resume(self):
        self.reference.resume()
        self.tell(Resume(by="Ada", why="a test", at=self.now))

    @rule(hours=st.sampled_from((0, 1, 13, 24, 100, 200, 800)))
    def be_down_for_a_while(self, hours):
        topic, body = JOURNAL.encode(self.state)
        self.now += timedelta(hours=hours)
        state = JOURNAL.decode(topic, body)
        assert state == self.state
        self.state = state

    @rule()
    def wait_for_midnight(self):
        self.now = datetime.combine(self.now.date() + timedelta(days=1), datetime.min.time(), UTC)

    @invariant()
    def trading_is_as_promised(self):
        assert trading_at(self.state, self.now) is self.reference.trading(self.now)
        soon = self.now + timedelta(hours=7)
        assert trading_at(self.state, soon) is self.reference.trading(soon)

    @invariant()
    def the_books_agree(self):
        assert self.state.loss_streak == self.reference.losses
        assert self.state.peak_equity == self.reference.peak
        assert (self.state.trading is TradingState.ACTIVE) == (self.state.reason == "")

    @invariant()
    def the_kill_switch_lets_nothing_in_until_the_venue_has_spoken_and_a_person_too(self):
        latch = self.state.latch
        assert (latch.reason if latch else None) == self.reference.thrown
        if latch is not None:
            assert latch.is_done == self.reference.is_flat
            assert self.state.trading is TradingState.HALTED

    @invariant()
    def cool_downs_spikes_and_pauses_only_lengthen(self):
        assert self.state.cool_down_until == longest(self.reference.cool_downs)
        assert self.state.spike_until == longest(self.reference.spikes)
        assert self.state.paused_until == longest(self.reference.pauses)
        assert self.state.model_failures == self.reference.failures

    @invariant()
    def the_anchors_are_the_first_and_the_highest(self):
        reference = self.reference
        if reference.marks:
            assert self.state.day.equity == reference.first_of(datetime.date)
            assert self.state.week.equity == reference.first_of(iso_week)
            assert self.state.month.equity == reference.first_of(month)
            assert self.state.day_peak == reference.day_peak()

    @invariant()
    def a_weekly_limit_is_remembered_for_its_cut(self):
        reached = self.state.weekly_reached
        newest = max(self.reference.weekly, default=None)
        assert (reached and iso_week(datetime.combine(reached, datetime.min.time()))) == newest


TestBreaker = pytest.mark.req("S0-23", "S0-24", "S0-25", "S1-97", "S1-99", "S1-100")(
    Breaker.TestCase
)
TestBreaker.settings = settings(max_examples=250, stateful_step_count=40, deadline=None)

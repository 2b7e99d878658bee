"""2021-05-19, when Bitcoin lost a third within hours, and a desk that was long with leverage.

Everything is read from the record of a replay; when a breaker should have acted is reckoned from
bars and fills by itself, with neither the ledger nor the rules.
"""

import asyncio
import math
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np
import pytest

from agents.baseline_strategy import SeededRandomSettings
from data.bar import Bar, Timeframe
from data.feeds.playback import known_at
from data.feeds.recorded import merge, read_bars
from data.instrument import Symbol
from data.quality import FlawKind
from execution.fill import Fill
from execution.order import Submitting
from risk.approval import Rejection
from risk.breaker import RiskState, TradingState
from risk.breaker_orders import BREAKER
from risk.intent import Purpose
from sextant.cycle import Decision
from sextant.facts import BarSeen, FlawsSeen, codec
from sextant.journal.line import parse_line
from sextant.replay import replay
from sextant.settings import load_settings

SETTINGS = load_settings(Path(__file__).with_name("crash_day.toml"))
BTC, XRP = Symbol("BTC/USDT"), Symbol("XRP/USDT")
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
CRASH = datetime(2021, 5, 19, tzinfo=UTC)
HALF = Decimal("0.5")
CROSSING = Decimal("0.0002")  # half the spread, and slippage
OPEN = {
    "max_daily_loss": 1,
    "max_weekly_loss": 1,
    "max_monthly_loss": 1,
    "max_day_drawdown": 1,
    "max_drawdown": 1,
}


def bars_of(shared_data, kind, symbols, since, until):
    """The recorded bars of `symbols`, in order of their closes."""
    streams = []
    for symbol in symbols:
        (path,) = (shared_data / "ohlcv_1m").glob(f"{kind}_{symbol.replace('/', '')}_1m_*.csv.gz")
        events = read_bars(path, symbol, Timeframe.M1)
        streams.append([event for event in events if since < known_at(event) <= until])
    return list(merge(streams))


def with_limits(settings=SETTINGS, **changes):
    limits = settings.risk
    limits = type(limits).model_validate(limits.model_dump() | changes)
    return settings.model_copy(update={"risk": limits})


def facts_of(settings, events, folder):
    """Every fact that a replay of `events` puts on record."""
    asyncio.run(replay(settings, iter(events), market="recorded", out=folder, keep_all=True))
    reading = codec()
    with (folder / "journal.jsonl").open("rb") as lines:
        records = list(map(parse_line, lines))
    return [reading.decode(r.topic, r.body) for r in records if r.topic != "repro"]


@dataclass
class Step:
    """One bar, and all that the record says until the next one."""

    bar: Bar
    equity: Decimal  # cash and positions at the last closes, out of bars and fills alone
    held: dict[Symbol, Decimal]
    marks: dict[Symbol, Decimal]
    state: RiskState | None  # in force after it
    marked: bool = True
    decision: Decision | None = None
    rejection: Rejection | None = None
    orders: list[Submitting] = field(default_factory=list)
    fills: list[Fill] = field(default_factory=list)  # on the way to it

    @property
    def trading(self):
        return self.state.trading if self.state else TradingState.ACTIVE

    @property
    def wishes_entry(self):
        intent = self.decision.intent if self.decision else None
        return intent is not None and intent.purpose is Purpose.ENTRY


class Reckoning:
    """Cash, sizes and last closes, out of fills and bars alone."""

    def __init__(self):
        self.cash, self.held, self.marks = SETTINGS.account.balances["USDT"], {}, {}

    def book(self, fill):
        signed = fill.quantity * fill.side.sign
        self.held[fill.symbol] = self.held.get(fill.symbol, Decimal(0)) + signed
        self.cash -= signed * fill.price + fill.fee

    @property
    def equity(self):
        return self.cash + sum(size * self.marks[symbol] for symbol, size in self.held.items())

    def step(self, bar, state, fills):
        return Step(bar, self.equity, dict(self.held), dict(self.marks), state, fills=fills)


def steps_of(facts):
    """The record bar by bar; a jump marks nothing until the next bar has borne it out."""
    reckoning, steps, fills, state = Reckoning(), [], [], None
    for fact in facts:
        match fact:
            case Fill():
                reckoning.book(fact)
                fills.append(fact)
            case BarSeen(bar=bar):
                before = dict(reckoning.marks)
                reckoning.marks[bar.symbol] = bar.close
                steps.append(reckoning.step(bar, state, fills))
                fills = []
            case FlawsSeen(flaws=flaws):
                assert [flaw.kind for flaw in flaws] == [FlawKind.JUMP]
                reckoning.marks = before
                steps[-1] = reckoning.step(bar, state, steps[-1].fills)
                steps[-1].marked = False
            case RiskState():
                state = fact
                if steps:
                    steps[-1].state = fact
            case Decision():
                steps[-1].decision = fact
            case Rejection():
                steps[-1].rejection = fact
            case Submitting():
                steps[-1].orders.append(fact)
    return steps


@dataclass(frozen=True)
class Run:
    """A replay of the crash with one loss limit, and when that is first reached."""

    limit: str
    share: Fraction
    reason: str
    reached: str  # time and base of the bar
    closes: Decimal  # of what is held, at once
    steps: list[Step] = field(repr=False)


# limit, share, the breaker's reason, the first bar beyond it, what it closes
RUNS = {
    "day": ("max_daily_loss", "0.05", "daily_loss_limit", "06:00 XRP", 0),
    "week": ("max_weekly_loss", "0.1", "weekly_loss_limit", "13:38 XRP", HALF),
    "month": ("max_monthly_loss", "0.15", "monthly_loss_limit", "13:47 XRP", 0),
    "day's peak": ("max_day_drawdown", "0.1", "day_drawdown_limit", "05:33 XRP", 1),
    "peak": ("max_drawdown", "0.2", "drawdown_limit", "13:47 XRP", 1),
}


@pytest.fixture(scope="module")
def crash(shared_data):
    """From an hour before, so that the desk is warm at midnight, into the next day."""
    until = CRASH + DAY + HOUR
    return bars_of(shared_data, "binance_spot", [BTC, XRP], CRASH - HOUR, until)


@pytest.fixture(scope="module", params=RUNS)
def run(request, crash, tmp_path_factory):
    limit, share, reason, reached, closes = RUNS[request.param]
    settings = with_limits(**(OPEN | {limit: share}))
    steps = steps_of(facts_of(settings, crash, tmp_path_factory.mktemp("run")))
    return Run(limit, Fraction(share), reason, reached, Decimal(closes), steps)


PERIODS = {
    "max_daily_loss": lambda at: at.date(),
    "max_weekly_loss": lambda at: at.isocalendar()[:2],
    "max_monthly_loss": lambda at: (at.year, at.month),
    "max_day_drawdown": lambda at: at.date(),
    "max_drawdown": lambda at: None,
}
"""What a loss is measured within."""


class Promised:
    """What REQUIREMENTS says of one limit: the first marks, and the highest, of all its periods."""

    def __init__(self, run):
        self.period, self.share = PERIODS[run.limit], run.share
        self.falls = run.limit.endswith("drawdown")  # from the highest, until a person resets it
        self.first, self.highest, self.reached = {}, {}, None

    def mark(self, at, equity):
        period = self.period(at)
        self.first.setdefault(period, equity)
        self.highest[period] = max(equity, self.highest.get(period, equity))
        self.start = (self.highest if self.falls else self.first)[period]
        if Fraction(equity) <= Fraction(self.start) * (1 - self.share):
            self.reached = self.reached or at

    def trading(self, now):
        if self.reached is None:
            return TradingState.ACTIVE
        if self.falls:
            return TradingState.HALTED
        over = self.period(now) != self.period(self.reached)
        return TradingState.ACTIVE if over else TradingState.REDUCING


def halt_of(run):
    """Where the limit is first reached: the index of its step, and what it is measured from."""
    promised = Promised(run)
    for index, step in enumerate(run.steps):
        if step.marked:
            promised.mark(step.bar.closed_at, step.equity)
        if promised.reached:
            return index, promised.start
    return pytest.fail("the limit is never reached")


def test_the_ledger_and_a_plain_reckoning_agree_at_every_bar(run):
    decided = [step for step in run.steps if step.decision]
    assert len(decided) > 2800
    assert all(step.decision.equity == step.equity for step in decided)


@pytest.mark.req("S0-23", "S0-24", "S0-25", "S2-42", "S1-98", "S1-99")
def test_a_breaker_fires_at_the_bar_at_which_its_limit_is_reached(run):
    """At every bar of the day the record says what a reading of all marks so far says."""
    promised, first = Promised(run), None
    for step in run.steps:
        bar = step.bar
        if step.marked:
            promised.mark(bar.closed_at, step.equity)
        expected = promised.trading(bar.closed_at)
        assert step.trading is expected, bar
        if expected is not TradingState.ACTIVE:
            assert step.state.reason == run.reason
            first = first or f"{bar.closed_at:%H:%M} {bar.symbol.base}"
    assert first == run.reached


@pytest.mark.req("S0-19", "S0-23", "S0-24", "S0-25", "S1-96", "S1-99")
def test_from_that_bar_on_every_entry_is_rejected_for_it(run):
    wished = [step for step in run.steps if step.wishes_entry]
    for step in wished:
        rules = {o.rule: o.observed for o in step.rejection.objections} if step.rejection else {}
        if step.trading is TradingState.ACTIVE:
            assert "trading_state" not in rules
        else:
            assert rules["trading_state"] == f"{step.trading} ({run.reason})"
            assert not any(order.order.purpose is Purpose.ENTRY for order in step.orders)
    assert {step.trading for step in wished} > {TradingState.ACTIVE}


def closings(run, index):
    """By symbol: the fills of what is held at the step `index`, each with its bar."""
    found = {symbol: [] for symbol, size in run.steps[index].held.items() if size}
    for step in run.steps[index + 1 :]:
        if step.trading is TradingState.ACTIVE:
            break
        for fill in step.fills:
            found[fill.symbol].append((fill, step.bar))
    return found


def stop_of(run, index, symbol):
    """The stop that the newest entry of `symbol` carries."""
    orders = [order.order for step in run.steps[: index + 1] for order in step.orders]
    return [o for o in orders if o.symbol == symbol and o.purpose is Purpose.ENTRY][-1].stop


@pytest.mark.req("S0-23", "S0-24", "S0-25")
def test_no_loss_limit_is_passed_by_more_than_the_gap_of_a_fill(run):
    """With F the limit's floor, E[t] the equity at the bar t that reaches it, m the marks there:

        E[t-1] > F >= E[t]                             by one bar, at what was held
        E[s] >= E[t] - sum(size * (m - worst) + fee)   at every bar s of the halt

    `worst` is the price of the one fill that closes what is held; where the breaker lets it run to
    its stop, the stop or that price, whichever is lower. The price is no worse than the open of its
    bar, or than the stop where that lies lower, by the cost of crossing.
    """
    index, start = halt_of(run)
    before, halt = run.steps[index - 1], run.steps[index]
    assert Fraction(before.equity) > Fraction(start) * (1 - run.share) >= Fraction(halt.equity)

    lost = Decimal(0)
    for symbol, closing in closings(run, index).items():
        stop = stop_of(run, index, symbol)
        assert len(closing) == (2 if run.closes == HALF else 1)
        for fill, bar in closing:
            reference = min(bar.open, stop) if fill.price <= stop else bar.open
            assert fill.price >= reference * (1 - CROSSING) - SETTINGS.instruments[symbol].tick
        exits = [fill.price for fill, _ in closing]
        worst = min(exits) if run.closes == 1 else min(stop, *exits)
        lost += halt.held[symbol] * max(halt.marks[symbol] - worst, Decimal(0))
        lost += sum(fill.fee for fill, _ in closing)
    halted = [s for s in run.steps[index:] if s.trading is not TradingState.ACTIVE]
    assert min(step.equity for step in halted) >= halt.equity - lost


@pytest.mark.req("S0-24", "S0-25")
def test_what_a_breaker_closes_is_closed_at_the_next_bar(run):
    index, _ = halt_of(run)
    halt = run.steps[index]
    asked = {
        order.order.symbol: order.order.quantity
        for order in halt.orders
        if order.order.strategy_id == BREAKER
    }
    assert asked == {
        symbol: SETTINGS.instruments[symbol].quantity(size * run.closes)
        for symbol, size in halt.held.items()
        if size * run.closes
    }
    for symbol, part in asked.items():
        following = next(s for s in run.steps[index + 1 :] if s.bar.symbol == symbol)
        assert following.held[symbol] == halt.held[symbol] - part


GUARD = 0.8  # S1-88
A_YEAR_OF_MINUTES = 365 * 24 * 60
WIDE = OPEN | {"max_exposure": 10}  # no halt, no cut: both runs enter and leave at the same bars


def volatility_after(bars):
    """By close: the deviation of the last 30 returns of a minute, in a year; from bars alone."""
    bars = list(bars)
    returns = np.diff(np.log([float(bar.close) for bar in bars]))
    deviations = np.lib.stride_tricks.sliding_window_view(returns, 30).std(axis=1, ddof=1)
    yearly = deviations * math.sqrt(A_YEAR_OF_MINUTES)
    return dict(zip((bar.closed_at for bar in bars[30:]), yearly, strict=True))


def entries(steps):
    """By bar and symbol: how large every entry is, as a share of equity."""
    return {
        (step.bar.closed_at, step.bar.symbol): order.order.quantity * step.bar.close / step.equity
        for step in steps
        for order in step.orders
        if order.order.purpose is Purpose.ENTRY
    }


def round_trips(steps):
    """What every trade brought in its turn, as a share of the equity that it began with."""
    begun, brought = {}, []
    for before, step in pairwise(steps):
        for fill in step.fills:
            sign = fill.side.sign
            cash = -sign * fill.quantity * fill.price - fill.fee
            opened = begun.setdefault(fill.symbol, [before.equity, Decimal(0)])
            opened[1] += cash
            if not step.held[fill.symbol]:
                start, gain = begun.pop(fill.symbol)
                brought.append(gain / start)
    return brought


def deepest_fall(steps):
    highest = list(accumulate((step.equity for step in steps), max))
    return max(1 - step.equity / top for step, top in zip(steps, highest, strict=True))


@pytest.fixture(scope="module")
def unguarded_and_guarded(crash, tmp_path_factory):
    folder = tmp_path_factory.mktemp("guard")
    return [
        steps_of(facts_of(with_limits(**WIDE, volatility_guard=guard), crash, folder))
        for guard in (0.0, GUARD)
    ]


@pytest.mark.req("S1-87", "S1-89", "S1-92")
def test_on_the_violent_day_the_guard_shrinks_every_size_by_its_scale(unguarded_and_guarded, crash):
    bare, guarded = map(entries, unguarded_and_guarded)
    seen = {
        symbol: volatility_after(b for b in crash if b.symbol == symbol) for symbol in (BTC, XRP)
    }
    assert bare.keys() == guarded.keys()
    scales = {key: max(0.25, min(1.0, GUARD / seen[key[1]][key[0]])) for key in bare}
    for key, scale in scales.items():
        assert float(bare[key]) == pytest.approx(2, rel=1e-3)
        assert float(guarded[key]) == pytest.approx(2 * scale, rel=1e-3)
    assert min(scales.values()) == 0.25
    assert len(scales) > 10


@pytest.mark.req("S1-92")
def test_on_the_violent_day_the_worst_losses_are_smaller_with_the_guard(unguarded_and_guarded):
    bare, guarded = unguarded_and_guarded
    trades, smaller = round_trips(bare), round_trips(guarded)
    assert len(trades) == len(smaller)
    assert all(abs(less) <= abs(full) for full, less in zip(trades, smaller, strict=True))
    assert min(smaller) > min(trades) / 2
    assert deepest_fall(guarded) < deepest_fall(bare) / 2


@pytest.fixture(scope="module")
def calm_days(shared_data):
    """Whole days of 2025 on which no 30 minutes were wilder than the guard's cap."""
    since, until = datetime(2025, 5, 5, tzinfo=UTC), datetime(2025, 5, 12, tzinfo=UTC)
    days = {}
    for bar in bars_of(shared_data, "binance_perp", [BTC], since, until):
        days.setdefault((bar.closed_at - Timeframe.M1.delta).date(), []).append(bar)
    calm = [bars for bars in days.values() if max(volatility_after(bars).values()) <= GUARD]
    assert 2 < len(calm) < len(days)
    return calm[:2]


@pytest.mark.req("S1-92")
def test_on_calm_days_the_guard_changes_not_a_byte(calm_days, tmp_path):
    for bars in calm_days:
        journals = []
        for guard in (0.0, GUARD):
            settings = with_limits(**WIDE, volatility_guard=guard)
            steps = steps_of(facts_of(settings, bars, tmp_path))
            lines = (tmp_path / "journal.jsonl").read_bytes().splitlines(keepends=True)
            journals.append(
                [(r.topic, r.body) for r in map(parse_line, lines) if r.topic != "repro"]
            )
        assert journals[0] == journals[1]
        assert entries(steps)


def trends_after(bars):
    """By close of an hour: its close over the EMA of 21 hours, less 1; from bars alone."""
    closes = [(b.closed_at, float(b.close)) for b in bars if b.closed_at.minute == 0]
    average = sum(close for _, close in closes[:21]) / 21
    found = {closes[20][0]: closes[20][1] / average - 1}
    for at, close in closes[21:]:
        average += (close - average) * 2 / 22
        found[at] = close / average - 1
    return found


@pytest.mark.req("S1-108", "S1-109", "S1-119", "S1-121")
def test_nothing_is_entered_against_a_trend_and_nothing_wrongly_blocked(shared_data, tmp_path):
    """The days of the crash, and a desk that wishes for longs and shorts by chance."""
    bars = bars_of(shared_data, "binance_spot", [BTC], CRASH - 2 * DAY, CRASH + DAY)
    chance = SeededRandomSettings(
        kind="seeded_random", seed=7, quantity=1, stop_distance="0.03", confidence=1.0
    )
    desk = SETTINGS.desk[0].model_copy(update={"strategy": chance, "instruments": (BTC,)})
    settings = with_limits(
        SETTINGS.model_copy(update={"desk": (desk,)}), **WIDE, overlay_timeframes=["1h"]
    )
    trends, outcomes = trends_after(bars), Counter()
    for step in steps_of(facts_of(settings, bars, tmp_path)):
        if step.wishes_entry:
            hour = step.bar.closed_at.replace(minute=0)
            along = trends.get(hour, 0.0) * step.decision.intent.direction.sign
            said = step.rejection.objections if step.rejection else ()
            assert ("overlay_trend" in {o.rule for o in said}) == (along < -0.002)
            where = "against" if along < -0.002 else "along" if along > 0.002 else "neutral"
            entered = any(o.order.purpose is Purpose.ENTRY for o in step.orders)
            outcomes[step.decision.intent.direction.value, where, entered] += 1
    assert not outcomes["long", "against", True] + outcomes["short", "against", True]
    for direction in ("long", "short"):
        assert outcomes[direction, "against", False] > 20
        assert outcomes[direction, "along", True] > 20
        assert outcomes[direction, "neutral", True] > 5

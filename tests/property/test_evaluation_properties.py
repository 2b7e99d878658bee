"""Evaluation against plain references, and what a log must never show, over many cases."""

import json
import math
import statistics
from datetime import timedelta
from decimal import Decimal
from itertools import accumulate, pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from risk.intent import Direction
from sextant.evaluation.axis import plain, time_ticks, value_ticks
from sextant.evaluation.deciles import Deciles
from sextant.evaluation.equity import EquityCurve
from sextant.evaluation.performance import sharpe_ratio, simple_returns, sortino_ratio
from sextant.evaluation.seats import SeatScores
from sextant.evaluation.thinned import Thinned
from sextant.telemetry import REDACTED, Redactor
from tests.builders_evaluation import BTC, MINUTE, START, a_bar, a_vote

money = st.decimals(min_value=1, max_value=1_000_000, places=4)
steps = st.integers(min_value=1, max_value=2_000)  # minutes
marks = st.lists(st.tuples(steps, money), min_size=1, max_size=40)
returns = st.lists(st.floats(min_value=-0.5, max_value=0.5), min_size=2, max_size=40)


def marked(series):
    """A curve of (minutes since the mark before, equity), and the same as times and values."""
    curve, at, seen = EquityCurve(), START, []
    for minutes, equity in series:
        at += minutes * MINUTE
        curve.mark(at, equity)
        seen.append((at, equity))
    return curve, seen


@pytest.mark.req("S0-40", "S1-189")
@given(marks)
def test_drawdown_is_the_largest_fall_from_a_running_peak(series):
    curve, seen = marked(series)
    values = [equity for _, equity in seen]
    falls = [(peak - v) / peak for peak, v in zip(accumulate(values, max), values, strict=True)]
    assert math.isclose(curve.max_drawdown, max(falls), abs_tol=1e-12)
    assert math.isclose(curve.last.drawdown, falls[-1], abs_tol=1e-12)
    assert 0.0 <= curve.last.drawdown <= curve.max_drawdown < 1.0
    assert max(p.drawdown for p in curve.drawn) == curve.max_drawdown


@given(marks)
def test_a_day_closes_with_its_last_mark(series):
    curve, seen = marked(series)
    last = {at.date(): equity for at, equity in seen}
    assert [(d.date, d.equity) for d in curve.days] == [(k, float(v)) for k, v in last.items()]
    closes = [seen[0][1], *last.values()]
    changes = [float(b / a) - 1.0 for a, b in pairwise(closes)]
    assert [d.change for d in curve.days] == changes
    grown = math.prod(1.0 + change for change in changes) - 1.0
    assert math.isclose(curve.total_return, grown, abs_tol=1e-9)


@pytest.mark.req("S0-41", "S1-187")
@given(returns)
def test_sharpe_is_the_textbooks(values):
    deviation = statistics.stdev(values)
    assume(deviation > 1e-9)
    expected = statistics.fmean(values) / deviation * math.sqrt(365)
    curve = simple_returns(list(accumulate((1.0 + r for r in values), float.__mul__, initial=1.0)))
    assert math.isclose(
        sharpe_ratio(curve, periods_per_year=365), expected, rel_tol=1e-5, abs_tol=1e-5
    )


@pytest.mark.req("S1-188")
@given(returns)
def test_sortino_is_the_textbooks(values):
    downside = math.sqrt(statistics.fmean(min(r, 0.0) ** 2 for r in values))
    assume(downside > 1e-9)
    expected = statistics.fmean(values) / downside * math.sqrt(365)
    curve = simple_returns(list(accumulate((1.0 + r for r in values), float.__mul__, initial=1.0)))
    assert math.isclose(
        sortino_ratio(curve, periods_per_year=365), expected, rel_tol=1e-5, abs_tol=1e-5
    )


@given(limit=st.integers(1, 20).map(lambda n: 2 * n), count=st.integers(0, 2_000))
def test_a_thinned_series_is_bounded_even_and_ends_with_the_newest(limit, count):
    series = Thinned(limit)
    for item in range(count):
        series.add(item)
    kept = series.items
    assert len(series) == count
    assert len(kept) <= limit
    assert kept[:1] + kept[-1:] == ([0, count - 1] if count else [])
    assert len({b - a for a, b in pairwise(kept[:-1])}) <= 1
    assert count < limit or len(kept) >= limit // 2


ballots = st.lists(
    st.tuples(st.sampled_from(Direction), st.floats(0.0, 1.0), st.integers(50, 150)), max_size=30
)


@pytest.mark.req("S1-195")
@given(ballots, st.integers(1, 5))
def test_brier_and_accuracy_are_shares_and_no_vote_is_lost(votes, horizon):
    scores = SeatScores(horizon=horizon, hold_band=0.02)
    for index, (direction, confidence, close) in enumerate(votes):
        scores.count(BTC, 100.0, [a_vote(direction, confidence)])
        scores.see(a_bar(index, close))
    for index in range(horizon):
        scores.see(a_bar(len(votes) + index))
    seat = scores.by_voter.get("gpt")
    if seat is not None:
        assert seat.votes.total() == len(votes)
        assert seat.scored == len(votes) - seat.votes[Direction.CLOSE]
        assert seat.brier is None or 0.0 <= seat.brier <= 1.0
        assert seat.accuracy is None or 0.0 <= seat.accuracy <= 1.0
        moving = seat.votes[Direction.LONG] + seat.votes[Direction.SHORT]
        assert sum(cell.count for cell in scores.deciles.cells) == moving


@pytest.mark.req("S1-225")
@given(st.lists(st.floats(-0.5, 0.5).map(lambda x: round(x, 6)), min_size=2, max_size=30))
def test_the_sharpe_of_a_decile_is_the_textbooks(outcomes):
    deviation = statistics.stdev(outcomes)
    assume(deviation > 1e-4)
    deciles = Deciles()
    for earned in outcomes:
        deciles.add(0.55, earned)
    expected = statistics.fmean(outcomes) / deviation
    assert math.isclose(deciles.cells[5].sharpe, expected, rel_tol=1e-6, abs_tol=1e-6)


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9))
def test_value_ticks_are_few_even_and_inside(low, span):
    high = low + span
    assume(high - low > 1e-6 * max(abs(low), abs(high)))
    ticks, step = value_ticks(low, high)
    assert 1 <= len(ticks) <= 6
    assert all(low - 1e-6 * span <= tick <= high + 1e-6 * span for tick in ticks)
    texts = [plain(tick, step) for tick in ticks]
    assert len(set(texts)) == len(texts)


@given(st.integers(0, 500_000), st.integers(2, 3_000_000))
def test_time_ticks_are_few_in_order_and_inside(offset, minutes):
    start = START + offset * MINUTE
    end = start + timedelta(minutes=minutes)
    ticks = [at for at, _ in time_ticks(start, end)]
    assert len(ticks) <= 16
    assert ticks == sorted(ticks)
    assert all(start <= at <= end for at in ticks)


SECRET = "sk-live-0123456789abcdef"
around = st.text(alphabet=" ab:{}[]\"',;é\n", max_size=6)
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(max_size=5),
    st.builds(lambda a, b: f"{a}{SECRET}{b}", around, around),
    st.builds(lambda a: ValueError(f"{a}{SECRET}"), around),
    st.builds(lambda a: f"{a}{SECRET}".encode(), around),
    st.builds(lambda n: SECRET[:n] + "*" * 8, st.integers(8, len(SECRET))),
    st.just(Decimal("1.5")),
)
names = st.one_of(st.text(max_size=4), st.just(SECRET), st.sampled_from(["key", "apiSecret"]))
replies = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.tuples(inner, inner),
        st.dictionaries(names, inner, max_size=3),
        st.builds(lambda item: RuntimeError(item), inner),
    ),
    max_leaves=12,
)


@pytest.mark.req("S1-148", "S1-149", "S1-169")
@given(replies)
def test_no_reply_however_nested_shows_a_secret_or_its_beginning(reply):
    shown = json.dumps(Redactor([SECRET])(reply), ensure_ascii=False)
    assert SECRET[:8] not in shown


@given(st.text(max_size=30))
def test_what_is_redacted_once_stays_as_it_is(text):
    redactor = Redactor([SECRET])
    once = redactor(text)
    assert redactor(once) == once
    assert REDACTED in redactor(f"{text} {SECRET}")

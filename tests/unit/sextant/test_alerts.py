"""Alerts: each thing is told when it begins, and not again and again."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from risk.breaker import FlatSeen, Flatten, Halt, Marked, ModelFailed, Resume, next_state
from sextant.alerts import AlertKind, Alerts
from tests.builders_risk import NOW, a_position, a_state, an_account, limits_with

MINUTE = timedelta(minutes=1)
LIMITS = limits_with(
    warn_daily_loss="0.03",
    derisk_drawdown="0.10",
    warn_exposure="0.70",
    margin_leverage="5",
    warn_margin_use="0.40",
    max_daily_loss="0.05",
)


class Kept:
    """A journal that only remembers."""

    def __init__(self):
        self.facts = []

    def write(self, fact):
        self.facts.append(fact)


@pytest.fixture
def journal():
    return Kept()


@pytest.fixture
def alerts(journal):
    return Alerts(LIMITS, journal)


@pytest.mark.parametrize(
    ("equity", "held", "rules"),
    [
        pytest.param("1000", (), [], id="all is well"),
        pytest.param("971", (), [], id="not quite at the day's mark"),
        pytest.param("970", (), ["near.daily_loss"], id="at the day's mark"),
        pytest.param("900", (), ["near.daily_loss", "near.drawdown"], id="drawdown too"),
        pytest.param("1000", (a_position("7"),), ["near.exposure"], id="much is held"),
        pytest.param(None, (), [], id="unknown equity stops entries, and is no near limit"),
    ],
)
@pytest.mark.req("S1-164")
def test_what_is_near_is_told(alerts, journal, equity, held, rules):
    alerts.look(a_state("1000"), an_account(equity, *held), now=NOW)
    assert [fact.subject for fact in journal.facts] == rules
    assert {fact.kind for fact in journal.facts} <= {AlertKind.NEAR_LIMIT}


def test_the_short_way_for_a_flat_account_moves_with_the_state(alerts, journal):
    alerts.look(a_state("1000"), an_account("980"), now=NOW)
    assert journal.facts == []
    alerts.look(a_state("1020"), an_account("980"), now=NOW)
    assert [fact.subject for fact in journal.facts] == ["near.daily_loss"]


@pytest.mark.parametrize(
    ("later", "times"),
    [
        pytest.param(59 * MINUTE, 1, id="within the hour"),
        pytest.param(60 * MINUTE, 2, id="an hour later"),
    ],
)
def test_the_same_is_told_once_an_hour(alerts, journal, later, times):
    for at in (NOW, NOW + later):
        alerts.look(a_state("1000"), an_account("960"), now=at)
    assert len(journal.facts) == times


@pytest.mark.req("S1-97", "S1-99", "S1-100")
def test_a_halt_is_told_once_with_its_reason_and_its_end(alerts, journal):
    before = a_state("1000")
    halted = next_state(before, Marked(equity=Decimal(790), at=NOW), LIMITS)
    alerts.note(before, halted, NOW)
    worse = next_state(halted, Marked(equity=Decimal(700), at=NOW + MINUTE), LIMITS)
    alerts.note(halted, worse, NOW + MINUTE)
    flat = next_state(worse, FlatSeen(is_flat=True, at=NOW + MINUTE), LIMITS)
    alerts.note(worse, flat, NOW + MINUTE)
    lifted = next_state(flat, Resume(by="Ann", why="looked", at=NOW + 2 * MINUTE), LIMITS)
    alerts.note(flat, lifted, NOW + 2 * MINUTE)
    told = [(fact.kind, fact.subject) for fact in journal.facts]
    assert told == [
        (AlertKind.TRADING, "drawdown_limit"),
        (AlertKind.KILL_SWITCH, "thrown"),
        (AlertKind.KILL_SWITCH, "done"),
        (AlertKind.TRADING, "monthly_loss_limit"),
    ]
    assert "sextant resume" in journal.facts[0].text


def test_a_kill_switch_that_has_to_begin_again_is_told_each_time(alerts, journal):
    state = next_state(a_state("1000"), Flatten(by="Ann", why="storm", at=NOW), LIMITS)
    for is_flat in (True, False, True):
        after = next_state(state, FlatSeen(is_flat=is_flat, at=NOW), LIMITS)
        alerts.note(state, after, NOW)
        state = after
    assert [fact.subject for fact in journal.facts] == ["done", "again", "done"]


def test_a_pause_of_a_desk_is_told_and_a_halt_of_its_own_too(alerts, journal):
    state = a_state("1000")
    for _ in range(LIMITS.max_model_failures):
        after = next_state(state, ModelFailed(strategy_id="council", at=NOW), LIMITS)
        alerts.note(state, after, NOW)
        state = after
    halted = next_state(state, Halt(by="Ann", why="storm", at=NOW), LIMITS)
    alerts.note(state, halted, NOW)
    assert [(fact.kind, fact.subject) for fact in journal.facts] == [
        (AlertKind.DESK_PAUSED, "council"),
        (AlertKind.TRADING, "halted by Ann: storm"),
    ]


def test_who_listens_hears_what_goes_on_record(alerts, journal):
    heard = []
    alerts.listener = heard.append
    alerts.tell(AlertKind.ERROR, "council", "ValueError: no", at=NOW)
    assert heard == journal.facts != []


def test_the_peak_that_a_reset_forgets_is_no_mark(alerts, journal):
    alerts.look(replace(a_state("1000"), peak_equity=None), an_account("980"), now=NOW)
    assert journal.facts == []

"""The live view."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from io import StringIO
from types import SimpleNamespace

import pytest
from rich.console import Console

from data.account import Position
from data.defect import Defect, DefectKind
from data.instrument import Side, Symbol
from execution.dead_man import Guard
from execution.planned_stop import PlannedStop
from risk.breaker import TradingState
from risk.objection import Objection
from sextant.cycle import Approved, Vetoed
from sextant.terminal import ballot_row, render, ruling_in_words
from tests.builders_evaluation import BTC, START, a_replay, a_vote, an_abstention


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """A session that has decided a hundred times and more with six stand-ins."""
    return a_replay(tmp_path_factory.mktemp("view"), bars=1_200)[0]


def a_book(session, state=None, plans=None, account=None):
    """That of the session, with another state, or other plans and positions."""
    book = session.book
    return SimpleNamespace(
        account=account or book.account,
        state=state or book.state,
        kept=book.kept,
        engine=SimpleNamespace(plans=book.engine.plans if plans is None else plans),
    )


def a_position():
    return Position(
        symbol=BTC,
        quantity=Decimal("0.1"),
        entry_price=Decimal(100_000),
        mark=Decimal(101_000),
        notional=Decimal(10_100),
        opened_at=START,
    )


def seen(session, *, width=100, guard=None):
    text = StringIO()
    shown = render(
        session,
        title="Sextant, rehearsal on synthetic:7",
        now=START + timedelta(hours=7),
        model_costs_usd=Decimal("1234.5"),
        guard=guard,
    )
    Console(file=text, width=width).print(shown)
    return text.getvalue()


@pytest.mark.req("S1-211")
def test_the_view_fits_a_window_of_100_by_40(session):
    lines = seen(session).splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 100
    assert "…" not in "".join(lines)


@pytest.mark.parametrize("width", [80, 100, 160])
def test_every_stand_in_says_so_at_any_width(session, width):
    shown = seen(session, width=width)
    assert shown.count("(stand-in)") == 6
    assert "…" not in shown


@pytest.mark.req("S1-211", "S1-212")
def test_what_an_owner_looks_for_stands_first(session):
    lines = seen(session).splitlines()
    assert lines[0].startswith("Sextant, rehearsal on synthetic:7   2026-01-05 07:00:00 UTC")
    assert lines[0].endswith("bar 1,200")
    assert lines[1].startswith("risk ")
    equity = session.book.account(START + timedelta(hours=7)).equity
    assert equity is None or f"equity {equity:,f} USDT" in lines[2]
    assert "models 1,234.5000 USD" in lines[3]


def test_every_symbol_of_a_desk_is_decided_in_sight(session):
    shown = seen(session)
    for _, symbol in session.decisions:
        assert f"{symbol} at " in shown


def test_a_session_before_its_first_bar_has_a_view(session):
    empty = SimpleNamespace(
        book=a_book(session),
        scorecard=type(session.scorecard)(horizon=1, hold_band=0.1, fee=0.0),
        decisions={},
        defects={},
        referrals=(),
    )
    assert "none closed yet" in seen(empty)


@pytest.mark.parametrize(
    ("kind", "verdict"),
    [
        pytest.param(DefectKind.STALE_BOOK, "no decisions", id="blocks"),
        pytest.param(DefectKind.RECONNECTS, "still traded on", id="only noted"),
    ],
)
def test_what_is_wrong_with_the_data_stands_under_the_risk(session, monkeypatch, kind, verdict):
    xrp = Symbol("XRP/USDT")
    defect = Defect(kind=kind, symbol=xrp, since=START, observed=75.0, limit=60.0)
    monkeypatch.setattr(session, "defects", {Symbol("BTC/USDT"): (), xrp: (defect,)})
    line = seen(session).splitlines()[2]
    assert line == f"data of XRP/USDT since 00:00:00: {kind}: 75 against 60: {verdict}"


def test_a_halt_cannot_be_overlooked(session):
    state = replace(
        session.book.state,
        trading=TradingState.HALTED,
        reason="drawdown_limit",
        halted_until=START,
        loss_streak=6,
    )
    halted = SimpleNamespace(
        book=a_book(session, state),
        scorecard=session.scorecard,
        decisions={},
        defects={},
        referrals=(),
    )
    said = "risk halted: drawdown_limit until 2026-01-05 00:00, 6 losses in a row"
    assert seen(halted).splitlines()[1] == said


def test_a_position_is_shown_with_what_it_is_for_and_where_it_ends(session):
    plan = PlannedStop(
        symbol=BTC,
        strategy_id="council",
        side=Side.BUY,
        price=Decimal(95_000),
        target=Decimal(110_000),
        thesis="gpt: said so",
        falsified_at=Decimal("97000.5"),
    )
    flat = session.book.account(START)
    long = replace(flat, positions={BTC: a_position()})
    changed = {"scorecard": session.scorecard, "decisions": {}, "defects": {}, "referrals": ()}
    held = SimpleNamespace(
        book=a_book(session, plans={BTC: plan}, account=lambda _: long), **changed
    )
    line = "BTC/USDT held: stop 95,000, target 110,000, wrong at 97,000.5; gpt: said so"
    assert line in seen(held).splitlines()
    bare = replace(plan, target=None, thesis="", falsified_at=None)
    held.book.engine.plans[BTC] = bare
    assert "BTC/USDT held: stop 95,000" in seen(held).splitlines()
    held.book.account = lambda _: replace(flat, positions={})
    assert "held:" not in seen(held)


@pytest.mark.parametrize(
    ("ballot", "row"),
    [
        pytest.param(
            a_vote(stand_in=True),
            ["gpt", "ema_cross (stand-in)", "long", "0.60", "said so"],
            id="a stand-in's vote",
        ),
        pytest.param(a_vote(), ["gpt", "gpt-x", "long", "0.60", "said so"], id="a model's vote"),
        pytest.param(
            an_abstention(), ["gpt", "gpt-x", "abstains", "", "late: 30 s"], id="an abstention"
        ),
    ],
)
def test_a_ballot_in_words(ballot, row):
    assert [str(cell) for cell in ballot_row(ballot)] == row


OBJECTION = Objection(rule="leverage", observed="6", limit="5", unit="x equity")


@pytest.mark.req("S1-210")
@pytest.mark.parametrize(
    ("ruling", "text"),
    [
        pytest.param(None, "no order wished", id="none"),
        pytest.param(
            Approved(quantity=Decimal("-1500.5"), reductions=()), "approved -1,500.5", id="approved"
        ),
        pytest.param(
            Approved(quantity=Decimal(1), reductions=(OBJECTION,)),
            "approved +1, cut by leverage",
            id="reduced",
        ),
        pytest.param(
            Vetoed(objections=(OBJECTION, replace(OBJECTION, rule="exposure"))),
            "vetoed: leverage: 6 against 5 x equity; exposure: 6 against 5 x equity",
            id="vetoed, with every objection",
        ),
    ],
)
def test_a_ruling_in_words(ruling, text):
    assert ruling_in_words(ruling) == text


@pytest.mark.parametrize(
    ("guard", "said"),
    [
        pytest.param(None, "", id="at a venue of our own"),
        pytest.param(Guard.IDLE, "", id="nothing rests"),
        pytest.param(Guard.SWITCH, "unless it hears of us", id="the switch"),
        pytest.param(Guard.EXPIRY, "ends at the venue by itself", id="their own end"),
        pytest.param(Guard.NONE, "none may", id="nothing"),
    ],
)
def test_what_guards_resting_entries_is_shown(session, guard, said):
    text = seen(session, guard=guard)
    assert ("resting entries" in text) is bool(said)
    assert said in text

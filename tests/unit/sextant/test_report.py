"""The report: a table that nothing is cut in, a page of its own, and files for other tools."""

import csv
import json
import re
from dataclasses import fields, replace
from datetime import date, timedelta
from decimal import Decimal
from html.parser import HTMLParser
from io import StringIO

import pytest
from rich.console import Console

from data.instrument import Side
from sextant.evaluation.figures import busiest, figures, filled_by, stand_in_notice
from sextant.evaluation.plot import WIDTH, bar_plot
from sextant.evaluation.report import table, write_report
from sextant.evaluation.summary import (
    DayGroup,
    DeskSummary,
    GateDay,
    RuleSummary,
    SeatSummary,
)
from tests.builders_evaluation import (
    BTC,
    DAY,
    START,
    a_bar,
    a_fill,
    a_replay,
    a_scorecard,
    a_summary,
    a_trade,
    a_vote,
)


def in_a_terminal(summary, *, width=80):
    text = StringIO()
    Console(file=text, width=width).print(table(summary))
    return text.getvalue()


@pytest.fixture(scope="module")
def replayed(tmp_path_factory):
    """(session, summary) of a replay with six stand-ins."""
    return a_replay(tmp_path_factory.mktemp("replay"))


def a_seat(model="baseline:ema_cross", *, stand_in=True, voter="gpt"):
    return SeatSummary(
        voter=voter,
        model=model,
        stand_in=stand_in,
        votes={"long": 1_999, "hold": 1},
        abstentions={"late": 2_000},
        scored=10,
        accuracy=0.5,
        brier=0.25,
    )


@pytest.mark.parametrize(
    ("seat", "text"),
    [
        pytest.param(a_seat(), "ema_cross (stand-in)", id="a stand-in"),
        pytest.param(a_seat("gpt-x", stand_in=False), "gpt-x", id="a model"),
        pytest.param(a_seat("baseline:hold", stand_in=False), "baseline:hold", id="a rule's seat"),
    ],
)
def test_who_fills_a_seat(seat, text):
    assert filled_by(seat) == text


def test_stand_ins_are_named_in_a_sentence():
    seats = [a_seat(), a_seat("gpt-x", stand_in=False, voter="grok")]
    assert stand_in_notice(seats).startswith("1 of 2 seats were filled by rules")
    assert stand_in_notice(seats[1:]) == ""


@pytest.mark.parametrize(
    "seat",
    [
        pytest.param(a_seat(), id="short"),
        pytest.param(a_seat("baseline:volatility_scaled_trend"), id="the longest baseline"),
        pytest.param(
            a_seat("claude-opus-4-1-20250805-thinking", stand_in=False, voter="claude-opus"),
            id="a long model in a long seat",
        ),
    ],
)
def test_nothing_is_cut_in_eighty_columns(seat):
    summary = replace(a_summary(a_scorecard()), seats=(seat,), market="file_" * 60)
    text = in_a_terminal(summary)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80
    for part in ("50%", "<1%", "file_" * 60):
        assert part in re.sub(r"\s", "", text)
    rest = iter(text.partition("Votes")[2])  # a long name goes on in the next line
    assert all(letter in rest for letter in seat.model.removeprefix("baseline:"))
    assert ("(stand-in)" in text) == seat.stand_in


def changed(change):
    """A summary with some of its figures, of whichever part, as in `change`."""
    summary = a_summary(a_scorecard())
    for part in ("gate", "trading", "returns"):
        names = {field.name for field in fields(getattr(summary, part))} & change.keys()
        of_part = replace(getattr(summary, part), **{name: change[name] for name in names})
        change = {name: value for name, value in change.items() if name not in names}
        summary = replace(summary, **{part: of_part})
    return replace(summary, **change)


@pytest.mark.req("S1-209")
def test_risk_is_told_before_return():
    names = [name for name, _ in figures(a_summary(a_scorecard()))]
    assert names.index("Sharpe (daily, 365)") < names.index("drawdown") < names.index("return")


@pytest.mark.parametrize(
    ("change", "name", "value"),
    [
        pytest.param(
            {"equity_end": Decimal("1234567.000000000000000001")},
            "equity at the end",
            "1,234,567.000000000000000001 USDT",
            id="every digit of the ledger's equity",
        ),
        pytest.param({"equity_end": None}, "equity at the end", "unknown USDT", id="no equity"),
        pytest.param({"decisions": 142_843}, "decisions", "142,843, 0 failed", id="thousands"),
        pytest.param({"sharpe": None}, "Sharpe (daily, 365)", "undefined", id="undefined"),
        pytest.param(
            {"unvalued": 3}, "without a price", "3 fills, charges or trades, left out above", id="a"
        ),
        pytest.param(
            {"trades": 1_000, "hit_rate": 0.5, "trades_per_day": 2.0},
            "closed trades",
            "1,000, 50.0% won, 2.00 a day",
            id="trades",
        ),
        pytest.param(
            {"fees": 1234.5, "cost_share": 0.1},
            "fees",
            "1,234.50 USDT, 10.0% of the profit before them",
            id="costs",
        ),
        pytest.param(
            {"rejections": {"leverage": 2_000, "drawdown": 1}},
            "objections by rule",
            "leverage 2,000, drawdown 1",
            id="objections",
        ),
        pytest.param(
            {"rejections": {"leverage": 3}, "intents": 4},
            "objections by rule",
            "leverage 3 (75.0%)",
            id="objections as a share of intents",
        ),
        pytest.param(
            {"revisions": 1_200, "asked_again": 9, "approved_again": 5},
            "sent back",
            "1,200, 9 asked again, 5 then approved",
            id="revisions",
        ),
        pytest.param(
            {"referrals": 3, "referral_ends": {"consented": 2, "expired": 1}},
            "left to a person",
            "3, 2 consented, 1 expired",
            id="referrals",
        ),
        pytest.param(
            {
                "busy_days": DayGroup(count=2, mean_change=-0.01),
                "other_days": DayGroup(count=8, mean_change=0.001),
            },
            "days of over 5 vetoes",
            "2 of 10; mean return -1.00% on these, 0.10% on the others",
            id="days with many vetoes",
        ),
        pytest.param(
            {"busy_days": DayGroup(count=3, mean_change=None)},
            "days of over 5 vetoes",
            "3 of 3; mean return undefined on these",
            id="every day with many vetoes",
        ),
        pytest.param(
            {"other_days": DayGroup(count=8, mean_change=0.001)},
            "days of over 5 vetoes",
            "0 of 8",
            id="no day with many vetoes",
        ),
    ],
)
def test_a_figure_in_words(change, name, value):
    assert dict(figures(changed(change)))[name] == value


@pytest.mark.parametrize("name", ["sent back", "left to a person"])
def test_what_never_happened_is_not_told(name):
    assert name not in dict(figures(a_summary(a_scorecard())))


def a_rule(rule="correlated_exposure", *, shadow=False, total_r=-1_234.56):
    return RuleSummary(
        rule=rule,
        shadow=shadow,
        vetoes=123_456,
        alone=99_999,
        trades=12_345,
        won=0.25,
        mean_r=-0.1,
        total_r=total_r,
        busy_days=365,
    )


GATE = {
    "rules": (a_rule(shadow=True), a_rule("desk.monthly_loss_limit")),
    "desks": (
        DeskSummary(
            strategy_id="a-desk-with-a-long-name",
            decisions=1_000_000,
            skipped=1_000,
            intents=200_000,
            approved=100_000,
            sent_back=1_001,
            referred=1_002,
            vetoed=99_000,
        ),
    ),
    "days": tuple(
        GateDay(
            date=date(2026, 1, day),
            intents=1_000,
            vetoes=day,
            rejections={"round_trip_cost": day, "trend": 1},
            change=-0.0123,
        )
        for day in range(1, 21)
    ),
}


@pytest.mark.req("S1-196", "S1-222", "S1-126")
def test_the_worth_of_each_rule_fits_into_eighty_columns():
    text = in_a_terminal(changed(GATE))
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80
    rows = [line.split() for line in text.splitlines()]
    numbers = ["123,456", "99,999", "12,345", "25%", "-0.10", "-1,234.6", "365"]
    assert ["correlated_exposure", "shadow", *numbers] in rows
    assert ["desk.monthly_loss_limit", "acting", *numbers] in rows


def test_the_days_with_the_most_vetoes_come_first():
    days = [day.date.day for day in busiest(changed(GATE).gate)]
    assert days == list(range(20, 10, -1))


@pytest.mark.req("S1-196", "S1-222", "S1-126")
def test_the_page_shows_what_came_to_the_gate(tmp_path):
    summary = changed(GATE)
    text = " ".join(
        Page(write_report(tmp_path, summary, a_scorecard())[1].read_text()).text.split()
    )
    assert "correlated_exposure shadow 123,456 99,999 12,345 25% -0.10 -1,234.6 365" in text
    assert "a-desk-with-a-long-name 1,000,000 1,000 200,000 100,000 99,000 1,001 1,002" in text
    assert "2026-01-20 20 1,000 -1.23% round_trip_cost 20, trend 1" in text


class Page(HTMLParser):
    """What a page is made of: its tags in order, what they link to, and its text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.links, self.text = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.text += " "
        self.links += [value for name, value in attributes if name in {"src", "href"}]

    def handle_data(self, data):
        self.text += data


@pytest.mark.req("S1-212")
def test_the_page_stands_alone_and_shows_everything(replayed, tmp_path):
    session, summary = replayed
    path = write_report(tmp_path, summary, session.scorecard)[1]
    page = Page(path.read_text(encoding="utf-8"))
    assert not {"script", "link", "img", "iframe"} & set(page.tags)
    assert page.links == []
    assert "url(" not in path.read_text() and "@import" not in path.read_text()
    assert page.tags.count("polyline") == 2 + len(session.scorecard.prices)
    assert f"{summary.equity_end:,f} USDT" in page.text
    for seat in summary.seats:
        assert seat.voter in page.text
    assert "6 of 6 seats were filled by rules" in page.text
    assert page.text.count("(stand-in)") == 6


def test_a_run_without_anything_has_a_page(tmp_path):
    path = write_report(tmp_path, a_summary(a_scorecard()), a_scorecard())[1]
    assert "no bar" in path.read_text()


def test_the_bars_of_the_first_and_the_last_day_stay_inside_the_plot():
    noon, later = START + DAY / 2, START + DAY / 2 + timedelta(hours=6)
    drawn = bar_plot([noon, later], [0.1, -0.1], label="return", span=(noon, later))
    edges = [
        (float(x), float(x) + float(width))
        for x, width in re.findall(
            r'<rect class="[a-z]+" x="([0-9.]+)" .*?width="([0-9.]+)"', drawn
        )
    ]
    assert edges[0][0] == 76
    assert edges[1][1] == pytest.approx(WIDTH - 14, abs=0.1)


def test_what_others_wrote_is_text_on_the_page(tmp_path):
    summary = replace(
        a_summary(a_scorecard()),
        market="<script>alert(1)</script>",
        seats=(a_seat("<img src=x>", stand_in=False),),
    )
    page = Page(write_report(tmp_path, summary, a_scorecard())[1].read_text())
    assert not {"script", "img"} & set(page.tags)
    assert "<script>alert(1)</script>" in page.text


def test_the_numbers_as_json(replayed, tmp_path):
    session, summary = replayed
    told = json.loads(write_report(tmp_path, summary, session.scorecard)[0].read_bytes())
    assert told["equity_end"] == str(summary.equity_end)
    assert told["bars"] == summary.bars == session.scorecard.bars
    assert told["fees"] == summary.trading.fees
    assert [seat["stand_in"] for seat in told["seats"]] == [True] * 6
    assert told["first_bar"].endswith("Z")


@pytest.mark.req("S1-224")
def test_the_tables_for_other_tools(tmp_path):
    card = a_scorecard()
    for index, equity in enumerate([1000, 900, 1100]):
        card.see(a_bar(index), Decimal(equity))
    card.fill(a_fill(Side.SELL, "0.00001", "100000"), Decimal(1))
    card.close(a_trade("-1.5"))
    card.close(a_trade(None))
    write_report(tmp_path, a_summary(card), card)

    def rows(name):
        return list(csv.DictReader((tmp_path / name).read_text().splitlines()))

    assert [(r["equity"], r["drawdown"]) for r in rows("equity.csv")] == [
        ("1000.0", "0.000000"),
        ("900.0", "0.100000"),
        ("1100.0", "0.000000"),
    ]
    (fill,) = rows("fills.csv")
    assert fill["at"] == "2026-01-05T00:00:00+00:00"
    assert (fill["symbol"], fill["side"], fill["quantity"]) == (BTC, "sell", "0.00001")
    assert [trade["pnl"] for trade in rows("trades.csv")] == ["-1.5", ""]


@pytest.mark.req("S1-210", "S1-225")
def test_the_page_tells_confidence_from_luck(tmp_path):
    card = a_scorecard()
    for index, close in enumerate(["100", "101", "100"]):
        card.see(a_bar(index, close), Decimal(1000))
        sure, unsure = a_vote(confidence=0.85), a_vote(confidence=0.55, voter="grok")
        card.decided("desk", BTC, Decimal(close), (sure, unsure), None)
    page = Page(write_report(tmp_path, a_summary(card), card)[1].read_text())
    assert [cell.low for cell in a_summary(card).deciles] == [0.5, 0.8]
    assert "0.8 to 0.9" in page.text

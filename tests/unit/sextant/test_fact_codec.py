"""Facts as canonical JSON: what reads back, and what is refused."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from agents.report import RegimeReport, TechnicalReport
from agents.vote import Abstention, AbstentionReason, Ballot, Vote
from data.instrument import Notional, Quantity, Symbol
from execution.fill import Fill
from risk.approval import Rejection, Verdict
from risk.intent import Direction
from sextant.journal.codec import Codec, Undecodable, Unencodable, UnfitForJournal
from tests.builders_journal import a_fill


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Something of every kind."""

    ballots: tuple[Ballot, ...]
    report: TechnicalReport | RegimeReport | None
    indicators: Mapping[str, float]
    held: Mapping[Symbol, Quantity]
    took: timedelta
    at: datetime
    equity: Notional | None
    note: str


def a_sample(**changes):
    values = {
        "ballots": (
            Vote(
                voter="a",
                model="m",
                stand_in=True,
                direction=Direction.LONG,
                confidence=0.25,
                rationale='zero \0, quotes " and \u20bf',
            ),
            Abstention(
                voter="b", model="m", stand_in=True, reason=AbstentionReason.LATE, detail=""
            ),
        ),
        "report": TechnicalReport(
            analyst="t", trend=0.1, momentum=-0.2, alignment=0.3, rationale=""
        ),
        "indicators": {"z": 1e300, "a": -0.0},
        "held": {Symbol("BTC/USD"): Quantity(Decimal("-0.10"))},
        "took": timedelta(days=1, microseconds=1),
        "at": datetime(2025, 3, 1, 12, 0, 0, 1, tzinfo=UTC),
        "equity": None,
        "note": "",
    }
    return Sample(**{**values, **changes})


CODEC = Codec({"sample": Sample, "fill": Fill})


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="a union, mappings, a duration, nothing"),
        pytest.param({"took": timedelta(days=-1, microseconds=1)}, id="a negative duration"),
        pytest.param({"equity": Notional(Decimal("1E+3"))}, id="a Decimal with an exponent"),
        pytest.param({"equity": Notional(Decimal("-0.00"))}, id="a negative zero"),
        pytest.param({"indicators": {"a": math.inf, "b": -math.inf}}, id="infinite floats"),
        pytest.param({"note": "\ud7ff\U0010ffff\n\u2028"}, id="odd text"),
    ],
)
def test_it_reads_back_equal_and_to_the_digit(changes):
    sample = a_sample(**changes)
    back = CODEC.decode(*CODEC.encode(sample))
    assert back == sample
    assert str(back.equity) == str(sample.equity)
    assert CODEC.encode(back) == CODEC.encode(sample)


def test_nan_reads_back_as_nan():
    back = CODEC.decode(*CODEC.encode(a_sample(indicators={"warming_up": math.nan})))
    assert math.isnan(back.indicators["warming_up"])


def test_the_order_of_a_mapping_does_not_show():
    one = a_sample(indicators={"a": 1.0, "b": 2.0})
    assert CODEC.encode(one) == CODEC.encode(a_sample(indicators={"b": 2.0, "a": 1.0}))


def test_what_it_looks_like():
    assert CODEC.encode(a_fill(1)) == (
        "fill",
        b'{"fill_id":"F1","client_order_id":"6f6d3f3c-5e2b-5f0e-9d6a-5e87a9a1c0de",'
        b'"symbol":"BTC/USD","side":"buy","quantity":"0.10","price":"42000.1","fee":"1.68",'
        b'"fee_asset":"USD","liquidity":"taker","filled_at":"2025-03-01T12:00:01Z",'
        b'"forced":""}',
    )


def test_a_fill_on_record_from_before_liquidations_were_told_reads_as_none():
    topic, body = CODEC.encode(a_fill(1))
    assert CODEC.decode(topic, body.replace(b',"forced":""', b"")) == a_fill(1)


@pytest.mark.parametrize(
    "fact",
    [
        pytest.param(a_sample().ballots[0], id="a type without a topic"),
        pytest.param(a_sample(note="\ud800"), id="half a character"),
        pytest.param(a_sample(note=object()), id="no value of the type"),
    ],
)
def test_what_cannot_be_written_is_named(fact):
    with pytest.raises(Unencodable, match=r"sample|Vote"):
        CODEC.encode(fact)


@pytest.mark.parametrize(
    ("topic", "body"),
    [
        pytest.param("bar", b"{}", id="a topic of another version"),
        pytest.param("fill", b"{}", id="fields missing"),
        pytest.param("fill", CODEC.encode(a_fill(1))[1][:-1] + b',"more":1}', id="one too many"),
        pytest.param("fill", CODEC.encode(a_fill(1))[1].replace(b"BTC/", b"btc"), id="bad symbol"),
        pytest.param("fill", b"nonsense", id="no JSON"),
    ],
)
def test_what_cannot_be_read_is_named(topic, body):
    with pytest.raises(Undecodable, match=topic):
        CODEC.decode(topic, body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Twin:
    """The same fields as another member of its union."""

    analyst: str
    trend: float
    momentum: float
    alignment: float
    rationale: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OneOfTwins:
    report: TechnicalReport | Twin


@dataclass(frozen=True, slots=True, kw_only=True)
class TextOrNumber:
    value: Decimal | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unordered:
    names: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    verdict: Verdict


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (OneOfTwins, "which one"),
        (TextOrNumber, "which one"),
        (Unordered, "no order"),
        (Sealed, "sealed"),
    ],
)
def test_a_type_that_would_not_read_back_is_refused_at_the_start(kind, why):
    with pytest.raises(UnfitForJournal, match=why):
        Codec({"it": kind})


def test_a_rejection_is_fit():
    assert Codec({"rejection": Rejection})


@pytest.mark.parametrize("topics", [{"../up": Fill}, {"Fill": Fill}, {"a": Fill, "b": Fill}])
def test_topics_are_names_of_folders_and_each_type_has_one(topics):
    with pytest.raises(ValueError, match="topic"):
        Codec(topics)

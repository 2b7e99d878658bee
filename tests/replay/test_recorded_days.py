"""The day of the crash: twice the same, the same from its own journal, blind to the future.

Three pairs through 2021-05-19, the whole road on: analysts, six seats, consensus, rules, paper
venue. Two of the seats are filled by scripted models, so that recorded answers are read again too.
"""

import asyncio
import hashlib
import json
from datetime import UTC, datetime
from decimal import Decimal

import orjson
import pytest

from agents.interview import ModelSeat
from agents.llm.budget import TokenPrice
from agents.llm.model import ModelUnavailable
from agents.llm.scripted import ScriptedModel
from data.bar import Bar, Timeframe
from data.feed import FeedInterrupted
from data.feeds.playback import known_at
from data.feeds.recorded import merge, read_bars
from data.instrument import Symbol
from sextant import wiring
from sextant.auditor import Auditor
from sextant.facts import codec
from sextant.journal.line import line_of, parse_line
from sextant.journal.verify import verify
from sextant.replay import replay
from sextant.settings import load_settings
from tests.builders_daemon import ROOT

SETTINGS = load_settings(ROOT / "config" / "synthetic.toml")
SYMBOLS = [Symbol("BTC/USDT"), Symbol("XRP/USDT"), Symbol("XRP/BTC")]
SINCE, UNTIL = datetime(2021, 5, 19, 9, tzinfo=UTC), datetime(2021, 5, 19, 17, tzinfo=UTC)
HALFWAY = datetime(2021, 5, 19, 13, tzinfo=UTC)


@pytest.fixture(scope="module")
def crash(shared_data):
    """Eight hours of all three pairs, the crash in their middle."""
    folder = shared_data / "ohlcv_1m"
    streams = []
    for symbol in SYMBOLS:
        (path,) = folder.glob(f"binance_spot_{symbol.replace('/', '')}_1m_2021*.csv.gz")
        events = read_bars(path, symbol, Timeframe.M1)
        streams.append([e for e in events if SINCE < known_at(e) <= UNTIL])
    return list(merge(streams))


def answers(question):
    """What a model might say: a vote that depends on the question, now and then nothing usable."""
    draw = int(hashlib.sha256(question.user.encode()).hexdigest(), 16)
    if draw % 11 == 0:
        return ModelUnavailable("the line is dead")
    if draw % 13 == 0:
        return "```json {} ```"
    vote = {
        "symbol": question.subject,
        "cited": [],
        "rationale": "as the numbers say",
        "direction": ("long", "short", "hold")[draw % 3],
        "confidence": 0.5 + draw % 40 / 100,
    }
    return json.dumps(vote)


def seated(settings, clock):
    """The rehearsal's roster with two of its stand-ins replaced by scripted models."""
    roster = wiring.roster(settings, clock)
    models = tuple(
        ModelSeat(
            voter=seat.voter,
            model=ScriptedModel(seat.model, answers, clock=clock),
            prompt="voters/trend",
            price=TokenPrice(input=Decimal(0), output=Decimal(0)),
            max_tokens=500,
        )
        for seat in settings.seat[-2:]
    )
    return wiring.roster_of(settings, roster.seats[:-2] + models, roster.budget)


async def journal_of(events, folder, *, keep_all=False):
    """The lines that a replay of `events` writes."""
    await replay(
        SETTINGS, iter(events), market="recorded", out=folder, keep_all=keep_all, seated=seated
    )
    return (folder / "journal.jsonl").read_bytes()


def decisions(journal, *, before=UNTIL):
    """The bodies of the decisions on bars up to `before`, in order."""
    records = [parse_line(line) for line in journal.splitlines(keepends=True)]
    bodies = [record.body for record in records if record.topic == "signals"]
    return [b for b in bodies if orjson.loads(b)["bar_closed_at"] <= f"{before:%Y-%m-%dT%H:%M:%SZ}"]


@pytest.mark.req("S0-19", "S1-153")
async def test_the_same_day_is_the_same_to_the_byte(crash, tmp_path):
    once = await journal_of(crash, tmp_path / "once")
    again = await journal_of(crash, tmp_path / "again")
    assert once == again
    assert decisions(once)


@pytest.fixture(scope="module")
def full_record(crash, tmp_path_factory):
    """A journal with every bar and decision, as a live run writes it."""
    folder = tmp_path_factory.mktemp("full")
    return asyncio.run(journal_of(crash, folder, keep_all=True))


async def audited(lines):
    auditor = Auditor(codec())
    for line in lines:
        await auditor.follow(parse_line(line))
    return auditor


@pytest.mark.req("S0-15", "S1-153", "S1-144", "S2-47")
async def test_the_journal_alone_decides_the_same_again(full_record):
    auditor = await audited(full_record.splitlines(keepends=True))
    assert not auditor.mismatches
    assert auditor.compared["signals"] == len(decisions(full_record)) > 1000
    assert auditor.compared["order_intent"] > 0
    assert auditor.compared["rejection"] > 0


@pytest.mark.parametrize(
    ("topic", "field", "value"),
    [
        pytest.param("signals", b'"confidence":0.', b'"confidence":0.0', id="a vote"),
        pytest.param("order_intent", b'"quantity":"', b'"quantity":"1', id="a size"),
        pytest.param("rejection", b'"observed":"', b'"observed":"9', id="a reason"),
    ],
)
async def test_a_record_that_was_changed_is_found(full_record, topic, field, value):
    """Even by someone who makes every digest of the chain anew."""
    lines = full_record.splitlines(keepends=True)
    at = next(i for i, line in enumerate(lines) if parse_line(line).topic == topic)
    lines[at] = lines[at].replace(field, value, 1)
    auditor = await audited(lines)
    assert [m.seq for m in auditor.mismatches] == [at + 1]


async def test_the_chain_holds(full_record):
    async def records():
        for line in full_record.splitlines(keepends=True):
            record = parse_line(line)
            assert line_of(record) == line
            yield record

    assert await verify(records()) == len(full_record.splitlines())


def scrambled(event):
    """The same event after the split with its prices doubled and turned upside down."""
    if isinstance(event, FeedInterrupted) or known_at(event) <= HALFWAY:
        return event
    return Bar(
        symbol=event.symbol,
        timeframe=event.timeframe,
        closed_at=event.closed_at,
        open=event.close * 2,
        high=event.high * 2,
        low=event.low * 2,
        close=event.open * 2,
        volume=event.volume,
    )


@pytest.mark.req("S3-6")
@pytest.mark.parametrize(
    "future",
    [
        pytest.param(lambda crash: [scrambled(e) for e in crash], id="scrambled"),
        pytest.param(lambda crash: [e for e in crash if known_at(e) <= HALFWAY], id="cut off"),
    ],
)
async def test_the_future_changes_no_past_decision(crash, tmp_path, future):
    real = decisions(await journal_of(crash, tmp_path / "real"), before=HALFWAY)
    other = decisions(await journal_of(future(crash), tmp_path / "other"), before=HALFWAY)
    assert real == other
    assert real

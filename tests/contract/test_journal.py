"""What every journal does; `OrderJournal` of execution is a part of it."""

import asyncio

import pytest

from data.bar import Timeframe
from data.feed import FeedInterrupted
from data.instrument import Symbol
from sextant.journal.codec import Unencodable
from sextant.journal.export import export_jsonl
from sextant.journal.line import parse_line
from sextant.journal.port import JournalHeld
from sextant.journal.record import GENESIS, ChainBroken
from sextant.journal.verify import verify
from tests.builders_journal import NOON, Jsonl, Memory, Postgres, a_bar, a_fill, collected
from tests.builders_stores import ON_TIMESCALE, POOLS

KINDS = ["memory", "jsonl", "jsonl without sync", "postgres", ON_TIMESCALE]


@pytest.fixture(params=KINDS)
def home(request, tmp_path):
    """Where a journal lives."""
    match request.param:
        case "memory":
            return Memory()
        case "postgres" | "timescale" as kind:
            return Postgres(request.getfixturevalue(POOLS[kind]))
        case kind:
            return Jsonl(tmp_path, sync=kind == "jsonl")


lasting = pytest.mark.parametrize("home", KINDS[1:], indirect=True)


async def test_facts_come_back_equal_and_in_order(home):
    facts = [a_bar(1), a_fill(1), a_bar(2), a_fill(2)]
    async with home.opened() as journal:
        for fact in facts:
            journal.write(fact)
        await journal.flush()
        assert await collected(journal.facts()) == facts


@pytest.mark.parametrize("home", KINDS[:3], indirect=True)  # a database may be faster than asked
async def test_what_is_not_flushed_does_not_count(home):
    async with home.opened() as journal:
        journal.write(a_fill(1))
        await journal.flush()
        journal.write(a_fill(2))
        assert await collected(journal.facts()) == [a_fill(1)]
        assert journal.last.seq == 2


async def test_a_new_journal_is_empty(home):
    async with home.opened() as journal:
        await journal.flush()
        assert journal.last is None
        assert await collected(journal.records()) == []


@pytest.mark.req("S1-143", "S1-153")
async def test_records_are_numbered_dated_and_chained(home):
    async with home.opened() as journal:
        for number in range(3):
            journal.write(a_fill(number))
        await journal.flush()
        records = await collected(journal.records())
        assert [record.seq for record in records] == [1, 2, 3]
        assert {(record.topic, record.at, record.name) for record in records} == {
            ("fill", NOON, "main")
        }
        assert [record.previous for record in records] == [
            GENESIS,
            records[0].digest,
            records[1].digest,
        ]
        assert records[-1] == journal.last
        assert await verify(journal.records()) == 3


async def test_the_same_facts_have_the_same_digests_in_every_kind_of_journal(home):
    async with Memory().opened() as other, home.opened() as journal:
        for one in (journal, other):
            one.write(a_bar(1))
            one.write(a_fill(1))
        assert journal.last == other.last


async def test_a_fact_without_a_topic_is_refused_and_leaves_no_gap(home):
    stranger = FeedInterrupted(
        symbol=Symbol("BTC/USD"), timeframe=Timeframe.M1, since=NOON, until=NOON, reason=""
    )
    async with home.opened() as journal:
        with pytest.raises(Unencodable, match="FeedInterrupted"):
            journal.write(stranger)
        journal.write(a_fill(1))
        assert journal.last.seq == 1


async def test_many_flushes_at_once_all_return(home):
    async with home.opened() as journal:

        async def one(number):
            journal.write(a_fill(number))
            await journal.flush()

        async with asyncio.TaskGroup() as tasks:
            for number in range(50):
                tasks.create_task(one(number))
        assert len(await collected(journal.records())) == 50


async def test_a_cancelled_flush_loses_nothing(home):
    async with home.opened() as journal:
        async with asyncio.TaskGroup() as tasks:
            for number in range(20):
                journal.write(a_fill(number))
                tasks.create_task(journal.flush()).cancel()
        await journal.flush()
        assert len(await collected(journal.facts())) == 20


async def test_more_than_a_page_reads_back_in_order(home):
    facts = [a_fill(number) for number in range(2500)]
    async with home.opened() as journal:
        for fact in facts:
            journal.write(fact)
        await journal.flush()
        assert await collected(journal.facts()) == facts
        assert await verify(journal.records()) == 2500


@lasting
@pytest.mark.req("S1-151")
async def test_an_orderly_end_keeps_what_was_written_without_a_flush(home):
    async with home.opened() as journal:
        journal.write(a_fill(1))
        journal.write(a_fill(2))
    async with home.opened() as journal:
        assert await collected(journal.facts()) == [a_fill(1), a_fill(2)]


@lasting
async def test_the_next_process_continues_the_chain(home):
    for number in range(3):
        async with home.opened() as journal:
            assert (journal.last.seq if journal.last else 0) == number
            journal.write(a_fill(number))
            await journal.flush()
    async with home.opened() as journal:
        assert await verify(journal.records()) == 3


@lasting
async def test_after_a_crash_the_chain_continues_behind_what_was_flushed(home):
    async with home.opened() as journal:
        journal.write(a_fill(1))
        await journal.flush()
        journal.write(a_fill(2))
        home.lose_unflushed(journal)
    async with home.opened() as journal:
        assert journal.last.seq == 1
        journal.write(a_fill(3))
        await journal.flush()
        assert await collected(journal.facts()) == [a_fill(1), a_fill(3)]
        assert await verify(journal.records()) == 2


@pytest.mark.parametrize("home", KINDS[1:4], indirect=True)  # WebAssembly's sessions share locks
async def test_a_journal_has_one_writer(home):
    async with home.opened() as journal:
        journal.write(a_fill(1))
        await journal.flush()
        with pytest.raises(JournalHeld, match="another process"):
            async with home.opened():
                pass
        async with home.opened("other") as other:
            assert other.last is None
    async with home.opened() as journal:
        assert journal.last.seq == 1


@pytest.mark.req("S1-140")
async def test_an_export_has_a_file_for_each_topic_and_day(home, tmp_path):
    async with home.opened() as journal:
        for number in range(2):
            journal.write(a_fill(number))
            journal.write(a_bar(number))
        await journal.flush()
        records = await collected(journal.records())
        for _ in range(2):  # again is the same
            assert await export_jsonl(journal.records(), tmp_path / "export") == 4
    files = sorted(file for file in (tmp_path / "export").rglob("*") if file.is_file())
    assert [str(file.relative_to(tmp_path / "export")) for file in files] == [
        "bar/date=2025-03-01/bar.jsonl",
        "fill/date=2025-03-01/fill.jsonl",
    ]
    lines = [parse_line(line) for file in files for line in file.read_bytes().splitlines()]
    assert sorted(lines, key=lambda record: record.seq) == records


async def test_a_shortened_or_reordered_journal_is_found_out(home):
    async with home.opened() as journal:
        for number in range(4):
            journal.write(a_fill(number))
        await journal.flush()
        one, two, three, four = await collected(journal.records())
    for wrong in ([two, three, four], [one, three, four], [one, three, two, four]):
        with pytest.raises(ChainBroken, match="does not follow"):
            await verify(one_by_one(wrong))
    assert await verify(one_by_one([three, four]), after=two) == 2


async def one_by_one(items):
    for item in items:
        yield item

"""What can become of a journal's file."""

from pathlib import Path

import pytest

from data.clock import ManualClock
from sextant.journal.jsonl import JsonlJournal
from sextant.journal.line import MalformedLine
from sextant.journal.port import JournalFailed
from sextant.journal.record import ChainBroken
from sextant.journal.verify import verify
from tests.builders_journal import CODEC, NOON, a_fill, collected


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.jsonl"


def opened(path):
    return JsonlJournal(path, codec=CODEC, clock=ManualClock(NOON))


def written(path, count=3):
    with opened(path) as journal:
        for number in range(count):
            journal.write(a_fill(number))


@pytest.mark.parametrize("left", [1, 40, 400, -1])
async def test_a_torn_last_line_is_cut_off(path, left):
    written(path, 2)
    whole = path.read_bytes()
    written(path, 1)
    last = path.read_bytes()[len(whole) :]
    torn = last[:left]
    path.write_bytes(whole + torn)
    with opened(path) as journal:
        assert journal.cut == len(torn)
        assert journal.last.seq == 2
        journal.write(a_fill(9))
        await journal.flush()
        assert await verify(journal.records()) == 3
        assert await collected(journal.facts()) == [a_fill(0), a_fill(1), a_fill(9)]


async def test_a_file_that_is_one_torn_line_is_a_new_journal(path):
    path.write_bytes(b'{"schema":1,"na')
    with opened(path) as journal:
        assert (journal.last, journal.cut) == (None, 15)


@pytest.mark.req("S1-153")
async def test_a_changed_record_is_named(path):
    written(path)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1] = lines[1].replace(b'"price":"42000.1"', b'"price":"42000.2"')
    path.write_bytes(b"".join(lines))
    with opened(path) as journal, pytest.raises(ChainBroken, match="record 2"):
        await verify(journal.records())


@pytest.mark.parametrize(
    ("change", "error"),
    [
        pytest.param(lambda line: line.replace(b"42000.1", b"42000.2"), ChainBroken, id="changed"),
        pytest.param(lambda line: b"nonsense\n", MalformedLine, id="no record"),
    ],
)
def test_a_file_is_not_continued_behind_a_wrong_record(path, change, error):
    written(path)
    *others, last = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*others, change(last)]))
    with pytest.raises(error):
        opened(path)


async def test_a_last_line_longer_than_a_block_is_found(path, monkeypatch):
    monkeypatch.setattr("sextant.journal.jsonl._BLOCK", 64)
    written(path)
    with opened(path) as journal:
        assert journal.last.seq == 3
        assert len(await collected(journal.facts())) == 3


async def test_a_file_cut_short_while_open_is_noticed(path):
    written(path)
    with opened(path) as journal:
        path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
        with pytest.raises(MalformedLine, match="are gone"):
            await collected(journal.records())


async def test_a_full_disk_ends_the_journal():
    full = Path("/dev/full")  # takes nothing, and says why
    with JsonlJournal(full, codec=CODEC, clock=ManualClock(NOON), sync=False) as journal:
        journal.write(a_fill(1))
        with pytest.raises(JournalFailed, match="No space left"):
            await journal.flush()
        with pytest.raises(JournalFailed):
            journal.write(a_fill(2))
        with pytest.raises(JournalFailed):
            await journal.flush()

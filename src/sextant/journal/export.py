"""A journal as files by topic and day, for people and their tools."""

from collections.abc import AsyncIterable
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Self

from sextant.journal.line import line_of
from sextant.journal.record import Record


async def export_jsonl(records: AsyncIterable[Record], folder: Path) -> int:
    """Write `<topic>/date=YYYY-MM-DD/<topic>.jsonl` under `folder`; return the number of records.

    The date is that of the record, UTC. A file that is already there is replaced, so an export of
    the whole journal is the same each time. One file a topic is open at once.
    """
    count = 0
    with _Files(folder) as files:
        async for record in records:
            files.of(record).write(line_of(record))
            count += 1
    return count


class _Files:
    """The newest file of each topic, open."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self._open: dict[str, tuple[Path, IO[bytes]]] = {}
        self._begun: set[Path] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def of(self, record: Record) -> IO[bytes]:
        day = self._folder / record.topic / f"date={record.at:%Y-%m-%d}"
        path = day / f"{record.topic}.jsonl"
        current, file = self._open.get(record.topic, (None, None))
        if file is None or current != path:
            if file is not None:
                file.close()
            day.mkdir(parents=True, exist_ok=True)
            # A clock set back returns to a day that this export has begun already.
            file = self._stack.enter_context(path.open("ab" if path in self._begun else "wb"))
            self._begun.add(path)
            self._open[record.topic] = (path, file)
        return file

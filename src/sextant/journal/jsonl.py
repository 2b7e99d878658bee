"""A journal in one file, a record a line."""

import asyncio
import fcntl
import os
from collections import deque
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from io import FileIO
from pathlib import Path
from typing import Self

import structlog

from data.clock import Clock
from sextant.journal.codec import Codec
from sextant.journal.line import MalformedLine, line_of, parse_line
from sextant.journal.port import JournalFailed, JournalHeld
from sextant.journal.record import Chain, Record, require_whole
from sextant.journal.verify import verified

_BLOCK = 1 << 20  # bytes read at once
_log = structlog.get_logger(__name__)


class JsonlJournal:
    """Records appended to a file, which is locked for as long as the journal is open.

    `sync` makes `flush` reach the disk, from a thread of the journal's own; without it, for
    replays, `flush` hands over to the operating system at once. What is written and not flushed
    waits in memory without bound: whoever writes flushes.

    An existing file is continued. A last line that a crash tore is cut off, and `cut` says how
    many bytes of it there were; none of it had been flushed.

    Raises:
        JournalHeld: another process has it open.
        ChainBroken, MalformedLine: the last record is not what was written.
        OSError: the file cannot be used.
    """

    def __init__(
        self, path: Path, *, codec: Codec, clock: Clock, name: str | None = None, sync: bool = True
    ) -> None:
        self._path = path
        self._codec = codec
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file, last, self.cut = _opened(path)
        if self.cut:
            _log.warning("a torn last line was cut off", journal=str(path), bytes=self.cut)
        self._chain = Chain(last.name if last else name or path.stem, codec, clock, last)
        self._size = self._file.seek(0, os.SEEK_END)
        self._waiting: deque[bytes] = deque()  # filled by the loop, emptied by the thread
        self._failure: OSError | None = None
        self._thread = ThreadPoolExecutor(1, "journal") if sync else None
        if sync:
            _sync_folder(path.parent)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Make durable what was written, and let go of the file."""
        if self._file.closed:
            return
        try:
            if self._thread is not None:
                self._thread.shutdown(wait=True)
            if self._failure is None:
                self._append()
        finally:
            self._file.close()

    @property
    def last(self) -> Record | None:
        return self._chain.last

    def write(self, fact: object) -> None:
        if self._failure is not None:
            raise JournalFailed(f"{self._path}: {self._failure}") from self._failure
        self._waiting.append(line_of(self._chain.extend(fact)))

    async def flush(self) -> None:
        if self._thread is None:
            self._append()
        else:
            # One thread, so in order; emptied there, so that a cancelled call loses nothing.
            await asyncio.get_running_loop().run_in_executor(self._thread, self._append)

    def _append(self) -> None:
        """Put what waits into the file; after a failure never again, for its end is unknown."""
        if self._failure is not None:
            raise JournalFailed(f"{self._path}: {self._failure}") from self._failure
        lines = [self._waiting.popleft() for _ in range(len(self._waiting))]
        if not lines:
            return
        try:
            _write_all(self._file, b"".join(lines))
            if self._thread is not None:
                os.fdatasync(self._file.fileno())
        except OSError as error:
            self._failure = error
            raise JournalFailed(f"{self._path}: {error}") from error
        self._size += sum(map(len, lines))

    async def records(self) -> AsyncIterator[Record]:
        left = self._size
        with self._path.open("rb") as file:
            while left > 0:
                lines = await asyncio.to_thread(file.readlines, min(_BLOCK, left))
                if not lines:
                    raise MalformedLine(f"{self._path}: {left} bytes of it are gone")
                for line in lines:
                    left -= len(line)
                    yield parse_line(line)

    async def facts(self) -> AsyncIterator[object]:
        async for record in verified(self.records()):
            yield self._codec.decode(record.topic, record.body)


def _opened(path: Path) -> tuple[FileIO, Record | None, int]:
    """The file, ours alone; its last record; and how many bytes were cut off behind that."""
    file = path.open("a+b", buffering=0)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return (file, *_mend(file))
    except BlockingIOError:
        file.close()
        raise JournalHeld(f"{path}: another process writes this journal") from None
    except BaseException:
        file.close()
        raise


def _write_all(file: FileIO, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]


def _mend(file: FileIO) -> tuple[Record | None, int]:
    """The last whole record, and how many bytes of a torn one were cut off behind it."""
    size = file.seek(0, os.SEEK_END)
    end = _line_start(file, size)  # of the torn line; the whole ones end here
    if end < size:
        file.truncate(end)
    if end == 0:
        return None, size
    file.seek(_line_start(file, end - 1))
    last = parse_line(file.read())
    require_whole(last)
    return last, size - end


def _line_start(file: FileIO, before: int) -> int:
    """Where the line begins that holds the byte before `before`."""
    stop = before
    while stop > 0:
        start = max(0, stop - _BLOCK)
        file.seek(start)
        found = file.read(stop - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        stop = start
    return 0


def _sync_folder(folder: Path) -> None:
    """Make the file's name durable too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

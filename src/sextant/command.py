"""What a person may order of a running daemon, and the socket in its state folder that takes it.

One line of JSON asks, one answers. Nobody but the daemon's own user can open the socket. What was
ordered is on record, with who and why, before the answer comes.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from data.faults import Fault, Refused, Transient

SOCKET = "command.sock"
_LONGEST_PATH = 100  # bytes; the system takes about 107
_MOST = 1 << 16  # bytes of a line
_ANSWER_WITHIN = timedelta(seconds=30)


class Verb(StrEnum):
    """What can be ordered."""

    HALT = "halt"  # stop all entries until `resume`
    FLATTEN = "flatten"  # throw the kill switch: end all that is ours, and stop all entries
    RESUME = "resume"  # lift a halt, or a kill switch that has done its work
    APPROVE = "approve"  # consent to the order that waits under `subject`
    DENY = "deny"  # end it
    WAITING = "waiting"  # list what waits: for consent, or to be ended; changes nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """An order of a person."""

    verb: Verb
    by: str
    why: str
    subject: str = ""  # the intent's id, for an order that waits


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of it, in words."""

    done: bool
    text: str


class CannotObey(Refused):
    """There is nothing to which the command applies."""


class NobodyThere(Transient):
    """No daemon listens in this state folder."""


_COMMAND, _ANSWER = TypeAdapter(Command), TypeAdapter(Answer)


@contextlib.asynccontextmanager
async def listening(folder: Path, obey: Callable[[Command], Awaitable[str]]) -> AsyncIterator[None]:
    """Take commands while the block runs; `obey` returns once it is on record, and says what came.

    Raises:
        Refused: the folder's path is too long for a socket.
    """
    path = folder / SOCKET
    if len(bytes(path)) > _LONGEST_PATH:
        raise Refused(f"storage.folder: {path} is too long for a socket; choose a shorter folder")
    path.unlink(missing_ok=True)  # of a daemon that was killed: the journal's lock says who runs

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):  # whoever asked may be gone
            async with asyncio.timeout(_ANSWER_WITHIN.total_seconds()):
                given = await _answered(reader, obey)
                writer.write(_ANSWER.dump_json(given) + b"\n")
                await writer.drain()
        writer.close()

    server = await asyncio.start_unix_server(answer, path, limit=_MOST)
    path.chmod(0o600)
    try:
        yield
    finally:
        server.close()
        path.unlink(missing_ok=True)


async def _answered(
    reader: asyncio.StreamReader, obey: Callable[[Command], Awaitable[str]]
) -> Answer:
    try:
        command = _COMMAND.validate_json(await reader.readline())
    except (ValidationError, ValueError):
        return Answer(done=False, text="this is no command; is the client of another version?")
    try:
        return Answer(done=True, text=await obey(command))
    except Fault as fault:
        return Answer(done=False, text=str(fault))


async def send(folder: Path, command: Command) -> str:
    """Have the daemon of `folder` obey; what came of it, in words.

    Raises:
        NobodyThere: no daemon listens.
        CannotObey: it said why not.
    """
    try:
        reader, writer = await asyncio.open_unix_connection(folder / SOCKET, limit=_MOST)
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise NobodyThere(f"{folder}: no daemon runs there") from error
    try:
        async with asyncio.timeout(_ANSWER_WITHIN.total_seconds()):
            writer.write(_COMMAND.dump_json(command) + b"\n")
            line = await reader.readline()
    except TimeoutError as error:
        raise NobodyThere(
            f"{folder}: no answer within {_ANSWER_WITHIN.seconds} s; it may be obeyed, and its "
            "record may not be safe yet: look at the daemon's log"
        ) from error
    finally:
        writer.close()
    if not line:
        raise NobodyThere(f"{folder}: the daemon ended before it answered; ask again")
    answer = _ANSWER.validate_json(line)
    if not answer.done:
        raise CannotObey(answer.text)
    return answer.text

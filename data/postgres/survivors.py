"""Processes of an earlier server, known by the cluster's name in their titles (Linux's /proc).

Where there is no /proc nothing is found, and PostgreSQL's own lock files alone keep two servers
from one folder.
"""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path
from signal import Signals

_PROC = Path("/proc")


def processes(cluster: str) -> set[int]:
    """The server and its backends that carry the cluster's name."""
    if not _PROC.is_dir():
        return set()
    numbers = (int(entry.name) for entry in _PROC.iterdir() if entry.name.isdecimal())
    return {n for n in numbers if cluster.encode() in _read(n, "cmdline") and is_postgres(n)}


def is_postgres(pid: int) -> bool:
    """Whether process `pid` runs the program `postgres`; a zombie, without arguments, does not."""
    return _read(pid, "comm") == b"postgres\n" and _read(pid, "cmdline") != b""


def signal_all(pids: Iterable[int], sign: Signals) -> None:
    """Send `sign` to those that still live."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, sign)


def _read(pid: int, name: str) -> bytes:
    """What /proc says; nothing once the process is gone."""
    try:
        return (_PROC / str(pid) / name).read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return b""

"""One measured process: what it answered, how long it took, and how much memory it needed."""

import json
import os
import re
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
_KIB = 1024  # of `ru_maxrss`, in KiB on Linux: getrusage(2)
_OUTWARD = re.compile(r"_API_KEY$|^OLLAMA_HOST$|^SEXTANT_.*_URL$")  # no seat may ask a model
_LIMIT_S = 1_800.0  # a process that takes longer hangs, and is killed
_TAIL = 2_000  # characters of a failed process's errors that are shown


class BenchFailed(Exception):
    """A figure cannot be given: a process failed, or did the work wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One finished process; CPU times include those of its children."""

    answer: Mapping[str, Any]  # its last line of JSON
    began: float  # `time.monotonic()`, which all processes of a machine share
    wall_s: float
    user_s: float
    system_s: float
    peak_mib: float

    @property
    def cpu_s(self) -> float:
        return self.user_s + self.system_s


def run(command: Sequence[str | Path]) -> Run:
    """Run `command` in the project's folder to its end, without keys or addresses of servers.

    Raises:
        BenchFailed: it failed, took half an hour, or printed no line of JSON.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors:
        began = time.monotonic()
        with subprocess.Popen(
            command,
            cwd=PROJECT,
            env={k: v for k, v in os.environ.items() if not _OUTWARD.search(k)},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process:
            limit = threading.Timer(_LIMIT_S, process.kill)
            limit.start()
            printed = process.stdout.read() if process.stdout is not None else ""
            _, status, usage = os.wait4(process.pid, 0)
            limit.cancel()
            process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.monotonic() - began
        if process.returncode != 0:
            errors.seek(0)
            raise BenchFailed(
                f"{' '.join(map(str, command))}: exit {process.returncode}\n"
                f"{errors.read()[-_TAIL:]}"
            )
    return Run(
        answer=_answer(printed, command),
        began=began,
        wall_s=wall,
        user_s=usage.ru_utime,
        system_s=usage.ru_stime,
        peak_mib=usage.ru_maxrss / _KIB,
    )


def _answer(printed: str, command: Sequence[str | Path]) -> Mapping[str, Any]:
    lines = [line for line in printed.splitlines() if line.startswith("{")]
    if not lines:
        raise BenchFailed(f"{' '.join(map(str, command))}: printed no line of JSON")
    answer: Mapping[str, Any] = json.loads(lines[-1])
    return answer

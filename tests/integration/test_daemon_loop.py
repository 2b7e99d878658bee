"""Nothing blocks the event loop: while the daemon trades, every callback is short."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sextant.daemon import Daemon
from sextant.house import open_house
from sextant.settings import load_settings
from tests.builders_daemon import EAGER, a_config

pytestmark = pytest.mark.xdist_group("daemon")

BARS = 120
LONGEST = 0.25  # seconds; the longest measured on two shared cores are 0.5 to 8 ms


@contextlib.contextmanager
def callbacks_timed() -> Iterator[list[tuple[float, str]]]:
    """(duration in seconds, what it was) of every callback of the event loop in the block.

    Time in which others had the processor, though this thread could have run, is not its own.
    """
    timed: list[tuple[float, str]] = []
    run = asyncio.Handle._run

    def passed():
        statistics = Path("/proc/thread-self/schedstat").read_text()
        return time.perf_counter() - int(statistics.split()[1]) / 1e9  # ns that it was kept waiting

    def watched(handle):
        began = passed()
        run(handle)
        timed.append((passed() - began, repr(handle)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio.Handle, "_run", watched)
        yield timed


class _Feed:
    """Takes note of when the first bars have passed, and does something at one of them."""

    def __init__(self, feed, timed, act):
        self._feed, self._timed, self._act = feed, timed, act
        self.warm = 0

    async def events(self):
        count = 0
        async for event in self._feed.events():
            count += 1
            if count == 4:  # each symbol has had its first
                self.warm = len(self._timed)
            if count == BARS // 2:
                self._act()
            yield event


async def longest_callback(config, act=lambda: None):
    """The longest callback while trading, once each symbol has had its first bar."""
    async with open_house(load_settings(config)) as house:
        with callbacks_timed() as timed:
            feed = _Feed(house.feed, timed, act)
            await Daemon(replace(house, feed=feed), max_bars=BARS).run(view=False)
    return max(timed[feed.warm :])


@pytest.fixture(autouse=True)
def configured(monkeypatch, postgres):
    """A database of the test's own is the configured one."""
    monkeypatch.setenv("SEXTANT_DATABASE_URL", postgres)


@pytest.mark.req("S1-151")
@pytest.mark.parametrize(
    "text", [pytest.param("", id="council"), pytest.param(EAGER, id="many orders")]
)
async def test_no_callback_blocks_the_loop(tmp_path, text):
    duration, what = await longest_callback(a_config(tmp_path, text))
    print(f"longest callback: {duration * 1e3:.1f} ms: {what}")
    assert duration < LONGEST, what


async def test_a_callback_that_blocks_is_noticed(tmp_path):
    pause = threading.Event()
    duration, _ = await longest_callback(a_config(tmp_path), lambda: pause.wait(LONGEST))
    assert duration >= LONGEST

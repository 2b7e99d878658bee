"""Killed at any point and run again, the gap filler leaves what an undisturbed run leaves."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.bar import Timeframe
from data.clock import ManualClock
from data.collect.gaps import fill_gaps
from data.store_memory import MemoryBarStore, MemoryTradeStore
from tests.fakes_source import (
    BTC,
    MINUTE,
    OPENING,
    ScriptedSource,
    a_trade,
    bars_of,
    kept_trades,
    traits,
)

MINUTES = 12
END = OPENING + MINUTES * MINUTE


class Killed(Exception):
    """The process ends here."""


class Fuse:
    """Blows at the `length`-th step."""

    def __init__(self, length):
        self.left = length

    def burn(self):
        self.left -= 1
        if self.left == 0:
            raise Killed


class FusedStore:
    """A store that is killed before or after it has put."""

    def __init__(self, store, fuse):
        self._store = store
        self._fuse = fuse

    async def put(self, items):
        self._fuse.burn()
        await self._store.put(items)
        self._fuse.burn()

    def __getattr__(self, name):
        return getattr(self._store, name)


@st.composite
def markets(draw):
    """Trades by growing time, many at the same one, from before the range to behind it."""
    pauses = draw(st.lists(st.integers(0, 90), min_size=10, max_size=45))
    at, trades = -60, [a_trade(99, -120)]
    for trade_id, pause in enumerate(pauses, start=100):
        at += pause if pause > 20 else 0
        trades.append(a_trade(trade_id, at, str(100 + trade_id % 5), str(1 + trade_id % 3)))
    return [*trades, a_trade(99 + len(trades), max(at, 60 * MINUTES) + 1)]


@settings(max_examples=150, deadline=None)
@given(
    market=markets(),
    lost=st.sets(st.integers(0, 44), max_size=30),
    gone=st.sets(st.integers(0, MINUTES - 1), max_size=MINUTES),
    page=st.integers(1, 20),
    overlap=st.integers(1, 4),
    by_id=st.booleans(),
    kills=st.lists(st.integers(1, 12), max_size=4),
)
@pytest.mark.req("S0-31")
async def test_the_store_is_as_if_nothing_had_happened(
    market, lost, gone, page, overlap, by_id, kills
):
    source = ScriptedSource(
        market,
        traits=traits(page=page, trades_by_id=by_id, bars_kept=0),
        overlap=overlap,
        now=lambda: END + timedelta(minutes=1),
    )
    ends = {0, len(market) - 1}
    kept = [t for n, t in enumerate(market) if n in ends or n not in lost]
    trades, bars = MemoryTradeStore(), MemoryBarStore()
    await trades.put(kept)
    missing = [OPENING + (n + 1) * MINUTE for n in gone]
    await bars.put([b for b in _in_range(kept) if b.closed_at not in missing])
    for kill in [*kills, None]:
        fuse = Fuse(kill or 0)
        try:
            report = await _fill(source, FusedStore(trades, fuse), FusedStore(bars, fuse))
        except Killed:
            continue
    assert await bars.last(BTC, Timeframe.M1, MINUTES, until=END) == _in_range(market)
    assert _traded_in_range(await kept_trades(trades)) == _traded_in_range(market)
    assert report.left == ()
    assert not (await _fill(source, trades, bars)).changed


def _in_range(trades):
    return [bar for bar in bars_of(trades, END) if bar.opened_at >= OPENING]


def _traded_in_range(trades):
    return [trade for trade in trades if OPENING <= trade.traded_at < END]


async def _fill(source, trades, bars):
    return await fill_gaps(
        source, trades, bars, BTC,
        since=OPENING, until=END, clock=ManualClock(END + timedelta(minutes=1)),
    )  # fmt: skip

"""Single parts of the road: `python -m bench.probes.parts BARS`."""

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.probes.risk import NOON, full_book
from data.bar import Bar, BarSeries, Timeframe
from data.clock import ManualClock
from data.feeds.synthetic import SyntheticMarket
from data.indicators import STANDARD, IndicatorBank
from data.instrument import Symbol
from data.snapshot import MarketHistory, take_snapshot
from sextant.facts import BarSeen, codec
from sextant.journal.jsonl import JsonlJournal
from sextant.settings import PROJECT, Settings, load_settings

_BTC = Symbol("BTC/USDT")
_WINDOW = 1_000  # bars of a history


def micros_a_bar(take: Callable[[Bar], object], bars: Sequence[Bar]) -> float:
    """Mean microseconds, in one go."""
    began = time.perf_counter()
    for bar in bars:
        take(bar)
    return (time.perf_counter() - began) / len(bars) * 1e6


def indicators(bars: Sequence[Bar]) -> float:
    """Microseconds a bar of all standard indicators, fed bar by bar."""
    bank = IndicatorBank(STANDARD)
    rows = [(bar.closed_at.timestamp(), bar.ohlcv) for bar in bars]
    began = time.perf_counter()
    for closed_at, ohlcv in rows:
        bank.update(closed_at, *ohlcv)
    return (time.perf_counter() - began) / len(rows) * 1e6


def indicators_at_once(bars: Sequence[Bar]) -> float:
    """Milliseconds of all standard indicators over the newest thousand bars, library loaded."""
    series = BarSeries.of(bars[-_WINDOW:])
    for indicator in STANDARD:
        indicator.batch(series)
    began = time.perf_counter()
    for indicator in STANDARD:
        indicator.batch(series)
    return (time.perf_counter() - began) * 1e3


def snapshots(settings: Settings, bars: Sequence[Bar]) -> float:
    """Microseconds a bar from the bar to the snapshot, with all indicators and the full book."""
    history = MarketHistory(
        settings.instruments[_BTC], Timeframe.M1, {Timeframe.M1: STANDARD}, capacity=_WINDOW
    )
    book = full_book()

    def taken(bar: Bar) -> None:
        history.add(bar)
        take_snapshot(history, book, taken_at=max(bar.closed_at, NOON))

    return micros_a_bar(taken, bars)


def journal_writes(bars: Sequence[Bar]) -> float:
    """Records a second into a replay's journal, encoded, chained and handed to the system."""
    facts = [BarSeen(at=bar.closed_at, bar=bar) for bar in bars]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.jsonl"
        with JsonlJournal(path, codec=codec(), clock=ManualClock(NOON), sync=False) as journal:
            began = time.perf_counter()
            for fact in facts:
                journal.write(fact)
            asyncio.run(journal.flush())
            return len(facts) / (time.perf_counter() - began)


def main(count: int) -> None:
    settings = load_settings(PROJECT / "config" / "synthetic.toml")
    market = SyntheticMarket(seed=7, instruments=[settings.instruments[_BTC]])
    bars = market.history(_BTC, NOON, count)
    answer = {
        "indicators_us": indicators(bars),
        "indicators_at_once_ms": indicators_at_once(bars),
        "snapshot_us": snapshots(settings, bars),
        "journal_per_s": journal_writes(bars),
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main(int(sys.argv[1]))

"""Single parts of the road: `python -m bench.probes.parts BARS`."""

import asyncio
import json
import math
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from bench.figures import percentile
from bench.process import BenchFailed
from data.account import AccountState, InFlight, Position
from data.bar import Bar, BarSeries, Timeframe
from data.clock import ManualClock
from data.feeds.synthetic import SyntheticMarket
from data.indicators import STANDARD, IndicatorBank
from data.instrument import Notional, Price, Quantity, Symbol
from data.regime import Regime
from data.snapshot import MarketHistory, take_snapshot
from risk.approval import ApprovedOrder, judge
from risk.breaker import initial_state
from risk.intent import Direction, OrderIntent, Purpose
from risk.market import Market
from sextant.facts import BarSeen, codec
from sextant.journal.jsonl import JsonlJournal
from sextant.settings import PROJECT, Settings, load_settings

_NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
_BTC = Symbol("BTC/USDT")
_EQUITY = Notional(Decimal(1_000_000))
_WINDOW = 1_000  # bars of a history


def judgement(settings: Settings) -> Callable[[], object]:
    """One judgement of an entry that passes every rule, on a book with four positions already.

    Raises:
        BenchFailed: it does not pass, so what is measured would be a refusal.
    """
    intent = OrderIntent(
        intent_id="6f6d3f3c-5e2b-5f0e-9d6a-5e87a9a1c0de",
        strategy_id="bench",
        symbol=_BTC,
        purpose=Purpose.ENTRY,
        direction=Direction.LONG,
        decided_at=_NOON,
        confidence=0.9,
        stop=Price(Decimal("41160.00")),  # 2 % below, and two average true ranges
        target=Price(Decimal("44520.00")),
    )
    market = Market(
        instrument=settings.instruments[_BTC],
        price=Price(Decimal("42000.00")),
        priced_at=_NOON,
        rate=Decimal(1),
        spread_bps=1.0,
        atr=420.0,
        regime=Regime.TRENDING_BULL,
    )
    account, state = full_book(), initial_state(_EQUITY, _NOON)

    def judged() -> object:
        return judge(
            intent, account=account, market=market, state=state, limits=settings.risk, now=_NOON
        )

    if not isinstance(verdict := judged(), ApprovedOrder):
        raise BenchFailed(f"the entry should pass: {verdict}")
    return judged


def full_book() -> AccountState:
    """Four positions of 100,000 each, and an exit of every one of them in flight."""
    symbols = [Symbol(f"{base}/USDT") for base in ("ETH", "XRP", "SOL", "ADA")]
    held = [
        Position(
            symbol=symbol,
            quantity=Quantity(Decimal("1000.00000000")),
            entry_price=Price(Decimal("99.50")),
            mark=Price(Decimal("100.00")),
            notional=Notional(Decimal(100_000)),
            opened_at=_NOON - timedelta(hours=3),
        )
        for symbol in symbols
    ]
    exits = [
        InFlight(
            client_order_id=f"exit of {symbol}",
            symbol=symbol,
            quantity=Quantity(Decimal("-1000.00000000")),
            notional=Notional(Decimal(100_000)),
            reduce_only=True,
        )
        for symbol in symbols
    ]
    return AccountState(
        as_of=_NOON,
        currency="USDT",
        equity=_EQUITY,
        cash=Notional(Decimal(600_000)),
        positions={position.symbol: position for position in held},
        in_flight=tuple(exits),
    )


def micros_each(act: Callable[[], object], times: int) -> list[float]:
    """Microseconds of every call by itself; the clock's own cost, some 0.1, is in each."""
    spent = []
    for _ in range(times):
        began = time.perf_counter_ns()
        act()
        spent.append((time.perf_counter_ns() - began) / 1e3)
    return spent


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
        take_snapshot(history, book, taken_at=max(bar.closed_at, _NOON))

    return micros_a_bar(taken, bars)


def journal_writes(bars: Sequence[Bar]) -> float:
    """Records a second into a replay's journal, encoded, chained and handed to the system."""
    facts = [BarSeen(at=bar.closed_at, bar=bar) for bar in bars]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.jsonl"
        with JsonlJournal(path, codec=codec(), clock=ManualClock(_NOON), sync=False) as journal:
            began = time.perf_counter()
            for fact in facts:
                journal.write(fact)
            asyncio.run(journal.flush())
            return len(facts) / (time.perf_counter() - began)


def main(count: int) -> None:
    settings = load_settings(PROJECT / "config" / "rehearsal.toml")
    market = SyntheticMarket(seed=7, instruments=[settings.instruments[_BTC]])
    bars = market.history(_BTC, _NOON, count)
    spent = micros_each(judgement(settings), count)
    answer = {
        "judgements_per_s": 1e6 / math.fsum(spent) * len(spent),
        "judgement_p50_us": percentile(spent, 0.5),
        "judgement_p99_us": percentile(spent, 0.99),
        "indicators_us": indicators(bars),
        "indicators_at_once_ms": indicators_at_once(bars),
        "snapshot_us": snapshots(settings, bars),
        "journal_per_s": journal_writes(bars),
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main(int(sys.argv[1]))

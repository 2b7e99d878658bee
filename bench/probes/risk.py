"""What a judgement costs, and putting its risk state on record: `python -m bench.probes.risk N`."""

import asyncio
import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from bench.figures import percentile
from bench.process import BenchFailed
from bench.scratch import server_folder
from data.account import AccountState, InFlight, Position
from data.bar import Timeframe
from data.clock import ManualClock
from data.instrument import Instrument, Notional, Price, Quantity, Symbol
from data.postgres.embedded import EmbeddedPostgres
from data.postgres.migrate import migrate
from data.postgres.pool import connect
from data.regime import Regime
from risk.approval import ApprovedOrder, judge
from risk.breaker import OrderPlaced, RiskState, initial_state, next_state
from risk.intent import Direction, OrderIntent, Purpose
from risk.limits import RiskLimits
from risk.market import Market, Overlay
from sextant.facts import codec
from sextant.journal.memory import MemoryJournal
from sextant.journal.port import Journal
from sextant.journal.postgres import PostgresJournal
from sextant.settings import PROJECT, Settings, load_settings

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
_BTC = Symbol("BTC/USDT")
_EQUITY = Notional(Decimal(1_000_000))
_FULL, _PAPER = PROJECT / "bench" / "full_book.toml", PROJECT / "config" / "paper.toml"
_STATES = 500  # put on record one by one


def judgement(settings: Settings) -> Callable[[], object]:
    """One judgement of an entry that passes every rule, on a book with four positions already.

    Raises:
        BenchFailed: it does not pass, so what is measured would be a refusal.
    """
    intent, market = an_entry(), a_market(settings.instruments[_BTC])
    account, state = full_book(), initial_state(_EQUITY, NOON)

    def judged() -> object:
        return judge(
            intent, account=account, market=market, state=state, limits=settings.risk, now=NOON
        )

    if not isinstance(verdict := judged(), ApprovedOrder):
        raise BenchFailed(f"the entry should pass: {verdict}")
    return judged


def an_entry() -> OrderIntent:
    """A long at 42,000, its stop 2 % below, and two average true ranges."""
    return OrderIntent(
        intent_id="6f6d3f3c-5e2b-5f0e-9d6a-5e87a9a1c0de",
        strategy_id="bench",
        symbol=_BTC,
        purpose=Purpose.ENTRY,
        direction=Direction.LONG,
        decided_at=NOON,
        confidence=0.9,
        stop=Price(Decimal("41160.00")),
        target=Price(Decimal("44520.00")),
    )


def a_market(instrument: Instrument) -> Market:
    """Everything known that any rule asks for, and calm."""
    return Market(
        instrument=instrument,
        price=Price(Decimal("42000.00")),
        priced_at=NOON,
        rate=Decimal(1),
        spread_bps=1.0,
        atr=420.0,
        regime=Regime.TRENDING_BULL,
        overlays=tuple(
            Overlay(timeframe=timeframe, trend=0.01, updated_at=NOON)
            for timeframe in (Timeframe.H4, Timeframe.D1)
        ),
        realised_volatility=0.4,
        bar_volatility=0.002,
        mean_atr=400.0,
        move=0.001,
        book_at=NOON,
        depth=Quantity(Decimal(1_000)),
        adv=Quantity(Decimal(100_000)),
        model_confidence=0.8,
        calibration_error=0.05,
        expected_move=0.03,
        win_probability=0.7,
        liquidation_price=Price(Decimal(28_000)),
    )


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
            opened_at=NOON - timedelta(hours=3),
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
        as_of=NOON,
        currency="USDT",
        equity=_EQUITY,
        cash=Notional(Decimal(600_000)),
        positions={position.symbol: position for position in held},
        in_flight=tuple(exits),
    )


def bare_checks() -> Callable[[], object]:
    """The floor: sixteen times whether a notional and what is taken already pass a share."""
    quantity, price, equity = Decimal("4.76"), Decimal("42000.00"), Decimal(1_000_000)
    limits = [(Decimal(number) / 10, Decimal(number * 1_000)) for number in range(3, 19)]

    def checked() -> object:
        breached = []
        for share, taken in limits:
            if taken + quantity * price > share * equity:
                breached.append(share)
        return breached

    return checked


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """What calls took: each by the clock, and all together."""

    micros: Sequence[float]
    seconds: float  # of one core, where they only compute; else by the clock

    def shown(self, name: str) -> dict[str, float]:
        return {
            f"{name}_per_s": len(self.micros) / self.seconds,
            f"{name}_p50_us": percentile(self.micros, 0.5),
            f"{name}_p99_us": percentile(self.micros, 0.99),
        }


def computed(act: Callable[[], object], times: int) -> Timed:
    """Every call by itself; the clock's own cost, some 0.1 µs, is in each."""
    spent, began = [], time.process_time()
    for _ in range(times):
        start = time.perf_counter_ns()
        act()
        spent.append((time.perf_counter_ns() - start) / 1e3)
    return Timed(micros=spent, seconds=time.process_time() - began)


def states(limits: RiskLimits) -> list[RiskState]:
    """As many risk states as orders were placed, each a second after the other."""
    state, found = initial_state(_EQUITY, NOON), []
    for second in range(_STATES):
        at = NOON + timedelta(seconds=second)
        state = next_state(state, OrderPlaced(symbol=_BTC, at=at), limits)
        found.append(replace(state, loss_streak=second % 5))
    return found


async def kept(journal: Journal, facts: Sequence[RiskState]) -> Timed:
    """Until each state is on record and durable, one after the other."""
    spent = []
    for fact in facts:
        began = time.perf_counter_ns()
        journal.write(fact)
        await journal.flush()
        spent.append((time.perf_counter_ns() - began) / 1e3)
    return Timed(micros=spent, seconds=math.fsum(spent) / 1e6)


async def kept_in_postgres(facts: Sequence[RiskState]) -> Timed:
    """The same in an embedded PostgreSQL, in a folder of its own."""
    with server_folder() as folder:
        async with EmbeddedPostgres(folder / "postgres") as dsn, await connect(dsn) as pool:
            await migrate(pool)
            clock = ManualClock(NOON)
            async with (
                PostgresJournal(pool, name="bench", codec=codec(), clock=clock) as journal,
                asyncio.TaskGroup() as tasks,
            ):
                running = tasks.create_task(journal.run(), name="journal")
                timed = await kept(journal, facts)
                running.cancel()
                return timed


def main(count: int) -> None:
    full, paper = load_settings(_FULL), load_settings(_PAPER)
    facts, encoder = states(paper.risk), codec()
    encoded = iter(facts)
    memory = MemoryJournal(codec=encoder, clock=ManualClock(NOON))
    timed = {
        "full": computed(judgement(full), count),
        "paper": computed(judgement(paper), count),
        "floor": computed(bare_checks(), count),
        "encode": computed(lambda: encoder.encode(next(encoded)), len(facts)),
        "memory": asyncio.run(kept(memory, facts)),
        "postgres": asyncio.run(kept_in_postgres(facts)),
    }
    answer: dict[str, float] = {}
    for name, figures in timed.items():
        answer |= figures.shown(name)
    print(json.dumps(answer))


if __name__ == "__main__":
    main(int(sys.argv[1]))

"""Stages for the tests: configurations of paper, micro and live, and records of their accounts.

A record is written fact by fact into a database of its own: a start, bars that came in time, a
trade closed now and then. What is wrong with it is said.
"""

import asyncio
import textwrap
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from agents.prompts import PromptLibrary
from data.bar import Bar, Timeframe
from data.clock import ManualClock
from data.instrument import Side, Symbol
from data.postgres.pool import connect
from data.regime import Regime
from execution.fill import Fill, Liquidity
from execution.order import Outcome, Submitted, Submitting
from sextant.cycle import Decision
from sextant.facts import BarSeen, DecisionFailed, RunStarted, codec
from sextant.journal.postgres import PostgresJournal
from sextant.settings import PROJECT, load_settings
from sextant.stages import PHRASE, Cleared, Criterion, Proof, bounds_of, strategy_of
from tests.builders_daemon import ROOT
from tests.builders_engine import an_entry, an_exit
from tests.builders_venue import an_id

BTC = Symbol("BTC/USDT")
START = datetime(2026, 3, 2, tzinfo=UTC)
MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)
RECORD_DSN, OWN_DSN = "RECORD_URL", "SEXTANT_DATABASE_URL"
KEYS = {"KRAKEN_API_KEY": "made-up", "KRAKEN_API_SECRET": "c2VjcmV0"}

DESK = """
    [[desk]]
    strategy_id = "crosses"
    instruments = ["BTC/USDT"]
    timeframe = "1m"
    {capital}
    [desk.strategy]
    kind = "ema_cross"
    fast = 9
    slow = 21
    seed = "sma"
    quantity = 0.001
    stop_distance = 0.01
    confidence = 0.8
"""


def a_stage(folder, mode, text="", *, capital=None, base=None, days=2):
    """The configuration of one stage over config/; the exit test asks for two days only."""
    path = folder / f"{mode}.toml"
    has = "capital = 100" if mode == "micro" and capital is None else capital or ""
    live = "" if mode == "paper" else f'[live.record]\ndsn_env = "{RECORD_DSN}"\n'
    live += "" if mode == "paper" else f'[live.exit_test]\nmin_span = "P{days}D"\n'
    path.write_text(
        f'extends = "{ROOT / "config" / (base or mode)}.toml"\n'
        + live
        + f'[storage]\nfolder = "{folder / mode}"\n'
        + textwrap.dedent(DESK.format(capital=has))
        + textwrap.dedent(text)
    )
    return load_settings(path)


def said(mode):
    """An environment in which everything is there."""
    return {"SEXTANT_LIVE": PHRASE, "SEXTANT_STAGE": str(mode), **KEYS}


def a_clearance(settings, **changes):
    """What a start of these settings puts on record."""
    found = Cleared(
        at=START,
        stage=settings.mode,
        criteria=(Criterion(name="a", observed="b", limit="c", is_met=True, remedy="d"),),
        proof=Proof(record="the folder", records=9, digest="f" * 64, since=START),
        strategy=strategy_of(settings, prompts_of(settings)),
        bounds=bounds_of(settings),
    )
    return replace(found, **changes)


def prompts_of(settings):
    return dict(PromptLibrary(PROJECT / settings.panel.prompts).versions)


@dataclass(kw_only=True)
class Account:
    """An account that has run for `days`, as its journal tells it; times are in minutes."""

    settings: object
    days: float = 2.01
    trades: int = 60
    lost: int = 20  # of the trades
    late: int = 0  # of the bars
    failed: int = 0  # of the decisions
    decisions: int = 500
    worst: Decimal = Decimal(0)  # what the last trade loses, of 10,000
    before: tuple = ()  # facts before the start
    changes: dict = field(default_factory=dict)  # of RunStarted

    def facts(self):
        """Every fact with the time at which it is learnt, in order."""
        minutes = int(self.days * 1440) + 1
        timed = [(START, fact) for fact in (*self.before, self.started())]
        timed += [self._bar(i) for i in range(1, minutes)]
        timed += [f for i in range(self.trades) for f in self._trade(i, minutes)]
        timed += [self._decision(i) for i in range(self.decisions)]
        return sorted(timed, key=lambda item: item[0])

    def started(self):
        settings = self.settings
        told = RunStarted(
            at=START,
            version="1",
            mode=settings.mode,
            market=settings.market.source,
            venue=settings.venue.kind,
            attaches_stops=True,
            settings=settings.model_dump(mode="json"),
            settings_digest="0",
            prompts=prompts_of(settings),
            stand_ins={},
            warmed_up_to={},
            past={},
            resumed=False,
        )
        return replace(told, **self.changes)

    def _bar(self, index):
        closed_at = START + index * MINUTE
        bar = Bar(
            symbol=BTC,
            timeframe=Timeframe.M1,
            closed_at=closed_at,
            open=Decimal(40000),
            high=Decimal(40000),
            low=Decimal(40000),
            close=Decimal(40000),
            volume=Decimal(1),
        )
        at = closed_at + (2 * MINUTE if index <= self.late else SECOND)
        return at, BarSeen(at=at, bar=bar)

    def _trade(self, index, minutes):
        """A position that is opened and closed; the last day wins more than the first."""
        at = START + index * (minutes // self.trades) * MINUTE + 30 * SECOND
        won = Decimal(10 + index) if index % self.trades >= self.lost else Decimal(-5)
        if self.worst and index == self.trades - 1:
            won = -self.worst
        won *= self.settings.account.balances["USDT"] / 10_000
        yield from self._order(f"in {index}", "1", "40000", at)
        yield from self._order(f"out {index}", "-1", f"{40000 + won}", at + 2 * SECOND)

    def _order(self, name, quantity, price, at):
        signed = Decimal(quantity)
        order = an_entry(name, quantity) if signed > 0 else an_exit(name, quantity)
        yield at, replace(Submitting.of(order, at=at), decided_at=at)
        outcome = Outcome.ACCEPTED
        yield at, Submitted(client_order_id=an_id(name), outcome=outcome, detail="", at=at)
        fill = Fill(
            fill_id=name,
            client_order_id=an_id(name),
            symbol=BTC,
            side=Side.of(signed),
            quantity=abs(signed),
            price=Decimal(price),
            fee=Decimal(0),
            fee_asset="USDT",
            liquidity=Liquidity.TAKER,
            filled_at=at,
        )
        yield at + SECOND, fill

    def _decision(self, index):
        at = START + (index + 1) * MINUTE + SECOND
        key = {"strategy_id": "crosses", "symbol": BTC, "bar_closed_at": at - SECOND}
        if index < self.failed:
            return at, DecisionFailed(at=at, error="it broke", **key)
        return at, Decision(
            **key,
            taken_at=at,
            decided_at=at,
            price=Decimal(40000),
            indicators={},
            held=Decimal(0),
            equity=Decimal(1000),
            reports=(),
            ballots=(),
            answers=(),
            consensus=None,
            regime=Regime.UNKNOWN,
            rationale="",
            intent=None,
            ruling=None,
        )


async def written(dsn, *accounts):
    """Put accounts on record, one run behind the other; returns the newest record."""
    clock = ManualClock(START)
    async with await connect(dsn) as pool:
        journal = PostgresJournal(pool, name="desk", codec=codec(), clock=clock, capacity=100_000)
        async with journal, asyncio.TaskGroup() as tasks:
            writer = tasks.create_task(journal.run())
            for account in accounts:
                for at, fact in account.facts():
                    clock.move_to(max(clock.now(), at))
                    journal.write(fact)
                await journal.flush()
            writer.cancel()
        return journal.last


async def touched(dsn):
    """Change one record behind the journal's back."""
    async with await connect(dsn) as pool:
        await pool.execute(
            "ALTER TABLE journal DISABLE TRIGGER USER;"
            "UPDATE journal SET body = replace(body, '40000', '40001') WHERE topic = 'bar' "
            "AND seq = (SELECT max(seq) FROM journal WHERE topic = 'bar')"
        )

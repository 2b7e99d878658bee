"""A daemon whose entries rest, at a rehearsal exchange that can outlive it.

Run as a program it is that daemon, at an exchange in another process.
"""

import contextlib
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from decimal import Decimal

from agents import intents
from agents.baseline_strategy import NOTHING
from agents.strategy import Deliberation, Requirements
from data.clock import PacedClock
from data.indicators import Atr
from data.instrument import Quantity, Side, Toward
from data.regime import Regime
from risk.intent import Direction
from sextant import wiring
from sextant.rehearsal.server import Control
from sextant.rehearsal_market import HostedExchange
from sextant.settings import load_settings
from tests.builders_daemon import EAGER
from tests.builders_venue import KeptFacts

AT_ONCE_FROM = "AT_ONCE_FROM"  # the variable that has the minute of `strategies`
SPEED = 120.0

PATIENT = (
    EAGER.replace("chance-btc", "at-once")
    .replace("chance-xrp", "patient")
    .replace("stop_distance = 0.006", "stop_distance = 0.02")
    .replace('[quality]\n    max_delay = "PT12H"', '[quality]\n    max_delay = "PT30M"')
)
"""A desk that enters BTC at once, and one whose entries in XRP rest far below the market."""


class Patient:
    """Enters what is flat: at market, or with a limit that no market comes to.

    Args:
        limit: As a share of the close; None: at market.
        from_minute: Of the market's day, before which it does nothing.
    """

    def __init__(self, desk, *, limit=None, from_minute=0):
        self._desk, self._limit, self._from = desk, limit, from_minute
        self.requirements = Requirements(frames={desk.timeframe: (Atr(14),)}, bars=1, warm_up=1)

    async def revise(self, snapshot, intent, envelope):
        return None

    async def decide(self, snapshot):
        close = snapshot.bar.close
        minute = snapshot.bar.closed_at.hour * 60 + snapshot.bar.closed_at.minute
        is_busy = intents.open_quantity(snapshot) or intents.entry_in_flight(snapshot)
        if is_busy or minute < self._from:
            return NOTHING
        settings, instrument = self._desk.strategy, snapshot.instrument
        at = close if self._limit is None else instrument.price(close * self._limit, Toward.LOWER)
        intent = intents.entry(
            self._desk.strategy_id,
            snapshot,
            direction=Direction.LONG,
            confidence=0.9,
            stop=instrument.stop_price(at * (1 - settings.stop_distance), Side.BUY),
            quantity=Quantity(settings.quantity),
        )
        if self._limit is not None:
            intent = replace(intent, limit=at)
        return Deliberation(
            reports=(),
            ballots=(),
            answers=(),
            consensus=None,
            regime=Regime.UNKNOWN,
            intent=intent,
            rationale="patient",
        )


def strategies(at_once_from):
    """In place of `sextant.wiring.strategy`: the desk that trades at once begins at that minute."""

    def strategy(desk, seats):
        if desk.strategy_id == "patient":
            return Patient(desk, limit=Decimal("0.97"))
        return Patient(desk, from_minute=at_once_from)

    return strategy


@dataclass(frozen=True)
class Elsewhere:
    """An exchange in this process, at which daemons of other processes trade."""

    control: Control
    clock: PacedClock
    config: object
    environment: dict[str, str]

    def daemon(self):
        return subprocess.Popen(
            [sys.executable, "-B", "-m", __name__, "run", "--no-view", "--config", self.config],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **self.environment},
        )

    @property
    def resting(self):
        """The entries that rest there, by client id."""
        return {
            order.ticket.cl_ord_id: order
            for order in self.control.exchange.open_orders()
            if order.ticket.limit is not None
        }

    @property
    def stops(self):
        """The stops that wait there, by the exchange's own ids."""
        return {o.txid: o for o in self.control.exchange.open_orders() if o.ticket.kind.waits}


@contextlib.asynccontextmanager
async def elsewhere(config, *, at_once_from):
    """The exchange that `config` describes, with a market that runs whatever its clients do."""
    settings = load_settings(config)
    hosted = HostedExchange(settings, settings.market)
    async with contextlib.AsyncExitStack() as running:
        site = await hosted.open(KeptFacts(), running)
        attached = config.with_name("attached.toml")
        url = site.urls["public"]
        attached.write_text(f'extends = "{config}"\n[market]\nurl = "{url}"\n')
        environment = {
            "KRAKEN_API_KEY": site.key,
            "KRAKEN_API_SECRET": site.secret,
            AT_ONCE_FROM: str(at_once_from),
        }
        yield Elsewhere(Control(hosted.server), hosted.clock, attached, environment)


def main():
    """The command line, with the desks of this module in place of its own."""
    from sextant.cli import main

    wiring.strategy = strategies(int(os.environ[AT_ONCE_FROM]))
    main()


if __name__ == "__main__":
    main()

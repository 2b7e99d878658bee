"""Everything that is counted while bars go by."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from agents.strategy import Deliberation
from data.account import ClosedTrade
from data.bar import Bar
from data.instrument import Notional, Price, Side, Symbol
from data.snapshot import Snapshot
from execution.fill import Fill
from risk.approval import Rejection
from sextant.evaluation.equity import EquityCurve
from sextant.evaluation.seats import SeatScores
from sextant.evaluation.thinned import Thinned


@dataclass(frozen=True, slots=True, kw_only=True)
class PricePoint:
    """The close of one bar, for drawing."""

    at: datetime
    price: Price


class Scorecard:
    """The account's record since the run began, in bounded memory."""

    def __init__(self, *, horizon: int, hold_band: float) -> None:
        self.equity = EquityCurve()
        self.seats = SeatScores(horizon=horizon, hold_band=hold_band)
        self.prices: dict[Symbol, Thinned[PricePoint]] = {}
        self.fills: dict[Symbol, Thinned[Fill]] = {}
        self.buys = 0  # fills
        self.sells = 0
        self.traded = 0.0  # notional of all fills, in the account's currency
        self.bars = 0
        self.decisions = 0
        self.intents = 0
        self.interruptions = 0
        self.failures = 0
        self.rejections: Counter[str] = Counter()  # by rule
        self.trades = 0
        self.wins = 0
        self.profit = 0.0  # sum of winning trades, in the account's currency
        self.loss = 0.0  # sum of losing trades, as a positive number
        self.fees = 0.0  # of closed trades
        self.first_bar: datetime | None = None
        self.last_bar: datetime | None = None

    def see(self, bar: Bar, equity: Notional | None) -> None:
        """Take one closed bar and the equity at its close."""
        self.bars += 1
        if self.first_bar is None:
            self.first_bar = bar.closed_at
        self.last_bar = bar.closed_at
        self.seats.see(bar)
        prices = self.prices.get(bar.symbol)
        if prices is None:
            prices = self.prices.setdefault(bar.symbol, Thinned())
        prices.add(PricePoint(at=bar.closed_at, price=bar.close))
        if equity is not None:
            self.equity.mark(bar.closed_at, float(equity))

    def count(self, snapshot: Snapshot, deliberation: Deliberation) -> None:
        """Take one deliberation."""
        self.decisions += 1
        self.intents += deliberation.intent is not None
        if deliberation.ballots:
            price = float(snapshot.bar.close)
            self.seats.count(snapshot.instrument.symbol, price, deliberation.ballots)

    def fill(self, fill: Fill, rate: Decimal | None) -> None:
        """Take one of our fills; `rate` converts its quote currency into the account's."""
        self.buys += fill.side is Side.BUY
        self.sells += fill.side is Side.SELL
        self.traded += float(fill.quantity * fill.price * (rate or 0))
        self.fills.setdefault(fill.symbol, Thinned()).add(fill)

    def reject(self, rejection: Rejection) -> None:
        """Take one veto, under every rule that objected."""
        self.rejections.update(objection.rule for objection in rejection.objections)

    def close(self, trade: ClosedTrade) -> None:
        """Take one position that is flat again."""
        self.trades += 1
        pnl = float(trade.pnl or 0)
        self.wins += pnl > 0
        self.profit += max(pnl, 0.0)
        self.loss += max(-pnl, 0.0)
        self.fees += float(trade.fees or 0)

    @property
    def hit_rate(self) -> float | None:
        """Share of the closed trades that made money after fees."""
        return self.wins / self.trades if self.trades else None

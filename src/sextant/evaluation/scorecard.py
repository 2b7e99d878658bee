"""Everything that is counted while bars go by."""

from collections import Counter, deque
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from agents.vote import Ballot
from data.account import ClosedTrade
from data.bar import Bar
from data.instrument import Notional, Price, Side, Symbol
from execution.attribution import AttributedTrade
from execution.charge import Charge
from execution.fill import Fill
from risk.intent import OrderIntent
from sextant.evaluation.equity import EquityCurve
from sextant.evaluation.seats import SeatScores
from sextant.evaluation.thinned import Thinned
from sextant.evaluation.verdicts import Verdicts

LISTED = 10_000
"""So many of the newest fills and closed trades are kept one by one; the journal has them all."""


class Scorecard:
    """The account's record since the run began, in bounded memory."""

    def __init__(self, *, horizon: int, hold_band: float, fee: float) -> None:
        """`horizon` is in bars of the market; `fee` is the taker's, as a share of notional."""
        self.verdicts = Verdicts(horizon=horizon, fee=fee)
        self.equity = EquityCurve()
        self.seats = SeatScores(horizon=horizon, hold_band=hold_band)
        self.prices: dict[Symbol, Thinned[Bar]] = {}
        self.fills: deque[Fill] = deque(maxlen=LISTED)
        self.closed: deque[ClosedTrade] = deque(maxlen=LISTED)
        self.buys = 0  # fills
        self.sells = 0
        self.traded = 0.0  # notional of all fills, in the account's currency
        self.liquidations: Counter[str] = Counter()  # fills forced by the venue, by symbol
        self.exchanged = 0  # fills that moved holdings or bags
        self.bars = 0
        self.decisions = 0
        self.interruptions = 0
        self.failures = 0
        self.trades = 0
        self.wins = 0
        self.losses = 0
        self.profit = 0.0  # sum of winning trades, in the account's currency
        self.loss = 0.0  # sum of losing trades, as a positive number
        self.fees = 0.0  # of closed trades, with what was charged while they were open
        self.charged = 0.0  # apart from fills, in all; below zero was received
        self.alpha = 0.0  # of closed trades, as `timing` and `slippage`: execution.attribution
        self.timing = 0.0
        self.slippage = 0.0
        self.attributed_fees = 0.0  # below zero where they cost
        self.attributed = 0  # closed trades of which these are known
        self.unvalued = 0  # fills, charges and trades that no price converts; in none of the sums

    def see(self, bar: Bar, equity: Notional | None) -> None:
        """Take one closed bar and the equity at its close."""
        self.bars += 1
        prices = self.prices.get(bar.symbol)
        if prices is None:
            prices = self.prices.setdefault(bar.symbol, Thinned())
        prices.add(bar)
        self.seats.see(bar)
        self.verdicts.see(bar)
        if equity is not None:
            self.equity.mark(bar.closed_at, equity)

    def decided(
        self,
        strategy_id: str,
        symbol: Symbol,
        price: Price,
        ballots: Sequence[Ballot],
        intent: OrderIntent | None,
    ) -> None:
        """Take one deliberation, whatever it came to; `price` is the close that it saw."""
        self.decisions += 1
        self.verdicts.count(strategy_id, intent)
        if ballots:
            self.seats.count(symbol, float(price), ballots)

    def fill(self, fill: Fill, rate: Decimal | None) -> None:
        """Take one of our fills; `rate` converts its quote currency into the account's."""
        self.fills.append(fill)
        self.buys += fill.side is Side.BUY
        self.sells += fill.side is Side.SELL
        if rate is None:
            self.unvalued += 1
        else:
            self.traded += float(fill.quantity * fill.price * rate)

    def liquidate(self, fill: Fill) -> None:
        """Take note that a fill was forced on us; as one of ours it is taken besides."""
        self.liquidations[fill.symbol] += 1

    def exchange(self, fill: Fill) -> None:
        """Take a fill that moved holdings, or went into a bag: no trade."""
        self.exchanged += 1
        self.fills.append(fill)

    def charge(self, charge: Charge, rate: Decimal | None) -> None:
        """Take what was charged apart from fills; `rate` converts its asset, as for a fill."""
        if rate is None:
            self.unvalued += 1
        else:
            self.charged += float(charge.amount * rate)

    def close(self, trade: ClosedTrade, attributed: AttributedTrade | None = None) -> None:
        """Take one position that is flat again, and what its profit came of, where it is known."""
        self.closed.append(trade)
        self.trades += 1
        if attributed is not None:
            self.attributed += 1
            self.alpha += float(attributed.alpha)
            self.timing += float(attributed.timing)
            self.slippage += float(attributed.slippage)
            self.attributed_fees += float(attributed.fees)
        if trade.pnl is None or trade.fees is None:
            self.unvalued += 1
            return
        pnl = float(trade.pnl)
        self.wins += pnl > 0
        self.losses += pnl < 0
        self.profit += max(pnl, 0.0)
        self.loss += max(-pnl, 0.0)
        self.fees += float(trade.fees)

    @property
    def hit_rate(self) -> float | None:
        """Share of the closed trades that made money after fees."""
        return self.wins / self.trades if self.trades else None

    @property
    def first_bar(self) -> datetime | None:
        """The close of the first bar."""
        return min((s.first.closed_at for s in self.prices.values() if s.first), default=None)

    @property
    def last_bar(self) -> datetime | None:
        """The close of the newest bar."""
        return max((s.newest.closed_at for s in self.prices.values() if s.newest), default=None)

    @property
    def presence(self) -> float | None:
        """Share of the bars due between each symbol's first and newest that came (S1-174)."""
        due = came = 0
        for series in self.prices.values():
            first, newest = series.first, series.newest
            if first is not None and newest is not None:
                due += (newest.closed_at - first.closed_at) // first.timeframe.delta + 1
                came += len(series)
        return min(came / due, 1.0) if due else None

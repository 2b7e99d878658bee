"""What each rule's objections were worth: the entries in question, tracked as if taken.

For every rule and symbol one imagined trade is open at a time, as there would be one position: an
objection while it is open is counted and opens nothing. The trade enters at the open of the bar
after the objection, leaves at its stop or target, or at the close of the bar at its horizon. Where
a bar reaches both, the stop came first; a bar that opens beyond one leaves at its open.

An entry that went through although a rule in shadow objected is tracked in the same way, whatever
its real order came to: so the two can be held against each other (S1-126).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

from data.bar import Bar
from data.instrument import Symbol
from risk.intent import OrderIntent, Purpose
from risk.objection import Objection

MANY = 5
"""More vetoes than this on one day are many (S1-196)."""


@dataclass(slots=True)
class RuleWorth:
    """How the entries that one rule objected to go; in R, the distance to the stop."""

    vetoes: int = 0  # entries that it objected to
    alone: int = 0  # of which so many with no other objection: it alone stood in the way
    trades: int = 0  # of which so many were tracked to their end
    won: int = 0
    total_r: float = 0.0  # after fees; below zero is loss that the rule spares
    days: Counter[date] = field(default_factory=Counter)  # its vetoes by UTC day

    @property
    def mean_r(self) -> float | None:
        """What a tracked trade came to on average."""
        return self.total_r / self.trades if self.trades else None

    @property
    def busy_days(self) -> int:
        """On how many days it objected to many entries."""
        return sum(count > MANY for count in self.days.values())


@dataclass(slots=True)
class _Imagined:
    """One rejected entry on its way; prices in quote currency."""

    sign: int
    stop: float
    target: float | None
    bars_left: int
    entry: float | None = None  # until the next bar opens


class Counterfactuals:
    """The worth of every rule that has objected to an entry with a stop."""

    def __init__(self, *, horizon: int, fee: float) -> None:
        """`horizon` is in bars; `fee` is the taker's, as a share of notional."""
        self.fee = fee  # of what ends from now on
        self._horizon = horizon
        self._open: dict[Symbol, dict[str, _Imagined]] = {}
        self.by_rule: dict[str, RuleWorth] = {}

    def veto(self, intent: OrderIntent, objections: Sequence[Objection]) -> None:
        """Take what was objected to `intent`; what only reduces a position is not imagined."""
        if intent.purpose is not Purpose.ENTRY or intent.stop is None or not intent.direction.sign:
            return
        going = self._open.setdefault(intent.symbol, {})
        rules = dict.fromkeys(objection.rule for objection in objections)
        for rule in rules:
            worth = self.by_rule.setdefault(rule, RuleWorth())
            worth.vetoes += 1
            worth.alone += len(rules) == 1
            worth.days[intent.decided_at.date()] += 1
            if rule not in going:
                going[rule] = self._imagine(intent)

    def see(self, bar: Bar) -> None:
        """Let one bar pass over the trades of its symbol."""
        going = self._open.get(bar.symbol)
        if not going:
            return
        _, high, low, close, _ = bar.ohlcv
        opened = float(bar.open)
        for rule, trade in tuple(going.items()):
            if trade.entry is None:
                trade.entry = opened
            left_at = _exit(trade, opened, high, low, close)
            if left_at is not None:
                del going[rule]
                self._book(rule, trade, trade.entry, left_at)

    def _imagine(self, intent: OrderIntent) -> _Imagined:
        return _Imagined(
            sign=intent.direction.sign,
            stop=float(intent.stop or 0),
            target=None if intent.target is None else float(intent.target),
            bars_left=self._horizon,
        )

    def _book(self, rule: str, trade: _Imagined, entry: float, left_at: float) -> None:
        risked = (entry - trade.stop) * trade.sign
        if risked <= 0:
            return  # it opened beyond its stop: nobody could have entered
        gained = (left_at - entry) * trade.sign - self.fee * (entry + left_at)
        worth = self.by_rule[rule]
        worth.trades += 1
        worth.won += gained > 0
        worth.total_r += gained / risked


def _exit(trade: _Imagined, opened: float, high: float, low: float, close: float) -> float | None:
    """At what price the bar ends the trade, if it does."""
    long = trade.sign > 0
    if (low <= trade.stop) if long else (high >= trade.stop):
        return min(opened, trade.stop) if long else max(opened, trade.stop)
    target = trade.target
    if target is not None and ((high >= target) if long else (low <= target)):
        return max(opened, target) if long else min(opened, target)
    trade.bars_left -= 1
    return close if trade.bars_left <= 0 else None

"""The record of a run as plain values, for tables, files and pages."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sextant.evaluation.scorecard import Scorecard
from sextant.evaluation.seats import SeatScore


@dataclass(frozen=True, slots=True, kw_only=True)
class SeatSummary:
    """One seat's record; accuracy and Brier score only over votes whose horizon has come."""

    voter: str
    model: str
    stand_in: bool
    votes: Mapping[str, int]  # by direction
    abstentions: Mapping[str, int]  # by reason
    scored: int
    accuracy: float | None
    brier: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A run in numbers; shares are fractions, money is in `currency`, None is undefined."""

    title: str
    market: str
    currency: str
    bars: int
    first_bar: datetime | None
    last_bar: datetime | None
    interruptions: int
    decisions: int
    intents: int
    failures: int
    rejections: Mapping[str, int]  # by rule
    buys: int
    sells: int
    trades: int
    hit_rate: float | None
    profit_factor: float | None  # sum won over sum lost
    fees: float
    turnover: float  # traded notional over starting equity
    model_costs_usd: Decimal
    equity_start: float | None
    equity_end: Decimal | None  # exact
    total_return: float | None
    sharpe: float | None  # daily returns, 365 days
    sortino: float | None
    max_drawdown: float
    seats: tuple[SeatSummary, ...]


def summarise(
    card: Scorecard,
    *,
    title: str,
    market: str,
    currency: str,
    equity: Decimal | None,
    model_costs_usd: Decimal,
) -> Summary:
    """The scorecard's state now; `equity` is the ledger's exact figure."""
    start = card.equity.first
    return Summary(
        title=title,
        market=market,
        currency=currency,
        bars=card.bars,
        first_bar=card.first_bar,
        last_bar=card.last_bar,
        interruptions=card.interruptions,
        decisions=card.decisions,
        intents=card.intents,
        failures=card.failures,
        rejections=dict(card.rejections),
        buys=card.buys,
        sells=card.sells,
        trades=card.trades,
        hit_rate=card.hit_rate,
        profit_factor=card.profit / card.loss if card.loss else None,
        fees=card.fees,
        turnover=card.traded / start if start else 0.0,
        model_costs_usd=model_costs_usd,
        equity_start=start,
        equity_end=equity,
        total_return=card.equity.total_return,
        sharpe=card.equity.sharpe,
        sortino=card.equity.sortino,
        max_drawdown=card.equity.max_drawdown,
        seats=tuple(_seat(score) for score in card.seats.by_voter.values()),
    )


def _seat(score: SeatScore) -> SeatSummary:
    return SeatSummary(
        voter=score.voter,
        model=score.model,
        stand_in=score.stand_in,
        votes={str(kind): count for kind, count in score.votes.items()},
        abstentions=dict(score.abstentions),
        scored=score.scored,
        accuracy=score.accuracy,
        brier=score.brier,
    )

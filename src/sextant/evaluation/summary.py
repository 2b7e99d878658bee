"""The record of a run as plain values, for tables, files and pages."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from sextant.evaluation.counterfactual import MANY, RuleWorth
from sextant.evaluation.deciles import Decile
from sextant.evaluation.kept import Kept
from sextant.evaluation.performance import annual_return
from sextant.evaluation.scorecard import Scorecard
from sextant.evaluation.seats import SeatScore
from sextant.evaluation.verdicts import Verdicts

WORSE_BPS = (5, 10, 25)
"""By so many basis points every fill is made worse, to see what is left (S1-194)."""


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
class DecileSummary:
    """Scored votes for LONG or SHORT with a confidence in [`low`, `low` + 0.1)."""

    low: float
    count: int
    hit_rate: float | None
    mean_return: float | None  # fraction, in the direction voted, before costs
    sharpe: float | None  # a vote, not annualised


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSummary:
    """What one rule's objections to entries were worth; in R, after fees."""

    rule: str
    shadow: bool  # it was only tried, and the entries went through
    vetoes: int  # entries that it objected to
    alone: int  # of which so many that no other rule objected to
    trades: int  # tracked to their end, one at a time for each symbol
    won: float | None  # share
    mean_r: float | None
    total_r: float
    busy_days: int  # with more than MANY of its vetoes


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskSummary:
    """What one desk decided, and what became of its intents."""

    strategy_id: str
    decisions: int
    skipped: int  # bars that it was to decide on, and did not
    intents: int
    approved: int  # at once, when asked again, or with consent
    sent_back: int
    referred: int
    vetoed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GateDay:
    """One UTC day: what was wished, what was vetoed, and how it went for the account."""

    date: date
    intents: int
    vetoes: int
    rejections: Mapping[str, int]  # by rule; one veto may name several
    change: float | None  # of equity over the day, a fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class DayGroup:
    """Days of one kind, and how they went for the account."""

    count: int
    mean_change: float | None  # of equity over the day, a fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSummary:
    """What was wished, and what the rules said to it; `rules` has the dearest to us first."""

    intents: int
    vetoes: int
    rejections: Mapping[str, int]  # by rule; one veto may name several
    rules: tuple[RuleSummary, ...]
    desks: tuple[DeskSummary, ...]
    revisions: int
    asked_again: int  # after a revision
    approved_again: int
    referrals: int
    referral_ends: Mapping[str, int]  # how the wait ended
    days: tuple[GateDay, ...]
    busy_days: DayGroup  # with more than MANY vetoes (S1-196)
    other_days: DayGroup


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeSummary:
    """What was traded, and what came of it; money is in the account's currency."""

    buys: int
    sells: int
    liquidations: Mapping[str, int]  # fills that the venue has forced on us, by symbol
    trades: int
    trades_per_day: float | None
    hit_rate: float | None
    profit_factor: float | None  # sum won over sum lost
    win_loss_ratio: float | None  # mean win over mean loss
    fees: float  # of closed trades, with what was charged while they were open
    attributed: int  # closed trades of which the next four are known
    alpha: float  # what came of the signal; with the next three it is the profit of these trades
    timing: float  # of the delay between decision and arrival
    slippage: float  # of the execution
    attributed_fees: float  # below zero where they cost
    charged: float  # for margin and funding in all; below zero was received
    cost_share: float | None  # fees over profit before fees
    unvalued: int  # fills and trades that no price converts; left out of the sums
    turnover: float | None  # traded notional over starting equity
    turnover_per_day: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnSummary:
    """How the equity went; returns are fractions."""

    equity_start: float | None
    total_return: float | None
    annual_return: float | None
    return_if_worse: Mapping[int, float]  # by how many basis points every fill is worse
    sharpe: float | None  # daily returns, 365 days
    rolling_sharpe: float | None  # the last 30 days
    sortino: float | None
    drawdown: float  # now
    max_drawdown: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A run in numbers; shares are fractions, money is in `currency`, None is undefined."""

    title: str
    market: str
    currency: str
    bars: int
    first_bar: datetime | None
    last_bar: datetime | None
    presence: float | None  # share of the bars due that came
    interruptions: int
    decisions: int
    failures: int
    gate: GateSummary
    trading: TradeSummary
    model_costs_usd: Decimal
    equity_end: Decimal | None  # exact, of the trading book
    kept: tuple[Kept, ...]  # beside it; empty where nothing is
    whole_end: Decimal | None  # both together; None where nothing is kept, or a price is missing
    exchanged: int  # fills that moved what is kept
    returns: ReturnSummary
    seats: tuple[SeatSummary, ...]
    deciles: tuple[DecileSummary, ...]  # those with a vote, lowest confidence first


def summarise(
    card: Scorecard,
    *,
    title: str,
    market: str,
    currency: str,
    equity: Decimal | None,
    model_costs_usd: Decimal,
    kept: tuple[Kept, ...] = (),
    whole: Decimal | None = None,
) -> Summary:
    """The scorecard's state now; `equity` and `whole` are the ledger's exact figures."""
    return Summary(
        title=title,
        market=market,
        currency=currency,
        bars=card.bars,
        first_bar=card.first_bar,
        last_bar=card.last_bar,
        presence=card.presence,
        interruptions=card.interruptions,
        decisions=card.decisions,
        failures=card.failures,
        gate=_gate(card),
        trading=_trading(card),
        model_costs_usd=model_costs_usd,
        equity_end=equity,
        kept=kept,
        whole_end=whole,
        exchanged=card.exchanged,
        returns=_returns(card),
        seats=tuple(_seat(score) for score in card.seats.by_voter.values()),
        deciles=tuple(_decile(cell) for cell in card.seats.deciles.cells if cell.count),
    )


def _gate(card: Scorecard) -> GateSummary:
    verdicts, days = card.verdicts, _gate_days(card)
    return GateSummary(
        intents=verdicts.intents,
        vetoes=verdicts.vetoes,
        rejections=_most_first(verdicts.rejections),
        rules=_rules(verdicts),
        desks=_desks(verdicts),
        revisions=verdicts.revisions,
        asked_again=verdicts.asked_again,
        approved_again=verdicts.approved_again,
        referrals=verdicts.referrals,
        referral_ends=_most_first(verdicts.referral_ends),
        days=days,
        busy_days=_group([day for day in days if day.vetoes > MANY]),
        other_days=_group([day for day in days if day.vetoes <= MANY]),
    )


def _trading(card: Scorecard) -> TradeSummary:
    days, turnover = _days(card), _turnover(card)
    return TradeSummary(
        buys=card.buys,
        sells=card.sells,
        liquidations=_most_first(card.liquidations),
        trades=card.trades,
        trades_per_day=_per_day(card.trades, days),
        hit_rate=card.hit_rate,
        profit_factor=_share(card.profit, card.loss),
        win_loss_ratio=_share(_share(card.profit, card.wins), _share(card.loss, card.losses)),
        fees=card.fees,
        attributed=card.attributed,
        alpha=card.alpha,
        timing=card.timing,
        slippage=card.slippage,
        attributed_fees=card.attributed_fees,
        charged=card.charged,
        cost_share=_share(card.fees, card.profit - card.loss + card.fees),
        unvalued=card.unvalued,
        turnover=turnover,
        turnover_per_day=_per_day(turnover, days),
    )


def _returns(card: Scorecard) -> ReturnSummary:
    curve = card.equity
    last, total = curve.last, curve.total_return
    return ReturnSummary(
        equity_start=curve.first,
        total_return=total,
        annual_return=annual_return(total, days=_days(card)) if total is not None else None,
        return_if_worse=_worse(total, _turnover(card)),
        sharpe=curve.sharpe,
        rolling_sharpe=curve.rolling_sharpe,
        sortino=curve.sortino,
        drawdown=last.drawdown if last is not None else 0.0,
        max_drawdown=curve.max_drawdown,
    )


def _turnover(card: Scorecard) -> float | None:
    return _share(card.traded, card.equity.first)


def _days(card: Scorecard) -> float:
    first, last = card.first_bar, card.last_bar
    return (last - first) / timedelta(days=1) if first is not None and last is not None else 0.0


def _per_day(value: float | None, days: float) -> float | None:
    """None for less than a day: an hour says nothing about one."""
    return value / days if value is not None and days >= 1.0 else None


def _share(part: float | None, whole: float | None) -> float | None:
    """`part` of `whole`; None where either is unknown, or there is no whole above zero."""
    return part / whole if part is not None and whole is not None and whole > 0 else None


def _worse(total: float | None, turnover: float | None) -> dict[int, float]:
    if total is None or turnover is None:
        return {}
    return {bps: total - turnover * bps / 10_000 for bps in WORSE_BPS}


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


def _decile(cell: Decile) -> DecileSummary:
    return DecileSummary(
        low=cell.low,
        count=cell.count,
        hit_rate=cell.hit_rate,
        mean_return=cell.mean_return,
        sharpe=cell.sharpe,
    )


def _most_first(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _desks(verdicts: Verdicts) -> tuple[DeskSummary, ...]:
    return tuple(
        DeskSummary(
            strategy_id=strategy_id,
            decisions=desk.decisions,
            skipped=desk.skipped,
            intents=desk.intents,
            approved=desk.approved,
            sent_back=desk.sent_back,
            referred=desk.referred,
            vetoed=desk.vetoed,
        )
        for strategy_id, desk in sorted(verdicts.desks.items())
    )


def _gate_days(card: Scorecard) -> tuple[GateDay, ...]:
    """Every day that equity was marked or something was wished on, oldest first."""
    changes = {day.date: day.change for day in card.equity.days}
    counts = card.verdicts.days
    return tuple(
        GateDay(
            date=on,
            intents=counts[on].intents if on in counts else 0,
            vetoes=counts[on].vetoes if on in counts else 0,
            rejections=_most_first(counts[on].rejections) if on in counts else {},
            change=changes.get(on),
        )
        for on in sorted(changes.keys() | counts.keys())
    )


def _group(days: Sequence[GateDay]) -> DayGroup:
    known = [day.change for day in days if day.change is not None]
    return DayGroup(count=len(days), mean_change=_share(sum(known), len(known)))


def _rules(verdicts: Verdicts) -> tuple[RuleSummary, ...]:
    """The rule that keeps us from the most, first; the one that spares us the most, last."""
    both = ((False, verdicts.acting.by_rule), (True, verdicts.shadow.by_rule))
    rules = (
        _rule(rule, worth, shadow=shadow)
        for shadow, worths in both
        for rule, worth in worths.items()
    )
    return tuple(sorted(rules, key=lambda row: (-row.total_r, row.rule, row.shadow)))


def _rule(rule: str, worth: RuleWorth, *, shadow: bool) -> RuleSummary:
    return RuleSummary(
        rule=rule,
        shadow=shadow,
        vetoes=worth.vetoes,
        alone=worth.alone,
        trades=worth.trades,
        won=_share(worth.won, worth.trades),
        mean_r=worth.mean_r,
        total_r=worth.total_r,
        busy_days=worth.busy_days,
    )

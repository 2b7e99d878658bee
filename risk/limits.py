"""The operator's numbers: the `[risk]` section of config/*.toml."""

from collections.abc import Mapping, Sequence
from datetime import datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, model_validator

from data.bar import Timeframe
from data.instrument import Symbol
from data.regime import Regime

Share = Annotated[Decimal, Field(gt=0, le=1)]
Positive = Annotated[Decimal, Field(gt=0)]
NonNegative = Annotated[Decimal, Field(ge=0)]
Probability = Annotated[float, Field(ge=0, le=1)]
Share01 = Annotated[Decimal, Field(ge=0, le=1)]
Level = Annotated[float, Field(ge=0)]
Span = Annotated[timedelta, Field(ge=timedelta(0))]
_T = TypeVar("_T")
SetOf = Annotated[frozenset[_T], PlainSerializer(sorted, when_used="json")]
"""Written in one order, so that equal settings have one digest."""

SHADOWABLE = frozenset(
    {
        "adv_cap",
        "correlated_exposure",
        "depth",
        "dynamic_floor",
        "expected_edge",
        "kelly",
        "low_conf_veto",
        "overlay_trend",
        "positions_per_symbol",
        "restricted_hours",
        "round_trip_cost",
        "trend",
        "volatility_guard",
        "volatility_target",
    }
)
"""What may be tried in shadow (S1-125): opinions on a trade, never what guards the account."""


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class RegimeLimits(_Table):
    """What one market regime allows (PARAMETERS 1.3)."""

    max_leverage: Positive
    """Gross exposure over equity; the lower of this and the account's `max_leverage` holds."""
    min_confidence: Probability
    """Below it no entry; the lowest size tier holds where that is higher."""
    size: Share
    """Share of the full size."""


class SizeTier(_Table):
    """How much of the full size, and what leverage, a confidence earns (PARAMETERS 1.6)."""

    min_confidence: Probability
    size: Share
    max_leverage: Positive


class StreakStep(_Table):
    """What so many losses in a row bring, until the next win (PARAMETERS 1.6)."""

    losses: Annotated[int, Field(ge=1)]
    cool_down: Span
    """No entry in any symbol for this long after each loss from here on; zero is off."""
    size: Share
    """Share of the full size."""
    min_confidence: Probability
    """Below it no entry, whatever the regime; zero is off."""
    max_leverage: Positive


class DrawdownStep(_Table):
    """What leverage a fall from the peak leaves (PARAMETERS 1.6)."""

    drawdown: Share
    max_leverage: Positive


class Correlation(_Table):
    """How two symbols move together (PARAMETERS 1.6); below zero, against each other."""

    first: Symbol
    second: Symbol
    correlation: Annotated[Decimal, Field(ge=-1, le=1)]


class Hours(_Table):
    """A part of every day, UTC: from `start` until just before `end`, over midnight if that is
    the earlier one."""

    start: time
    end: time

    def hold(self, at: datetime) -> bool:
        """Whether `at` lies within."""
        now = at.time()
        if self.start <= self.end:
            return self.start <= now < self.end
        return now >= self.start or now < self.end


class OverlayRule(StrEnum):
    """How the trends of higher timeframes are combined (S1-127)."""

    AGREEMENT = "agreement"  # none may be against the entry (S1-108, S1-109)
    MAJORITY_VOTE = "majority_vote"  # no more against it than for it
    ONE_AGREES = "one_agrees"  # one for it is enough, or none against it (S1-115)
    WEIGHTED_AVERAGE = "weighted_average"  # the mean, a trend counting as long as its interval is

    def vetoes(self, trends: Sequence[tuple[float, float]], threshold: float) -> bool:
        """Whether higher timeframes are against an entry.

        Args:
            trends: Of each its weight, and its trend as a share, above zero with the entry.
        """
        against = sum(trend < -threshold for _, trend in trends)
        agreeing = sum(trend > threshold for _, trend in trends)
        match self:
            case OverlayRule.AGREEMENT:
                return against > 0
            case OverlayRule.MAJORITY_VOTE:
                return against > agreeing
            case OverlayRule.ONE_AGREES:
                return against > 0 and agreeing == 0
            case OverlayRule.WEIGHTED_AVERAGE:
                total = sum(weight for weight, _ in trends)
                return sum(weight * trend for weight, trend in trends) < -threshold * total


class AllocationLimits(_Table):
    """What exchanges of holdings, and purchases for hodl bags, are held to beside the halts."""

    targets: Mapping[str, Share]
    """The share of all holdings beyond which an asset is not bought; the sum is 1."""
    max_order: Positive
    """Worth of one exchange, in the account's currency (PARAMETERS 1.8)."""
    max_slippage: Share
    """How far beyond the mark a limit may be, as a share of it (PARAMETERS 1.8)."""
    max_cost: Share
    """Fee, slippage and half a spread, as a share of what is exchanged."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if sum(self.targets.values()) != 1:
            raise ValueError(f"targets add up to {sum(self.targets.values())}, not to 1")
        return self


class RiskLimits(_Table):
    """Hard limits. A misspelt or missing key fails at start-up; no number here has a default.

    Shares of equity are of equity at the time of judging, unrealised PnL and fees included.
    """

    allowed_symbols: SetOf[Symbol]
    """What may be entered (S1-138); what is held and not listed may still be closed."""
    max_price_age: Annotated[timedelta, Field(gt=timedelta(0))]
    """How far the last price may lie from the time of judging, before or after it."""
    max_spread_bps: Annotated[float, Field(ge=0)]
    """Widest spread for an entry, in basis points of the mid price; zero is off."""

    min_stop_distance: NonNegative
    """Least distance of the stop, as a share of the entry price; zero is off."""
    max_stop_distance: Positive
    """Largest distance of the stop, as a share of the entry price."""
    max_stop_distance_of: Mapping[Symbol, Positive]
    """A tighter `max_stop_distance` for some symbols; may be empty."""
    min_stop_atr: Annotated[float, Field(ge=0)]
    """Least distance of the stop in multiples of the average true range; zero is off."""
    min_reward_risk: NonNegative
    """Least reward over risk, both after fees, where a target is given; zero is off."""
    taker_fee: NonNegative
    """The venue's fee for taking, a share of notional, charged on entry and on exit."""

    slippage: NonNegative
    """Price given up on entry and again on exit, as a share of the price."""
    max_cost_to_risk: NonNegative
    """Cost of both ways over the loss at the stop (section 7, row 9); zero is off."""
    min_net_edge_bps: Level
    """Least confidence times predicted move, after the cost of both ways (S1-61); zero is off."""

    trend_gate: bool
    """No entry against the trend that the regime names (S0-17)."""
    overlay_timeframes: SetOf[Timeframe]
    """Higher timeframes whose trend an entry is held against; empty is off (S1-111)."""
    overlay_rule: OverlayRule
    overlay_threshold: Level
    """A trend is one beyond this, as a share of the price, and not at it (S1-108)."""
    overlay_max_age: Annotated[float, Field(gt=0)]
    """In intervals of the overlay; an older one is neutral (S1-120)."""
    overlay_size: Share01
    """What an entry against the overlays keeps of its size (S1-113); zero vetoes it."""

    no_trade_below: Probability
    """Confidence of the model below which nobody enters (S1-58); zero is off."""
    dynamic_floor: Probability
    """Least confidence while one of the next two is passed (S1-59); zero is off."""
    dynamic_floor_volatility: Level
    """Annualised volatility; zero is off."""
    dynamic_floor_calibration: Probability
    """Expected calibration error; zero is off."""

    volatility_target: Level
    """Annualised volatility at which a full signal has the full size (S1-82); zero is off."""
    volatility_cap: Share
    """Largest share of the full size that target and guard may give (S1-83, S1-86)."""
    volatility_guard: Level
    """Annualised volatility from which on the signal is scaled down (S1-89); zero is off."""
    volatility_guard_floor: Annotated[float, Field(gt=0, le=1)]
    """Least scale of the guard."""

    max_book_age: Span
    """How far the order book may lie from the time of judging; zero is off."""
    min_depth: NonNegative
    """Least depth on the side that is taken, in the account's currency; zero is off."""
    max_depth_share: Share01
    """The order as a share of that depth; zero is off."""
    max_adv_share: Share01
    """The order as a share of the average daily volume (S1-95); zero is off."""

    max_risk_per_trade: Positive
    """Loss at the stop, as a share of equity."""
    max_position: Positive
    """Notional, not margin, of one position as a share of equity."""
    max_exposure: Positive
    """Gross notional of all positions and entries in flight, as a share of equity."""
    max_leverage: Positive
    """Gross notional over equity (S0-22)."""
    drawdown_leverage: tuple[DrawdownStep, ...]
    """Smallest fall first; the last step reached holds; may be empty."""
    max_margin_use: Positive
    """Collateral bound by everything held and in flight, as a share of equity."""
    margin_leverage: Annotated[Decimal, Field(ge=1)]
    """The least leverage that the venue gives any instrument: notional over it binds collateral."""
    max_correlated_exposure: Positive
    """Notional, as a share of equity, of what would lose together with the order."""
    min_correlation: Share
    """From which correlation on, of either sign, two symbols count as one."""
    correlations: tuple[Correlation, ...]
    max_positions_per_symbol: Annotated[int, Field(ge=1)]
    """The position held, entries in flight and the order itself."""
    max_value_at_risk: NonNegative
    """Loss of one bar at `value_at_risk_sigmas`, as a share of equity; zero is off."""
    value_at_risk_sigmas: Annotated[float, Field(gt=0)]
    min_liquidation_distance: NonNegative
    """From entry to liquidation, as a share of the entry price, beyond the stop; zero is off."""
    kelly_fraction: Share01
    """Share of the Kelly bet that may be lost at the stop; zero is off, until calibrated."""
    max_open_positions: Annotated[int, Field(ge=1)]
    """Symbols held or with an entry in flight, dust of the judged symbol aside."""
    tiers: Annotated[tuple[SizeTier, ...], Field(min_length=1)]
    """Highest confidence first; below the last there is no entry."""
    regimes: Mapping[Regime, RegimeLimits]
    """Every regime is named."""

    max_daily_loss: Share
    """Fall from the UTC day's first equity at which entries stop until midnight (S0-23)."""
    max_weekly_loss: Share
    """Fall from the ISO week's first equity at which entries stop until Monday (S0-24)."""
    max_monthly_loss: Share
    """Fall from the month's first equity at which entries stop until the first (S2-42)."""
    max_day_drawdown: Share
    """Fall from the day's peak at which entries stop until a person resumes (S1-98);
    one is off."""
    max_drawdown: Share
    """Fall from peak equity at which entries stop until a person resumes (S0-25)."""
    max_account_drawdown: Share
    """Fall from the peak of equity with what is kept beside it at which entries stop until a person
    resumes; no holding is sold (REQUIREMENTS section 6, "Thirds against trading rules")."""
    derisk_drawdown: Share
    """Fall from peak equity from which on sizes are multiplied by `derisk_size`."""
    derisk_size: Share
    """One is off."""
    weekly_cut: Share01
    """Share of every position that the weekly limit closes; zero is off."""
    drawdown_closes: bool
    """Whether a drawdown limit throws the kill switch, which closes every position."""

    spike_ratio: Level
    """Average true range over its mean beyond which volatility spikes (S2-43); zero is off."""
    spike_size: Share
    """Share of the full size during a spike."""
    spike_span: Span
    """For so long after each bar of a spike."""
    unusual_move: Level
    """Move within five minutes, as a share, beyond which a symbol cools down; zero is off."""
    cool_down_after_move: Span
    cool_down_after_rebalance: Span
    max_model_failures: Annotated[int, Field(ge=1)]
    """So many failed decisions of a desk in a row stop its entries for a time (S2-44)."""
    model_failure_pause: Span
    """For so long after each of them; zero is off."""
    restricted_hours: tuple[Hours, ...]
    """When nothing is entered; may be empty."""

    refer_above: NonNegative
    """Notional, as a share of equity, beyond which a person is asked (S2-48); zero is off."""
    refer_below: Probability
    """Confidence below which a person is asked; zero is off."""
    referral_span: Annotated[timedelta, Field(gt=timedelta(0))]
    """How long a referral waits, and how long a consent holds."""

    warn_daily_loss: Share01
    """Zero is off, as for the others; a drawdown warns at `derisk_drawdown`."""
    warn_exposure: NonNegative
    warn_margin_use: NonNegative

    shadow: SetOf[str]
    """Rules that are asked and recorded, and do not act (S1-125)."""

    allocation: AllocationLimits

    cool_down_after_order: Span
    """No entry in a symbol for this long after any order in it; zero is off."""
    cool_down_after_loss: Span
    """No entry in a symbol for this long after a trade in it was closed at a loss; zero is off."""
    loss_streaks: tuple[StreakStep, ...]
    """Fewest losses first; the last step reached holds; may be empty."""
    max_loss_streak: Annotated[int, Field(ge=1)]
    """More losses in a row than this halt until a person resumes (S1-100)."""

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        missing = [regime.value for regime in Regime if regime not in self.regimes]
        if missing:
            raise ValueError(f"regimes without limits: {', '.join(missing)}")
        if self.derisk_drawdown > self.max_drawdown:
            raise ValueError("derisk_drawdown lies beyond max_drawdown, so it could never act")
        if unknown := self.shadow - SHADOWABLE:
            raise ValueError(f"cannot be tried in shadow: {', '.join(sorted(unknown))}")
        self._require_ordered_tiers()
        self._require_ordered_streaks()
        self._require_ordered_drawdowns()
        return self

    def _require_ordered_tiers(self) -> None:
        for higher, lower in pairwise(self.tiers):
            if not (
                higher.min_confidence > lower.min_confidence
                and higher.size >= lower.size
                and higher.max_leverage >= lower.max_leverage
            ):
                raise ValueError("tiers must fall in confidence, and may not rise in size")

    def _require_ordered_streaks(self) -> None:
        for fewer, more in pairwise(self.loss_streaks):
            if not (
                fewer.losses < more.losses
                and fewer.size >= more.size
                and fewer.min_confidence <= more.min_confidence
                and fewer.max_leverage >= more.max_leverage
            ):
                raise ValueError("loss_streaks must rise in losses, and may only get stricter")

    def _require_ordered_drawdowns(self) -> None:
        for milder, deeper in pairwise(self.drawdown_leverage):
            if not (
                milder.drawdown < deeper.drawdown and milder.max_leverage >= deeper.max_leverage
            ):
                raise ValueError("drawdown_leverage must deepen, and may only get stricter")

    def tier(self, confidence: float) -> SizeTier | None:
        """What `confidence` earns; None below the lowest tier."""
        for tier in self.tiers:
            if confidence >= tier.min_confidence:
                return tier
        return None

    def streak_step(self, loss_streak: int) -> StreakStep | None:
        """The last step that so many losses in a row have reached."""
        reached = None
        for step in self.loss_streaks:
            if loss_streak < step.losses:
                break
            reached = step
        return reached

    @cached_property
    def off(self) -> frozenset[str]:
        """The rules that these numbers switch off: they would object to nothing."""
        switches: dict[str, object] = {
            "adv_cap": self.max_adv_share,
            "day_drawdown_limit": self.max_day_drawdown < 1,
            "depth": self.min_depth,
            "depth_share": self.max_depth_share,
            "dynamic_floor": self.dynamic_floor,
            "expected_edge": self.min_net_edge_bps,
            "fresh_book": self.max_book_age,
            "kelly": self.kelly_fraction,
            "liquidation_distance": self.min_liquidation_distance,
            "low_conf_veto": self.no_trade_below,
            "overlay_trend": self.overlay_timeframes and self.overlay_size == 0,
            "referral": self.refer_above or self.refer_below,
            "restricted_hours": self.restricted_hours,
            "round_trip_cost": self.max_cost_to_risk,
            "spread": self.max_spread_bps,
            "stop_atr": self.min_stop_atr,
            "trend": self.trend_gate,
            "value_at_risk": self.max_value_at_risk,
        }
        return frozenset(rule for rule, switch in switches.items() if not switch)

    def tied_to(self, symbol: Symbol) -> Mapping[Symbol, int]:
        """Other symbols that count as one with `symbol`: +1 if they move along, -1 if against."""
        return self._ties.get(symbol, {})

    @cached_property
    def _ties(self) -> Mapping[Symbol, Mapping[Symbol, int]]:
        ties: dict[Symbol, dict[Symbol, int]] = {}
        for pair in self.correlations:
            if abs(pair.correlation) >= self.min_correlation:
                way = 1 if pair.correlation > 0 else -1
                ties.setdefault(pair.first, {})[pair.second] = way
                ties.setdefault(pair.second, {})[pair.first] = way
        return ties

    def stop_distance_cap(self, symbol: Symbol) -> Decimal:
        """The largest distance of a stop in `symbol`, as a share of the entry price."""
        return min(
            self.max_stop_distance, self.max_stop_distance_of.get(symbol, self.max_stop_distance)
        )

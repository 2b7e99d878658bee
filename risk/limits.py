"""The operator's numbers: the `[risk]` section of config/*.toml."""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from data.instrument import Symbol
from data.regime import Regime

Share = Annotated[Decimal, Field(gt=0, le=1)]
Positive = Annotated[Decimal, Field(gt=0)]
NonNegative = Annotated[Decimal, Field(ge=0)]
Probability = Annotated[float, Field(ge=0, le=1)]
Span = Annotated[timedelta, Field(ge=timedelta(0))]


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
    """How much of the full size a confidence earns (PARAMETERS 1.6)."""

    min_confidence: Probability
    size: Share


class StreakStep(_Table):
    """What so many losses in a row bring, until the next win (PARAMETERS 1.6)."""

    losses: Annotated[int, Field(ge=1)]
    cool_down: Span
    """No entry in any symbol for this long after each loss from here on; zero is off."""
    size: Share
    """Share of the full size."""
    min_confidence: Probability
    """Below it no entry, whatever the regime; zero is off."""


class RiskLimits(_Table):
    """Hard limits. A misspelt or missing key fails at start-up; no number here has a default.

    Shares of equity are of equity at the time of judging, unrealised PnL and fees included.
    """

    allowed_symbols: frozenset[Symbol]
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

    max_risk_per_trade: Positive
    """Loss at the stop, as a share of equity."""
    max_position: Positive
    """Notional, not margin, of one position as a share of equity."""
    max_exposure: Positive
    """Gross notional of all positions and entries in flight, as a share of equity."""
    max_leverage: Positive
    """Gross notional over equity (S0-22)."""
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
    max_drawdown: Share
    """Fall from peak equity at which entries stop until a person resets the breaker (S0-25)."""
    derisk_drawdown: Share
    """Fall from peak equity from which on sizes are multiplied by `derisk_size`."""
    derisk_size: Share
    """One is off."""

    cool_down_after_order: Span
    """No entry in a symbol for this long after any order in it; zero is off."""
    cool_down_after_loss: Span
    """No entry in a symbol for this long after a trade in it was closed at a loss; zero is off."""
    loss_streaks: tuple[StreakStep, ...]
    """Fewest losses first; the last step reached holds; may be empty."""
    max_loss_streak: Annotated[int, Field(ge=1)]
    """More losses in a row than this halt until a person resets the breaker (S1-100)."""

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        missing = [regime.value for regime in Regime if regime not in self.regimes]
        if missing:
            raise ValueError(f"regimes without limits: {', '.join(missing)}")
        if self.derisk_drawdown > self.max_drawdown:
            raise ValueError("derisk_drawdown lies beyond max_drawdown, so it could never act")
        self._require_ordered_tiers()
        self._require_ordered_streaks()
        return self

    def _require_ordered_tiers(self) -> None:
        for higher, lower in pairwise(self.tiers):
            if not (higher.min_confidence > lower.min_confidence and higher.size >= lower.size):
                raise ValueError("tiers must fall in confidence, and may not rise in size")

    def _require_ordered_streaks(self) -> None:
        for fewer, more in pairwise(self.loss_streaks):
            if not (
                fewer.losses < more.losses
                and fewer.size >= more.size
                and fewer.min_confidence <= more.min_confidence
            ):
                raise ValueError("loss_streaks must rise in losses, and may only get stricter")

    def confidence_floor(self, regime: Regime, loss_streak: int) -> float:
        """The lowest confidence that may enter; never below the lowest size tier."""
        step = self.streak_step(loss_streak)
        return max(
            self.regimes[regime].min_confidence,
            self.tiers[-1].min_confidence,
            step.min_confidence if step is not None else 0.0,
        )

    def tier_size(self, confidence: float) -> Decimal:
        """The share of the full size that `confidence` earns; zero below the lowest tier."""
        for tier in self.tiers:
            if confidence >= tier.min_confidence:
                return tier.size
        return Decimal(0)

    def streak_step(self, loss_streak: int) -> StreakStep | None:
        """The last step that so many losses in a row have reached."""
        reached = None
        for step in self.loss_streaks:
            if loss_streak >= step.losses:
                reached = step
        return reached

    def stop_distance_cap(self, symbol: Symbol) -> Decimal:
        """The largest distance of a stop in `symbol`, as a share of the entry price."""
        return min(
            self.max_stop_distance, self.max_stop_distance_of.get(symbol, self.max_stop_distance)
        )

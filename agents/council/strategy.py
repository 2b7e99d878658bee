"""The council: analysts report, six seats vote, and code turns their consensus into an intent."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from math import isfinite
from typing import Annotated, Literal, NamedTuple, Protocol

from pydantic import BaseModel, ConfigDict, Field, field_validator

from agents import intents
from agents.analysts import technical
from agents.analysts.regime import RegimeAnalyst, RegimeState
from agents.council.consensus import Consensus, count
from agents.panel import Ballots
from agents.report import Report, TechnicalReport
from agents.strategy import Deliberation, Requirements
from agents.vote import Ballot, Vote
from data import overlay
from data.bar import Timeframe
from data.indicators import STANDARD
from data.instrument import Price, Side, Symbol, Toward
from data.regime import Regime
from data.snapshot import Snapshot
from risk.intent import Direction, Envelope, OrderIntent

_BARS = 60  # what a prompt or a rule may look back, PARAMETERS.md 1.2
_BULLS = frozenset({Regime.TRENDING_BULL, Regime.VOLATILE_BULL})
_BEARS = frozenset({Regime.TRENDING_BEAR, Regime.VOLATILE_BEAR})

Multiple = Annotated[float, Field(gt=0, allow_inf_nan=False)]
ExactMultiple = Annotated[Decimal, Field(gt=0)]


class ExitScale(BaseModel):
    """Where an entry made in one regime gets out."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    stop_atr: Multiple
    """Distance of the stop, in ATR (PARAMETERS.md 1.6)."""
    stop_scale: Multiple
    """What the regime makes of that distance (PARAMETERS.md 1.3, "Stop x")."""
    target_scale: ExactMultiple
    """What the regime makes of the reward (PARAMETERS.md 1.3, "Target x")."""


class CouncilSettings(BaseModel):
    """`[desk.strategy]` with kind "council"."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: Literal["council"]
    quorum: Annotated[int, Field(ge=1)]
    """Valid ballots without which there is no consensus."""
    majority: Annotated[int, Field(ge=1)]
    """Seats of the full roster that must agree."""
    reward: ExactMultiple
    """Distance of the target in stop distances, before the regime scales it."""
    falsified_from: Annotated[Decimal, Field(gt=0, le=1)]
    """Share of the stop distance; what would falsify an entry nearer by is noise; at 1, all is."""
    exits: Mapping[Regime, ExitScale]
    """By regime, all of them."""

    @field_validator("exits")
    @classmethod
    def _complete(cls, exits: Mapping[Regime, ExitScale]) -> Mapping[Regime, ExitScale]:
        missing = [regime.value for regime in Regime if regime not in exits]
        if missing:
            raise ValueError(f"no exits for {', '.join(missing)}")
        return exits


class Exits(NamedTuple):
    """Where one entry gets out, on the instrument's grid."""

    stop: Price
    target: Price
    falsified_at: Price | None


class Panel(Protocol):
    """Whoever has the seats: `agents.panel.Panel`."""

    async def ask(self, snapshot: Snapshot, reports: tuple[Report, ...]) -> Ballots:
        """One ballot from every seat of the roster, whatever becomes of the asking."""
        ...


class Council:
    """The S0 strategy, on one timeframe and with the trends of higher ones.

    `regimes` is all that it remembers between bars; `agents.analysts.regime` says what of.
    """

    def __init__(
        self,
        *,
        strategy_id: str,
        timeframe: Timeframe,
        overlays: tuple[Timeframe, ...],
        panel: Panel,
        settings: CouncilSettings,
        regimes: Mapping[Symbol, RegimeState] | None = None,
    ) -> None:
        self._strategy_id = strategy_id
        self._panel = panel
        self._settings = settings
        self._regimes = RegimeAnalyst(regimes)
        frames = dict.fromkeys(overlays, overlay.INDICATORS)
        self._requirements = Requirements(
            frames={**frames, timeframe: STANDARD}, bars=_BARS, warm_up=_BARS
        )

    @property
    def requirements(self) -> Requirements:
        return self._requirements

    @property
    def regimes(self) -> Mapping[Symbol, RegimeState]:
        """The regime hysteresis of every symbol, to be kept across a restart."""
        return self._regimes.states

    async def revise(
        self, snapshot: Snapshot, intent: OrderIntent, envelope: Envelope
    ) -> OrderIntent | None:
        return intents.within(envelope, intent)

    async def decide(self, snapshot: Snapshot) -> Deliberation:
        """Have the analysts report, ask the panel, count, and put the outcome into an intent."""
        trend = technical.report(snapshot)
        regime = self._regimes.report(snapshot)
        reports = (trend, regime)
        asked = await self._panel.ask(snapshot, reports)
        consensus = count(
            asked.ballots, quorum=self._settings.quorum, majority=self._settings.majority
        )
        intent, rationale = self._wish(snapshot, asked.ballots, consensus, trend, regime.regime)
        return Deliberation(
            reports=reports,
            ballots=asked.ballots,
            answers=asked.answers,
            consensus=consensus,
            regime=regime.regime,
            intent=intent,
            rationale=rationale,
        )

    def _wish(
        self,
        snapshot: Snapshot,
        ballots: Sequence[Ballot],
        consensus: Consensus,
        trend: TechnicalReport,
        regime: Regime,
    ) -> tuple[OrderIntent | None, str]:
        """What the consensus means for what is held, and why."""
        direction = consensus.direction
        if direction is Direction.HOLD:
            return None, consensus.reason
        held = intents.open_quantity(snapshot)
        if held * direction.sign > 0:
            return None, f"{consensus.reason}: held already"
        if held:
            intent = intents.exit_of(
                self._strategy_id, snapshot, held=held, confidence=consensus.confidence
            )
            return intent, f"{consensus.reason}: close {held}"
        if direction is Direction.CLOSE:
            return None, f"{consensus.reason}: nothing is held"
        return self._entry(snapshot, ballots, consensus, trend, regime)

    def _entry(
        self,
        snapshot: Snapshot,
        ballots: Sequence[Ballot],
        consensus: Consensus,
        trend: TechnicalReport,
        regime: Regime,
    ) -> tuple[OrderIntent | None, str]:
        obstacle = no_entry(snapshot, consensus.direction, trend, regime)
        if obstacle is not None:
            return None, f"{consensus.reason}: no entry, {obstacle}"
        exits = exit_prices(snapshot, consensus.direction, regime, self._settings)
        if exits is None:
            return None, f"{consensus.reason}: no entry, ATR gives no stop"
        intent = intents.entry(
            self._strategy_id,
            snapshot,
            direction=consensus.direction,
            confidence=consensus.confidence,
            stop=exits.stop,
            target=exits.target,
            thesis=thesis(ballots, consensus.direction),
            falsified_at=exits.falsified_at,
        )
        return intent, f"{consensus.reason}: enter with the trend"


def no_entry(
    snapshot: Snapshot, direction: Direction, trend: TechnicalReport, regime: Regime
) -> str | None:
    """What stands against entering in `direction`, if anything does.

    The council follows trends (S0-17): an entry goes with the technical trend, and never against
    the side of the regime. It makes one at a time, and sells nothing short that is only spot.
    """
    if trend.trend * direction.sign <= 0:
        return f"the trend is {trend.trend:+.2f}"
    if regime in (_BEARS if direction is Direction.LONG else _BULLS):
        return f"the regime is {regime}"
    if direction is Direction.SHORT and not snapshot.instrument.shortable:
        return f"{snapshot.instrument.symbol} cannot be sold short"
    if intents.entry_in_flight(snapshot):
        return "an entry is in flight"
    return None


def exit_prices(
    snapshot: Snapshot, direction: Direction, regime: Regime, settings: CouncilSettings
) -> Exits | None:
    """Where an entry at the bar's close gets out: stop and target by ATR and regime.

    The stop lies ATR x `stop_atr` x `stop_scale` away, the target `reward` x `target_scale` times
    as far on the other side; both are rounded nearer to the market. None where ATR is not known,
    or is so small or large that a price would lie on the wrong side of the market, or below zero.
    """
    scale, instrument, close = settings.exits[regime], snapshot.instrument, snapshot.bar.close
    wished = snapshot.primary.indicators["atr_14"] * scale.stop_atr * scale.stop_scale
    if not isfinite(wished):
        return None
    sign, long = direction.sign, direction is Direction.LONG
    distance = instrument.price(wished, Toward.LOWER)
    stop = instrument.stop_price(close - sign * distance, Side.BUY if long else Side.SELL)
    reward = (close - stop) * settings.reward * scale.target_scale
    target = instrument.price(close + reward, Toward.LOWER if long else Toward.HIGHER)
    low, high = (stop, target) if long else (target, stop)
    if not 0 < low < close < high:
        return None
    return Exits(stop, target, falsified_at(snapshot, stop, settings))


def falsified_at(snapshot: Snapshot, stop: Price, settings: CouncilSettings) -> Price | None:
    """Where an entry at the bar's close turns out wrong: back at the slow average, EMA 50.

    The technical trend, with which the council enters, is that of the fast average over it. None
    where it is not known, beyond the stop, which comes first, or nearer than `falsified_from`.
    """
    close, average = snapshot.bar.close, snapshot.primary.indicators["ema_50"]
    if not isfinite(average):
        return None
    price = snapshot.instrument.stop_price(average, Side.BUY if stop < close else Side.SELL)
    share = (close - price) / (close - stop)
    return price if settings.falsified_from <= share < 1 else None


def thesis(ballots: Sequence[Ballot], direction: Direction) -> str:
    """Why the surest seat is for `direction`; of several as sure, the first."""
    votes = [b for b in ballots if isinstance(b, Vote) and b.direction is direction]
    surest = max(votes, key=lambda vote: vote.confidence)
    return f"{surest.voter}: {surest.rationale}"

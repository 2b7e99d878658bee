"""Strategies of one rule: the yardsticks that every other strategy is measured against.

They take no vote and read no regime, so that risk judges them by its strictest, UNKNOWN.
"""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from agents import intents
from agents.council.baselines import seeded_random
from agents.strategy import Deliberation, Requirements
from data.bar import Timeframe
from data.indicators import Atr, Ema, Indicator
from data.instrument import Quantity, Side, Symbol, Toward
from data.regime import Regime
from data.snapshot import Snapshot
from risk.intent import Direction, Envelope, OrderIntent

Amount = Annotated[Decimal, Field(gt=0)]
Share = Annotated[Decimal, Field(gt=0, lt=1)]
Probability = Annotated[float, Field(ge=0, le=1)]


class _Settings(BaseModel):
    """What every one of these strategies must be told."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    quantity: Amount
    """What an entry buys or sells, in base currency."""
    stop_distance: Share
    """Distance of the stop from the bar's close, as a share of it."""
    reward: Annotated[Decimal, Field(ge=0)] = Decimal(0)
    """Distance of the target in stop distances; zero: no target."""
    confidence: Probability
    """What an intent says of itself; the rule has no opinion on it."""


class EmaCrossSettings(_Settings):
    """`[desk.strategy]` with kind "ema_cross"."""

    kind: Literal["ema_cross"]
    fast: Annotated[int, Field(ge=1)]
    """Bars of the fast EMA."""
    slow: Annotated[int, Field(ge=2)]
    """Bars of the slow EMA."""
    seed: Literal["sma", "first"]
    """What the EMAs begin with: a mean of closes, or the first close."""

    @model_validator(mode="after")
    def _ordered(self) -> "EmaCrossSettings":
        if self.fast >= self.slow:
            raise ValueError(f"fast ({self.fast}) must be below slow ({self.slow})")
        return self


class HoldSettings(_Settings):
    """`[desk.strategy]` with kind "hold"."""

    kind: Literal["hold"]


class SeededRandomSettings(_Settings):
    """`[desk.strategy]` with kind "seeded_random"."""

    kind: Literal["seeded_random"]
    seed: int


def _deliberation(intent: OrderIntent | None, rationale: str) -> Deliberation:
    return Deliberation(
        reports=(),
        ballots=(),
        answers=(),
        consensus=None,
        regime=Regime.UNKNOWN,
        intent=intent,
        rationale=rationale,
    )


NOTHING = _deliberation(None, "nothing changes")


class EmaCross:
    """Long while the fast EMA of the close is above the slow one, else flat.

    Asked from its `warm_up`-th bar on, as every strategy is: that of index `slow` - 1.
    """

    def __init__(
        self, *, strategy_id: str, timeframe: Timeframe, settings: EmaCrossSettings
    ) -> None:
        fast, slow = Ema(settings.fast, settings.seed), Ema(settings.slow, settings.seed)
        self._fast, self._slow = fast.names[0], slow.names[0]
        self._strategy_id = strategy_id
        self._settings = settings
        self._requirements = _requirements(timeframe, (fast, slow), settings.slow)

    @property
    def requirements(self) -> Requirements:
        return self._requirements

    async def revise(
        self, snapshot: Snapshot, intent: OrderIntent, envelope: Envelope
    ) -> OrderIntent | None:
        return intents.within(envelope, intent)

    async def decide(self, snapshot: Snapshot) -> Deliberation:
        values = snapshot.primary.indicators
        fast, slow = values[self._fast], values[self._slow]
        if fast > slow:
            return _entered(self._strategy_id, snapshot, Direction.LONG, self._settings)
        if fast <= slow:  # false, as the line above, while one is not a number
            return _left(self._strategy_id, snapshot, self._settings)
        return NOTHING


class Hold:
    """Buy once and hold; a position that is gone, by its stop or an operator, is not bought again.

    What it remembers is which symbols it has seen held, and a restart forgets it.
    """

    def __init__(self, *, strategy_id: str, timeframe: Timeframe, settings: HoldSettings) -> None:
        self._strategy_id = strategy_id
        self._settings = settings
        self._bought: set[Symbol] = set()
        self._requirements = _requirements(timeframe, (), 1)

    @property
    def requirements(self) -> Requirements:
        return self._requirements

    async def revise(
        self, snapshot: Snapshot, intent: OrderIntent, envelope: Envelope
    ) -> OrderIntent | None:
        return intents.within(envelope, intent)

    async def decide(self, snapshot: Snapshot) -> Deliberation:
        symbol = snapshot.instrument.symbol
        if symbol in self._bought:
            return NOTHING
        if intents.open_quantity(snapshot):
            self._bought.add(symbol)
            return NOTHING
        return _entered(self._strategy_id, snapshot, Direction.LONG, self._settings)


class SeededRandom:
    """Enters, leaves or does nothing by chance; a bar always draws the same."""

    def __init__(
        self, *, strategy_id: str, timeframe: Timeframe, settings: SeededRandomSettings
    ) -> None:
        self._strategy_id = strategy_id
        self._settings = settings
        self._draw = seeded_random(settings.seed).opine
        self._requirements = _requirements(timeframe, (), 1)

    @property
    def requirements(self) -> Requirements:
        return self._requirements

    async def revise(
        self, snapshot: Snapshot, intent: OrderIntent, envelope: Envelope
    ) -> OrderIntent | None:
        return intents.within(envelope, intent)

    async def decide(self, snapshot: Snapshot) -> Deliberation:
        direction = self._draw(snapshot).direction
        match direction:
            case Direction.LONG | Direction.SHORT:
                return _entered(self._strategy_id, snapshot, direction, self._settings)
            case Direction.CLOSE:
                return _left(self._strategy_id, snapshot, self._settings)
            case Direction.HOLD:
                return NOTHING


def _requirements(
    timeframe: Timeframe, indicators: tuple[Indicator, ...], bars: int
) -> Requirements:
    """What the rule reads, and ATR, by which risk measures a stop."""
    return Requirements(frames={timeframe: (Atr(14), *indicators)}, bars=bars, warm_up=bars)


def _entered(
    strategy_id: str, snapshot: Snapshot, direction: Direction, settings: _Settings
) -> Deliberation:
    """An entry where nothing is held and none is in flight, else nothing."""
    if intents.open_quantity(snapshot) or intents.entry_in_flight(snapshot):
        return NOTHING
    sign, close = direction.sign, snapshot.bar.close
    side = Side.BUY if sign > 0 else Side.SELL
    stop = snapshot.instrument.stop_price(close * (1 - sign * settings.stop_distance), side)
    gain = close * settings.stop_distance * settings.reward
    nearer = Toward.LOWER if side is Side.BUY else Toward.HIGHER
    intent = intents.entry(
        strategy_id,
        snapshot,
        direction=direction,
        confidence=settings.confidence,
        stop=stop,
        target=snapshot.instrument.price(close + sign * gain, nearer) if gain else None,
        quantity=Quantity(sign * settings.quantity),
    )
    return _deliberation(intent, f"{direction}: enter")


def _left(strategy_id: str, snapshot: Snapshot, settings: _Settings) -> Deliberation:
    """The exit of what is held, if anything is."""
    held = intents.open_quantity(snapshot)
    if not held:
        return NOTHING
    intent = intents.exit_of(strategy_id, snapshot, held=held, confidence=settings.confidence)
    return _deliberation(intent, f"{Direction.CLOSE}: leave")

"""Snapshots, ballots and markets for the tests of agents."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from agents.council.strategy import CouncilSettings
from agents.panel import Ballots
from agents.vote import Abstention, AbstentionReason, Vote, VoterId
from data.account import AccountState, InFlight, Position
from data.bar import Bar, BarSeries, Timeframe
from data.indicators import STANDARD, Ema
from data.instrument import Instrument, Symbol
from data.snapshot import Frame, MarketHistory, Snapshot, take_snapshot
from risk.intent import Direction

BTC = Symbol("BTC/USDT")
START = datetime(2026, 1, 5, tzinfo=UTC)

# PARAMETERS.md 1.3 and 1.6
COUNCIL = CouncilSettings.model_validate(
    {
        "kind": "council",
        "quorum": 4,
        "majority": 4,
        "reward": 1.5,
        "falsified_from": 0.5,
        "exits": {
            "trending_bull": {"stop_atr": 2.0, "stop_scale": 1.2, "target_scale": 2.0},
            "trending_bear": {"stop_atr": 2.0, "stop_scale": 1.2, "target_scale": 2.0},
            "ranging": {"stop_atr": 2.5, "stop_scale": 0.8, "target_scale": 1.5},
            "volatile_bull": {"stop_atr": 3.0, "stop_scale": 1.5, "target_scale": 2.5},
            "volatile_bear": {"stop_atr": 3.0, "stop_scale": 1.5, "target_scale": 2.5},
            "choppy": {"stop_atr": 2.0, "stop_scale": 1.0, "target_scale": 1.0},
            "breakout_potential": {"stop_atr": 1.5, "stop_scale": 1.0, "target_scale": 3.0},
            "unknown": {"stop_atr": 2.0, "stop_scale": 1.0, "target_scale": 1.0},
        },
    }
)

CALM = {
    "ema_9": 103.0,
    "ema_21": 102.0,
    "ema_50": 100.0,
    "adx_14": 30.0,
    "atr_14": 1.0,
    "rsi_14": 60.0,
    "choppiness_14": 40.0,
    "squeeze_20": 0.0,
}
"""A quiet rise with the price at 104."""


def an_instrument(symbol: Symbol = BTC, *, leverage: str = "5") -> Instrument:
    return Instrument(
        symbol=symbol,
        tick=Decimal("0.01"),
        lot=Decimal("0.0001"),
        min_quantity=Decimal("0.0001"),
        min_notional=Decimal("0.0001"),
        max_leverage=Decimal(leverage),
    )


def a_bar(
    close: float | str = "104",
    *,
    index: int = 0,
    symbol: Symbol = BTC,
    high: float | None = None,
    low: float | None = None,
    timeframe: Timeframe = Timeframe.H1,
) -> Bar:
    price = Decimal(str(close))
    return Bar(
        symbol=symbol,
        timeframe=timeframe,
        closed_at=START + (index + 1) * timeframe.delta,
        open=price,
        high=max(price, Decimal(str(high))) if high else price,
        low=min(price, Decimal(str(low))) if low else price,
        close=price,
        volume=Decimal(1),
    )


def an_account(
    held: str = "0", *, symbol: Symbol = BTC, in_flight: Sequence[InFlight] = (), price: str = "104"
) -> AccountState:
    quantity = Decimal(held)
    position = Position(
        symbol=symbol,
        quantity=quantity,
        entry_price=Decimal(price),
        mark=Decimal(price),
        notional=abs(quantity) * Decimal(price),
        opened_at=START,
    )
    return AccountState(
        as_of=START,
        currency="USDT",
        equity=Decimal(10_000),
        cash=Decimal(10_000),
        positions={symbol: position} if quantity else {},
        in_flight=tuple(in_flight),
    )


def an_order(quantity: str = "1", *, symbol: Symbol = BTC, reduce_only: bool = False) -> InFlight:
    return InFlight(
        client_order_id="c-1",
        symbol=symbol,
        quantity=Decimal(quantity),
        notional=Decimal(104),
        reduce_only=reduce_only,
    )


def a_snapshot(
    *,
    bars: Sequence[Bar] = (),
    values: dict[str, float] | None = None,
    held: str = "0",
    in_flight: Sequence[InFlight] = (),
    leverage: str = "5",
    delay: timedelta = timedelta(seconds=2),
) -> Snapshot:
    """A snapshot of the last of `bars` with `values` laid over the calm ones."""
    bars = bars or (a_bar(),)
    bar = bars[-1]
    frame = Frame(
        timeframe=bar.timeframe,
        closed_at=bar.closed_at,
        series=BarSeries.of(bars),
        indicators={**CALM, **(values or {})},
    )
    return Snapshot(
        instrument=an_instrument(bar.symbol, leverage=leverage),
        taken_at=bar.closed_at + delay,
        bar=bar,
        frames={bar.timeframe: frame},
        account=an_account(held, symbol=bar.symbol, in_flight=in_flight),
    )


def with_overlay(
    snapshot: Snapshot, timeframe: Timeframe, *, fast: float, slow: float, age: timedelta
) -> Snapshot:
    """`snapshot` with a higher timeframe whose newest bar closed `age` ago."""
    frame = Frame(
        timeframe=timeframe,
        closed_at=snapshot.taken_at - age,
        series=snapshot.primary.series,
        indicators={"ema_9": fast, "ema_21": slow},
    )
    return replace(snapshot, frames={**snapshot.frames, timeframe: frame})


def a_market(
    closes: Sequence[float], *, leverage: str = "5", frames: Sequence[Timeframe] = (Timeframe.H1,)
) -> list[Snapshot]:
    """What a strategy that holds nothing sees bar by bar, with the indicators that it may want."""
    wanted = (*STANDARD, Ema(20, "first"), Ema(50, "first"))
    history = MarketHistory(
        an_instrument(leverage=leverage), Timeframe.H1, dict.fromkeys(frames, wanted), capacity=61
    )
    made, previous = [], closes[0]
    for index, close in enumerate(closes):
        high, low = max(previous, close) * 1.001, min(previous, close) * 0.999
        bar = a_bar(round(close, 2), index=index, high=high, low=low)
        previous = close
        history.add(bar)
        at = bar.closed_at + timedelta(seconds=2)
        made.append(take_snapshot(history, an_account(), taken_at=at))
    return made


def a_vote(seat: int, direction: Direction = Direction.LONG, confidence: float = 0.6) -> Vote:
    return Vote(
        voter=VoterId(f"seat-{seat}"),
        model="scripted",
        stand_in=True,
        direction=direction,
        confidence=confidence,
        rationale="said so",
    )


def an_abstention(seat: int, reason: AbstentionReason = AbstentionReason.LATE) -> Abstention:
    return Abstention(
        voter=VoterId(f"seat-{seat}"), model="scripted", stand_in=True, reason=reason, detail="late"
    )


class ScriptedPanel:
    """A panel whose seats always say the same."""

    def __init__(self, ballots: Sequence[Vote | Abstention]) -> None:
        self._ballots = tuple(ballots)

    async def ask(self, snapshot, reports) -> Ballots:
        return Ballots(ballots=self._ballots, answers=())


def council_of(direction: Direction, agreeing: int = 6, confidence: float = 0.6) -> ScriptedPanel:
    """Six seats: `agreeing` of them for `direction`, the others abstain."""
    votes = [a_vote(seat, direction, confidence) for seat in range(agreeing)]
    return ScriptedPanel([*votes, *(an_abstention(seat) for seat in range(agreeing, 6))])

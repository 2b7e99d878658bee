"""The stages, and what has to be seen before real money is let in: all of it, or nothing is sent.

A stage is let in by the record of the one before it: micro by an account on paper, live by one in
micro, whose own start has to have been let in. The first stages risk nothing, and ask for nothing.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TypeAlias

import orjson

from data.faults import Refused
from risk.limits import RiskLimits
from sextant.evaluation.figures import percent, ratio
from sextant.settings import InstrumentSettings, PaperTradingSettings, Settings
from sextant.stage_settings import ExitTestSettings, Mode

PHRASE_VARIABLE, PHRASE = "SEXTANT_LIVE", "I accept that real money can be lost"
STAGE_VARIABLE = "SEXTANT_STAGE"
"""Names the stage that is meant, so that what was said of micro does not count for live."""

BOUNDS = (
    "max_risk_per_trade",
    "max_position",
    "max_positions_per_symbol",
    "max_exposure",
    "max_leverage",
    "max_margin_use",
    "max_open_positions",
    "max_daily_loss",
    "max_weekly_loss",
    "max_monthly_loss",
    "max_day_drawdown",
    "max_drawdown",
    "max_account_drawdown",
)
"""Limits of which less is always safer: they may be lower than on record, and never higher."""

_OF_THE_VENUE = frozenset({"taker_fee"})  # what the venue says takes its place
_NOT_SAID_BY_A_SEAT = frozenset({"api_key_env", "host_env", "price_in", "price_out", "stand_in"})


Bounds: TypeAlias = Mapping[str, Decimal]
"""What bounds a loss, by key: `risk.max_position`, `leverage BTC/USDT`."""

Strategy: TypeAlias = Mapping[str, str]
"""The parts of what decides, by name, each as a digest."""


class NotCleared(Refused):
    """Real money is not let in; nothing was sent, and nothing was opened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """One condition: what was seen, what is asked for, and what to do where it is not met."""

    name: str
    observed: str
    limit: str
    is_met: bool
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What a record shows; None is undefined, and passes nothing. Shares are fractions."""

    span: timedelta
    trades: int
    sharpe: float | None
    max_drawdown: float | None
    wins: float | None
    uptime: float | None
    errors: float | None


NOTHING = Figures(
    span=timedelta(0),
    trades=0,
    sharpe=None,
    max_drawdown=None,
    wins=None,
    uptime=None,
    errors=None,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """The record that was relied on."""

    record: str  # where it is kept
    records: int
    digest: str  # of the newest of them, which stands for all
    since: datetime  # when the runs began that count


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleared:
    """Real money was let in: on which conditions, and for what."""

    at: datetime
    stage: Mode
    criteria: tuple[Criterion, ...]
    proof: Proof
    strategy: Strategy
    bounds: Bounds  # as on record, whatever lower ones the run has

    def holds_for(self, mode: Mode, strategy: Strategy, bounds: Bounds) -> bool:
        """Whether a restart in `mode` needs no new record: no further stage, nothing changed."""
        stages = list(Mode)
        return (
            stages.index(mode) <= stages.index(self.stage)
            and strategy == self.strategy
            and not loosened(bounds, self.bounds)
        )


def confirmations(mode: Mode, environment: Mapping[str, str]) -> tuple[Criterion, ...]:
    """What a person has to say in the environment, at every start."""
    wanted = {PHRASE_VARIABLE: PHRASE, STAGE_VARIABLE: mode.value}
    return tuple(
        Criterion(
            name=name,
            observed=_shown(environment.get(name), text),
            limit=f'exactly "{text}"',
            is_met=environment.get(name) == text,
            remedy=f'export {name}="{text}"',
        )
        for name, text in wanted.items()
    )


def _shown(given: str | None, wanted: str) -> str:
    """What was set is not repeated: somebody may have put a secret there."""
    if not given:
        return "not set"
    return "said" if given == wanted else "set to something else"


def exit_test(found: Figures, asked: ExitTestSettings, stage: Mode) -> tuple[Criterion, ...]:
    """The figures of a record of `stage` against what is asked for.

    Length and trades are met at their limits, the others beyond them only.
    """
    longer = f"let the {stage} account run on"
    better = f"change what decides, and let it run in mode {stage.value!r} anew"
    steadier = f"see why in the logs of the {stage} account, and let it run on"
    return (
        Criterion(
            name="length",
            observed=_days(found.span),
            limit=f"at least {_days(asked.min_span)}",
            is_met=found.span >= asked.min_span,
            remedy=longer,
        ),
        Criterion(
            name="closed trades",
            observed=f"{found.trades:,}",
            limit=f"at least {asked.min_trades:,}",
            is_met=found.trades >= asked.min_trades,
            remedy=longer,
        ),
        _beyond("Sharpe (daily, 365)", found.sharpe, asked.sharpe_above, better, shown=ratio),
        _below("drawdown at most", found.max_drawdown, asked.drawdown_below, better),
        _beyond("trades won", found.wins, asked.wins_above, better),
        _beyond("uptime", found.uptime, asked.uptime_above, steadier),
        _below("decisions failed", found.errors, asked.errors_below, steadier),
    )


def _beyond(
    name: str,
    value: float | None,
    limit: float,
    remedy: str,
    *,
    shown: Callable[[float | None, int], str] = percent,
) -> Criterion:
    return Criterion(
        name=name,
        observed=shown(value, 3),
        limit=f"above {shown(limit, 2)}",
        is_met=value is not None and value > limit,
        remedy=remedy,
    )


def _below(name: str, value: float | None, limit: float, remedy: str) -> Criterion:
    return Criterion(
        name=name,
        observed=percent(value, 3),
        limit=f"below {percent(limit)}",
        is_met=value is not None and value < limit,
        remedy=remedy,
    )


def _days(span: timedelta) -> str:
    return f"{span / timedelta(days=1):.3f}".rstrip("0").rstrip(".") + " days"


def require_met(stage: Mode, criteria: Sequence[Criterion]) -> None:
    """Let pass what meets every criterion.

    Raises:
        NotCleared: names every one that is not met, and what to do about it.
    """
    unmet = [c for c in criteria if not c.is_met]
    if unmet or not criteria:
        lines = (f"  {c.name}: {c.observed}; wanted {c.limit}: {c.remedy}" for c in unmet)
        count = f"{len(unmet)} of {len(criteria)} conditions of mode {stage.value!r} are not met"
        raise NotCleared("\n".join((f"{count}; nothing was sent", *lines)))


def require_cleared(settings: Settings, cleared: Cleared | None) -> None:
    """Raise `NotCleared` where real money is at stake and was not let in at this stage."""
    mode = settings.mode
    if mode.is_real and (cleared is None or cleared.stage is not mode):
        raise NotCleared(f"mode {mode.value!r} was not cleared; nothing was sent")


def strategy_of(settings: Settings, prompts: Mapping[str, str]) -> Strategy:
    """What decides: desks, seats, their prompts by content hash, the bars, the news.

    How much money a desk has, what its answers cost and where its keys are is not in it.
    """
    parts: dict[str, object] = {
        "market.timeframe": settings.market.timeframe.value,
        "news": settings.news.model_dump(mode="json"),
    }
    for desk in settings.desk:
        parts[f"desk[{desk.strategy_id}]"] = desk.model_dump(
            mode="json", exclude={"capital", "limits"}
        )
    for seat in settings.seat:
        parts[f"seat[{seat.voter}]"] = seat.model_dump(
            mode="json", exclude=set(_NOT_SAID_BY_A_SEAT)
        )
        parts[f"prompt {seat.prompt}"] = prompts.get(seat.prompt)
    return {name: _digest(part) for name, part in parts.items()}


def _digest(part: object) -> str:
    return hashlib.sha256(orjson.dumps(part, option=orjson.OPT_SORT_KEYS)).hexdigest()


def bounds_of(settings: Settings) -> Bounds:
    """What bounds a loss: the limits of `BOUNDS`, and the leverage of what is traded."""
    limits = {f"risk.{key}": Decimal(getattr(settings.risk, key)) for key in BOUNDS}
    leverage = {
        f"leverage {i.symbol}": _leverage(settings, i)
        for i in settings.instrument
        if i.symbol in settings.traded
    }
    return limits | leverage


def _leverage(settings: Settings, instrument: InstrumentSettings) -> Decimal:
    if isinstance(settings.venue, PaperTradingSettings):
        return instrument.max_leverage
    wanted = Decimal(settings.venue.leverage.get(instrument.symbol, 1))
    return min(instrument.max_leverage, wanted)


def loosened(bounds: Bounds, on_record: Bounds) -> list[str]:
    """The bounds that are higher than on record, or not there."""
    return [
        f"{key} {bound} above {on_record.get(key, 'none')}"
        for key, bound in bounds.items()
        if key not in on_record or bound > on_record[key]
    ]


def changed(strategy: Strategy, on_record: Strategy) -> list[str]:
    """The parts of what decides that are not as on record."""
    names = sorted(strategy.keys() | on_record.keys())
    return [name for name in names if strategy.get(name) != on_record.get(name)]


def rules_changed(limits: RiskLimits, on_record: RiskLimits) -> list[str]:
    """The limits, bounds aside, that are not as on record; the venue's own fee is none of them."""
    keys = RiskLimits.model_fields.keys() - _OF_THE_VENUE - set(BOUNDS)
    return sorted(f"risk.{k}" for k in keys if getattr(limits, k) != getattr(on_record, k))

"""When holdings are rebalanced: begun by drift, worked off in batches, never past their targets.

Everything that has to be remembered is one `RebalanceState`. Whoever keeps it asks for the orders
of a step first and writes the state down after: a crash between the two asks again, under the same
intent ids, so that nothing is bought twice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import localcontext

from agents.allocation import (
    ARITHMETIC,
    AllocationSettings,
    AllocationTrade,
    Drift,
    DriftLevel,
    Holdings,
    Target,
    drift_level,
    drifts,
    parts,
    resized,
    sells_first,
    trades_to_target,
)
from data.instrument import Instrument, Quantity, Symbol


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What is asked for together; `planned_at` names it, and no other batch has the same."""

    planned_at: datetime
    trades: tuple[AllocationTrade, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RebalanceState:
    """When the last rebalance began, and what is left of it."""

    began_at: datetime | None = None
    not_before: datetime | None = None  # no batch until then
    pending: tuple[Batch, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RebalanceStep:
    """What a look at the holdings leads to."""

    state: RebalanceState  # the same object where nothing changes
    drifts: tuple[Drift, ...]
    level: DriftLevel
    due: Batch | None  # to be asked for now


def step(
    state: RebalanceState,
    holdings: Holdings,
    targets: Sequence[Target],
    instruments: Mapping[Symbol, Instrument],
    settings: AllocationSettings,
    *,
    now: datetime,
) -> RebalanceStep:
    """Look at `holdings`, in which orders that are under way count as filled.

    At most one batch is due at a time, and the next no sooner than the interval after it, so that
    what was missed while nobody looked does not come all at once.
    """
    found = drifts(holdings, targets)
    level = drift_level(found, settings)
    nothing = RebalanceStep(state=state, drifts=found, level=level, due=None)
    if not _may_go_on(state, now) or not (state.pending or _may_begin(state, level, settings, now)):
        return nothing
    wanted = trades_to_target(holdings, targets, instruments, min_trade=settings.min_trade)
    if not state.pending:
        if not wanted:
            return nothing  # no trade is worth its while
        cut = batches(wanted, instruments, settings, now)
        state = RebalanceState(began_at=now, pending=cut)
    batch, rest = state.pending[0], state.pending[1:]
    return RebalanceStep(
        state=replace(state, pending=rest, not_before=now + settings.batch_interval),
        drifts=found,
        level=level,
        due=replace(batch, trades=still_wanted(batch.trades, wanted)),
    )


def _may_begin(
    state: RebalanceState, level: DriftLevel, settings: AllocationSettings, now: datetime
) -> bool:
    if level is DriftLevel.CALM:
        return False
    return state.began_at is None or now - state.began_at >= settings.min_interval


def _may_go_on(state: RebalanceState, now: datetime) -> bool:
    return state.not_before is None or now >= state.not_before


def batches(
    trades: Sequence[AllocationTrade],
    instruments: Mapping[Symbol, Instrument],
    settings: AllocationSettings,
    begins_at: datetime,
) -> tuple[Batch, ...]:
    """`trades` cut into batches where their turnover is large, sells first in each."""
    turnover = sum(trade.value for trade in trades)
    most = settings.batches if turnover > settings.batch_above else 1
    cut: list[list[AllocationTrade]] = [[] for _ in range(most)]
    with localcontext(ARITHMETIC):
        for trade in trades:
            instrument = instruments[trade.symbol]
            pieces = parts(trade, instrument, most=most, min_trade=settings.min_trade)
            for batch, part in zip(cut, pieces, strict=False):  # small trades have fewer parts
                batch.append(part)
    return tuple(
        Batch(planned_at=begins_at + n * settings.batch_interval, trades=sells_first(together))
        for n, together in enumerate(cut)
        if together
    )


def still_wanted(
    planned: Sequence[AllocationTrade], wanted: Sequence[AllocationTrade]
) -> tuple[AllocationTrade, ...]:
    """What was planned, as far as today's holdings and prices still want it."""
    now = {(trade.symbol, trade.side): trade for trade in wanted}
    with localcontext(ARITHMETIC):
        return tuple(
            resized(want, Quantity(min(trade.quantity, want.quantity)))
            for trade in planned
            if (want := now.get((trade.symbol, trade.side))) is not None
        )

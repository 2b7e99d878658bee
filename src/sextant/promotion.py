"""Letting real money in: what the environment says and the record of the stage before proves.

Nothing here asks an exchange, and nothing is written: databases are read, and keys looked for.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from agents.prompts import PromptLibrary
from sextant.facts import RunStarted, codec
from sextant.settings import PROJECT, Settings, VenueSettings
from sextant.stage_record import record_before, verified_records
from sextant.stage_settings import Mode
from sextant.stages import (
    Bounds,
    Cleared,
    Criterion,
    NotCleared,
    Proof,
    Strategy,
    bounds_of,
    confirmations,
    require_met,
    strategy_of,
)
from sextant.standing import reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """Every condition of a stage, and what was found of it."""

    stage: Mode
    criteria: tuple[Criterion, ...]
    strategy: Strategy
    bounds: Bounds  # as on record
    proof: Proof | None  # None where there is no record that counts

    def cleared(self, at: datetime) -> Cleared:
        """What goes on record before the first order.

        Raises:
            NotCleared: names every condition that is not met, and what to do about it.
        """
        require_met(self.stage, self.criteria)
        if self.proof is None:
            raise NotCleared(f"mode {self.stage.value!r}: no record was read; nothing was sent")
        return Cleared(
            at=at,
            stage=self.stage,
            criteria=self.criteria,
            proof=self.proof,
            strategy=self.strategy,
            bounds=self.bounds,
        )


async def clear(
    settings: Settings, environment: Mapping[str, str], *, now: datetime
) -> Cleared | None:
    """Let real money in; None where none is at stake.

    Raises:
        NotCleared: names every condition that is not met, and what to do about it.
        Fault: our own books cannot be read.
    """
    if not settings.mode.is_real:
        return None
    return (await examine(settings, environment)).cleared(now)


async def run_promote(settings: Settings, environment: Mapping[str, str], console: Console) -> bool:
    """Print every condition of the stage that `settings` name; True if all are met.

    Raises:
        NotCleared: the settings are of no stage that trades real money.
        Fault: our own books cannot be read.
    """
    if not settings.mode.is_real:
        raise NotCleared(
            f"mode {settings.mode.value!r} trades no real money and asks for nothing; name the "
            "configuration of the next stage, such as config/micro.toml"
        )
    found = await examine(settings, environment)
    _show(found, console)
    return all(c.is_met for c in found.criteria)


async def examine(settings: Settings, environment: Mapping[str, str]) -> Examination:
    """Look at every condition; what was cleared before, and is the same, needs no new record.

    Raises:
        NotCleared: the settings lack `[live]`.
        Fault: our own books cannot be read.
    """
    live, mode = settings.live, settings.mode
    if live is None:
        raise NotCleared(f"mode {mode.value!r}: the configuration has no [live]")
    strategy = strategy_of(settings, PromptLibrary(PROJECT / settings.panel.prompts).versions)
    bounds = bounds_of(settings)
    own = await _own_books(settings)
    said = (
        *confirmations(mode, environment),
        _keys(settings.venue, environment),
        _own_criterion(own, settings),
    )
    if (before := own.clearance_for(mode, strategy, bounds)) is not None:
        return Examination(
            stage=mode,
            criteria=(*said, _as_before(before)),
            strategy=strategy,
            bounds=before.bounds,
            proof=before.proof,
        )
    record = await record_before(settings, live, strategy)
    return Examination(
        stage=mode,
        criteria=(*said, *record.criteria),
        strategy=strategy,
        bounds=record.bounds,
        proof=record.proof,
    )


def _as_before(before: Cleared) -> Criterion:
    return Criterion(
        name="cleared before",
        observed=f"{before.at:%Y-%m-%d %H:%M} for {before.stage}, by {before.proof.record}",
        limit="nothing that decides changed since, and no bound higher",
        is_met=True,
        remedy="",
    )


def _keys(venue: VenueSettings, environment: Mapping[str, str]) -> Criterion:
    problem = _key_problem(venue, environment)
    return Criterion(
        name=f"keys of {venue.kind}",
        observed=problem or "in the environment",
        limit="there; the exchange is asked whether they can withdraw before anything else",
        is_met=not problem,
        remedy="make a key that cannot withdraw, and put it into the environment",
    )


def _key_problem(venue: VenueSettings, environment: Mapping[str, str]) -> str:
    """What is wrong with the keys; empty where they are there and well formed."""
    from execution.venues.answers import KeyRefused

    try:
        _read_keys(venue, environment)
    except KeyRefused as refused:
        return str(refused)
    return ""


def _read_keys(venue: VenueSettings, environment: Mapping[str, str]) -> None:
    """Raises `KeyRefused`; each imports its adapter when it is wanted: ccxt takes a second."""
    match venue.kind:
        case "kraken":
            from execution.venues.kraken_line import Keys as KrakenKeys

            KrakenKeys.of_environment(environment)
        case "hyperliquid":
            from execution.venues.hyperliquid_line import Keys as HyperliquidKeys

            HyperliquidKeys.of_environment(environment)
        case "binanceusdm" | "binanceusdm_testnet" as kind:
            from execution.venues.binance_line import Keys as BinanceKeys

            BinanceKeys.of_environment(environment, testnet=kind == "binanceusdm_testnet")
        case "paper":
            pass  # it has none


@dataclass(frozen=True, slots=True, kw_only=True)
class _OwnBooks:
    """What our own journal says of real money; it may be empty."""

    last_mode: str | None
    clearances: tuple[Cleared, ...]

    def clearance_for(self, mode: Mode, strategy: Strategy, bounds: Bounds) -> Cleared | None:
        """The newest that holds for what is asked for."""
        newest_first = reversed(self.clearances)
        return next((c for c in newest_first if c.holds_for(mode, strategy, bounds)), None)


async def _own_books(settings: Settings) -> _OwnBooks:
    mode, clearances, reader = None, list[Cleared](), codec()
    async with reading(settings) as pool:
        async for record in verified_records(pool):
            if record.topic in {"repro", "clearance"}:
                match reader.decode(record.topic, record.body):
                    case RunStarted() as run:
                        mode = run.mode
                    case Cleared() as cleared:
                        clearances.append(cleared)
    return _OwnBooks(last_mode=mode, clearances=tuple(clearances))


def _own_criterion(own: _OwnBooks, settings: Settings) -> Criterion:
    return Criterion(
        name="own books",
        observed="empty" if own.last_mode is None else f"of mode {own.last_mode!r}",
        limit="empty, or of real money",
        is_met=own.last_mode is None or Mode(own.last_mode).is_real,
        remedy=f"name another [storage] than {settings.state_folder}",
    )


def _show(found: Examination, console: Console) -> None:
    table = Table(
        "condition",
        "found",
        "wanted",
        "met",
        title=f"Mode {found.stage}",
        title_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    for c in found.criteria:
        met = Text("yes") if c.is_met else Text("no", style="red")
        table.add_row(c.name, Text(c.observed), Text(c.limit), met)
    console.print(table)
    unmet = [c for c in found.criteria if not c.is_met]
    for c in unmet:
        console.print(f"{c.name}: {c.remedy}", soft_wrap=True, markup=False, highlight=False)
    last = f"{len(unmet)} of {len(found.criteria)} are not met" if unmet else "all are met"
    console.print(last, markup=False)

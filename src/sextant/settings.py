"""What the operator says: TOML files, read once and checked key by key; no secret is in them."""

import os
import tomllib
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from agents.baseline_strategy import EmaCrossSettings, HoldSettings, SeededRandomSettings
from agents.council.strategy import CouncilSettings
from agents.llm.settings import SeatSettings
from data.bar import Timeframe
from data.instrument import Instrument, Notional, Quantity, Symbol
from data.quality import QualityLimits
from data.utc import require_utc
from execution.engine import EngineSettings
from execution.protection import ProtectionSettings
from risk.limits import RiskLimits

PROJECT = Path(__file__).resolve().parents[2]
"""The checkout; relative paths in a configuration start here."""


class BadSettings(Exception):
    """The configuration cannot be used; each line names the key, the file, and what is allowed."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Mode(StrEnum):
    """How much is real; ordered, and no stage can be skipped."""

    REHEARSAL = "rehearsal"  # a made-up or recorded market, a paper venue, stand-ins allowed
    PAPER = "paper"  # the live market, a paper venue


class Section(BaseModel):
    """A table of the configuration: frozen, and a key that it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _utc(at: datetime) -> datetime:
    require_utc(at)
    return at


Share = Annotated[Decimal, Field(ge=0, lt=1)]
Positive = Annotated[Decimal, Field(gt=0)]
Utc = Annotated[datetime, AfterValidator(_utc)]


class InstrumentSettings(Section):
    """`[[instrument]]`: one tradable pair and its grid."""

    symbol: Symbol
    tick: Positive
    """Price step, in quote currency."""
    lot: Positive
    """Quantity step, in base currency."""
    min_quantity: Positive
    min_notional: Annotated[Decimal, Field(ge=0)]
    max_leverage: Annotated[Decimal, Field(ge=1, le=5)]
    """1 is spot: nothing is borrowed and nothing sold short. Never above 5 (S0-22)."""

    def instrument(self) -> Instrument:
        return Instrument(
            symbol=self.symbol,
            tick=self.tick,
            lot=self.lot,
            min_quantity=Quantity(self.min_quantity),
            min_notional=Notional(self.min_notional),
            max_leverage=self.max_leverage,
        )


class AccountSettings(Section):
    """`[account]`: the one account of this daemon."""

    currency: str
    balances: Mapping[str, Decimal]
    """Opening balances of the paper venue, by asset."""


class PaperVenueSettings(Section):
    """`[paper_venue]`: on what terms the paper venue fills."""

    maker_fee: Share
    taker_fee: Share
    spread_bps: Annotated[Decimal, Field(ge=0)]
    """Full spread, in basis points of the price; half of it is paid on each side."""
    slippage_bps: Annotated[Decimal, Field(ge=0)]
    latency_ms: Annotated[int, Field(ge=0)]
    participation: Annotated[Decimal, Field(ge=0, le=1)]
    """The most of a bar's volume that one bar may fill, as a share; 0 lifts the bound."""


class _Market(Section):
    timeframe: Timeframe
    """Of the bars that come in; a desk decides on these or on longer ones made of them."""


class SyntheticMarketSettings(_Market):
    """`[market]` with source "synthetic": a seeded market; it says everywhere that it is one."""

    source: Literal["synthetic"]
    seed: int
    start: Utc
    speed: Annotated[float, Field(gt=0)]
    """Market seconds a second: 60 gives a one-minute bar a second."""


class RecordedMarketSettings(_Market):
    """`[market]` with source "recorded": bars from files, for `sextant replay`."""

    source: Literal["recorded"]


class LiveMarketSettings(_Market):
    """`[market]` with the source of a live exchange."""

    source: Literal["kraken"]


MarketSettings = Annotated[
    SyntheticMarketSettings | RecordedMarketSettings | LiveMarketSettings,
    Field(discriminator="source"),
]


class PanelSettings(Section):
    """`[panel]`: how the six seats are asked."""

    deadline_s: Annotated[float, Field(gt=0)]
    """Seconds that all seats have together; who is later abstains."""
    daily_budget_usd: Annotated[Decimal, Field(ge=0)]
    """The most that all models may cost from 00:00 to 24:00 UTC."""
    decision_budget_usd: Annotated[Decimal, Field(ge=0)]
    """The most that one decision's models may cost."""
    prompts: Path
    """Folder of the prompts, from the folder of the project."""


StrategySettings = Annotated[
    CouncilSettings | EmaCrossSettings | HoldSettings | SeededRandomSettings,
    Field(discriminator="kind"),
]


class DeskSettings(Section):
    """`[[desk]]`: one strategy at work."""

    strategy_id: Annotated[str, Field(pattern=r"^[a-z0-9_\-]{1,40}$")]
    instruments: Annotated[tuple[Symbol, ...], Field(min_length=1)]
    timeframe: Timeframe
    overlays: tuple[Timeframe, ...] = ()
    """Higher timeframes that the strategy sees beside its own."""
    strategy: StrategySettings


class StorageSettings(Section):
    """`[storage]`: where everything is kept."""

    dsn_env: str
    """Environment variable with the address of a PostgreSQL; unset means the embedded one."""
    folder: Path
    """State folder: the embedded server's data, logs and reports."""


class EvaluationSettings(Section):
    """`[evaluation]`: how votes are scored."""

    horizon_bars: Annotated[int, Field(ge=1)]
    """After so many bars of the market's timeframe a vote is held against what came."""
    hold_band: Annotated[float, Field(gt=0)]
    """HOLD was right if the price moved by less than this fraction."""


class Settings(Section):
    """Everything the operator says."""

    mode: Mode
    account: AccountSettings
    paper_venue: PaperVenueSettings
    market: MarketSettings
    instrument: Annotated[tuple[InstrumentSettings, ...], Field(min_length=1)]
    risk: RiskLimits
    panel: PanelSettings
    seat: tuple[SeatSettings, ...]
    desk: Annotated[tuple[DeskSettings, ...], Field(min_length=1)]
    engine: EngineSettings
    protection: ProtectionSettings
    quality: QualityLimits
    evaluation: EvaluationSettings
    storage: StorageSettings

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        known = {i.symbol for i in self.instrument}
        for desk in self.desk:
            for symbol in desk.instruments:
                if symbol not in known:
                    listed = ", ".join(sorted(known))
                    raise ValueError(
                        f"desk {desk.strategy_id!r} trades {symbol}, which is no [[instrument]]; "
                        f"allowed: {listed}"
                    )
        ids = [desk.strategy_id for desk in self.desk]
        if len(set(ids)) < len(ids):
            raise ValueError("two desks share a strategy_id; each needs its own")
        voters = [seat.voter for seat in self.seat]
        if len(set(voters)) < len(voters):
            raise ValueError("two seats share a voter name; each needs its own")
        if self.account.currency not in self.account.balances:
            raise ValueError(
                f"account.balances has no {self.account.currency}, the account's currency"
            )
        return self

    @property
    def instruments(self) -> dict[Symbol, Instrument]:
        return {i.symbol: i.instrument() for i in self.instrument}

    @property
    def traded(self) -> tuple[Symbol, ...]:
        """The symbols that some desk trades, in the order of the configuration."""
        desks = {symbol for desk in self.desk for symbol in desk.instruments}
        return tuple(i.symbol for i in self.instrument if i.symbol in desks)

    @property
    def state_folder(self) -> Path:
        """Where this configuration keeps what must outlive the process."""
        return PROJECT / self.storage.folder


def load_settings(path: Path) -> Settings:
    """Read the file and those it extends.

    Raises:
        BadSettings: a file cannot be read, or a key is unknown, missing or out of range.
    """
    try:
        return Settings.model_validate(_merged(path))
    except ValidationError as error:
        raise BadSettings([_in_words(e, path) for e in error.errors()]) from error


def _merged(path: Path) -> dict[str, Any]:
    """The file's tables over those of the file that it extends, if it extends one."""
    tables = _parsed(path)
    base = tables.pop("extends", None)
    if base is None:
        return tables
    if not isinstance(base, str):
        raise BadSettings(
            [f"{path}: extends must be the name of a file beside it, such as paper.toml"]
        )
    return _laid_over(_merged(path.parent / base), tables)


def _parsed(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadSettings(
            [f"{path}: cannot be read: {error.strerror}; name it with --config"]
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadSettings([f"{path}: not TOML: {error}"]) from error


def _laid_over(base: Mapping[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    """Tables are merged key by key; anything else, lists of tables too, is replaced.

    A table that names another `source` or `kind` is another thing, and replaces the whole.
    """
    merged = dict(base)
    for key, value in top.items():
        below = merged.get(key)
        if isinstance(value, dict) and isinstance(below, dict) and _same_kind(below, value):
            merged[key] = _laid_over(below, value)
        else:
            merged[key] = value
    return merged


def _same_kind(below: Mapping[str, Any], above: Mapping[str, Any]) -> bool:
    return all(above.get(tag, below.get(tag)) == below.get(tag) for tag in ("source", "kind"))


def _in_words(error: Mapping[str, Any], path: Path) -> str:
    """One problem in plain words: the file, the key, and what is wrong with it."""
    key = ".".join(str(part) for part in error["loc"]) or "the file as a whole"
    match error["type"]:
        case "extra_forbidden":
            return f"{path}: {key}: no such key; is it misspelt?"
        case "missing":
            return f"{path}: {key}: missing, and has no default"
        case _:
            given = error.get("input")
            shown = f" (given: {given!r})" if isinstance(given, str | int | float | bool) else ""
            return f"{path}: {key}: {error['msg']}{shown}"


def secret(name: str) -> str | None:
    """A secret from the environment; unset and empty are both None."""
    return os.environ.get(name) or None

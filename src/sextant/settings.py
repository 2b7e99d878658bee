"""What the operator says: TOML files, read once and checked key by key; no secret is in them."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from agents.baseline_strategy import EmaCrossSettings, HoldSettings, SeededRandomSettings
from agents.council.baselines import BASELINES
from agents.council.strategy import CouncilSettings
from agents.llm.settings import SeatSettings
from agents.prompts import BadPrompt, PromptLibrary
from data.bar import Timeframe
from data.defect import WatchLimits
from data.faults import Refused
from data.instrument import Instrument, Notional, Quantity, Symbol
from data.news_window import NewsWindow
from data.postgres.upkeep import Retention
from data.quality import QualityLimits
from execution.engine import EngineSettings
from execution.live_matching import BookTerms
from execution.paper_terms import PaperTerms
from execution.passive import AT_ONCE, PassiveSettings
from execution.protection import ProtectionSettings
from execution.venues.binance_settings import BinanceVenueSettings
from execution.venues.hyperliquid_settings import HyperliquidVenueSettings
from execution.venues.kraken_settings import KrakenVenueSettings
from risk.limits import RiskLimits
from sextant.allocator_settings import AllocatorSettings, allocation_problems, portfolio_of
from sextant.market_settings import LiveMarketSettings, MarketSettings
from sextant.paper_settings import PaperVenueSettings
from sextant.resting_settings import OutlivingVenue, resting_problems
from sextant.section import ENVIRONMENT_NAME, EnvironmentName, Positive, Section
from sextant.settings_file import BadSettings, in_words, merged, read_layers, told
from sextant.stage_settings import LiveSettings, Mode

PROJECT = Path(__file__).resolve().parents[2]
"""The checkout; relative paths in a configuration start here."""


class FolderUnusable(Refused):
    """The state folder cannot be made."""


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

    def as_listed(self, there: Instrument, leverage: Decimal) -> Self:
        """The same on the grid that a venue has, traded there at `leverage` at most."""
        return self.model_copy(
            update={
                "tick": there.tick,
                "lot": there.lot,
                "min_quantity": there.min_quantity,
                "min_notional": there.min_notional,
                "max_leverage": min(self.max_leverage, there.max_leverage, leverage),
            }
        )

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
    balances: Mapping[str, Annotated[Decimal, Field(ge=0)]]
    """What it opened with, by asset: where the venue is real, what was there by then."""


class PaperTradingSettings(Section):
    """`[venue]` with kind "paper": nothing leaves the process; `[paper_venue]` says the terms."""

    kind: Literal["paper"]

    @property
    def secret_names(self) -> tuple[str, ...]:
        """Where the environment has what no log may show."""
        return ()


VenueSettings = Annotated[PaperTradingSettings | OutlivingVenue, Field(discriminator="kind")]


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
    capital: Annotated[Decimal, Field(gt=0)] | None = None
    """The desk's own part of the account, in its currency; with it the desk is held to limits of
    its own beside the account's, and no other desk may trade its instruments."""
    limits: Mapping[str, Any] = Field(default_factory=dict)
    """Which keys of `[risk]` are others for the desk's own part."""

    def own_limits(self, limits: RiskLimits) -> RiskLimits:
        """The account's `limits` with the desk's own put over them.

        Raises:
            ValidationError: a key is unknown, or its value cannot be.
        """
        return RiskLimits.model_validate({**limits.model_dump(), **self.limits})


class StorageSettings(Section):
    """`[storage]`: where everything is kept."""

    dsn_env: EnvironmentName
    """Environment variable with the address of a PostgreSQL; unset means the embedded one."""
    retention: Retention = Retention()
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
    venue: VenueSettings = PaperTradingSettings(kind="paper")
    market: MarketSettings
    instrument: Annotated[tuple[InstrumentSettings, ...], Field(min_length=1)]
    risk: RiskLimits
    panel: PanelSettings
    seat: tuple[SeatSettings, ...]
    desk: Annotated[tuple[DeskSettings, ...], Field(min_length=1)]
    engine: EngineSettings
    protection: ProtectionSettings
    passive: PassiveSettings = AT_ONCE
    quality: QualityLimits
    watch: WatchLimits
    news: NewsWindow = NewsWindow()
    """How much of the news agents are shown."""
    evaluation: EvaluationSettings
    allocation: AllocatorSettings | None = None
    """Without it nothing is kept beside the trading book."""
    storage: StorageSettings
    live: LiveSettings | None = None
    """Only where `mode` is "micro" or "live"."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        problems = [
            *_account_problems(self),
            *_venue_problems(self),
            *_stage_problems(self),
            *_seat_problems(self),
            *_desk_problems(self),
            *_allocation_problems(self),
        ]
        if problems:
            raise ValueError("\n".join(problems))
        return self

    @property
    def instruments(self) -> dict[Symbol, Instrument]:
        return {i.symbol: i.instrument() for i in self.instrument}

    @property
    def portfolio(self) -> dict[str, Decimal]:
        """What of the opening balances is kept beside the trading book; nothing where it is off."""
        return portfolio_of(self.account.balances, self.allocation)

    @property
    def paper_terms(self) -> PaperTerms:
        return self.paper_venue.terms(self.account.currency)

    @property
    def paper_books(self) -> BookTerms | None:
        """How paper believes the live market's books; None where it is told of none."""
        is_paper = isinstance(self.venue, PaperTradingSettings)
        is_told = isinstance(self.market, LiveMarketSettings) and self.market.book_depth is not None
        return self.paper_venue.book.terms if is_paper and is_told else None

    def as_traded(
        self,
        grids: Mapping[Symbol, Instrument],
        *,
        leverage: Mapping[Symbol, int],
        taker_fee: Decimal,
    ) -> Self:
        """The same with the grids and the fee that a venue really has; leverage is the least.

        What `leverage` does not name is traded on spot.
        """
        found = tuple(
            i.as_listed(grids[i.symbol], Decimal(leverage.get(i.symbol, 1)))
            for i in self.instrument
        )
        risk = self.risk.model_copy(update={"taker_fee": taker_fee})
        return self.model_copy(update={"instrument": found, "risk": risk})

    @property
    def traded(self) -> tuple[Symbol, ...]:
        """The symbols that some desk trades, in the order of the configuration."""
        desks = {symbol for desk in self.desk for symbol in desk.instruments}
        return tuple(i.symbol for i in self.instrument if i.symbol in desks)

    @property
    def state_folder(self) -> Path:
        """Where this configuration keeps what must outlive the process."""
        return PROJECT / self.storage.folder

    def make_state_folder(self) -> Path:
        """The state folder, made where it was not there.

        Raises:
            FolderUnusable: something else is in its place, or it may not be made.
        """
        folder = self.state_folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FolderUnusable(f"storage.folder: {folder}: {error.strerror}") from error
        return folder


def _account_problems(settings: Settings) -> Iterator[str]:
    account = settings.account
    if account.currency not in account.balances:
        yield f"account.balances: has no {account.currency}, the account's currency"


def _allocation_problems(settings: Settings) -> Iterator[str]:
    asked, account = settings.allocation, settings.account
    if asked is None or not asked.enabled or account.currency not in account.balances:
        return
    if not isinstance(settings.venue, PaperTradingSettings | KrakenVenueSettings):
        yield f"allocation.enabled: at {settings.venue.kind!r} nothing is held, only positions"
    if isinstance(settings.venue, KrakenVenueSettings):
        spot = sorted(set(settings.traded) - settings.venue.leverage.keys())
        if spot:
            yield (
                f"allocation.enabled: desks trade {', '.join(spot)} on spot, where no stop is "
                "reduce-only and could sell what is kept; give it venue.leverage, or keep nothing"
            )
    problems = allocation_problems(
        asked,
        currency=account.currency,
        symbols=frozenset(settings.instruments),
        limits=settings.risk.allocation,
    )
    yield from (f"allocation.{problem}" for problem in problems)


def _venue_problems(settings: Settings) -> Iterator[str]:
    """Real and made-up are never mixed: not prices of one with orders at the other."""
    venue, source = settings.venue, settings.market.source
    if isinstance(venue, PaperTradingSettings):
        if source == "rehearsal":
            yield (
                'venue.kind: a market of source "rehearsal" is an exchange that takes orders; '
                'trade there with kind "kraken", or take source "synthetic"'
            )
        return
    if settings.mode is Mode.REHEARSAL and source != "rehearsal":
        yield f'venue.kind: {venue.kind!r} in a rehearsal needs market.source "rehearsal"'
    if settings.mode is Mode.PAPER and not is_testnet(venue):
        yield (
            f'venue.kind: {venue.kind!r} sends orders; mode "paper" has kind "paper", or a testnet'
        )
    latest = (
        venue.receive_window if isinstance(venue, BinanceVenueSettings) else venue.order_deadline
    )
    if settings.engine.lost_after < latest:
        yield (
            f"engine.lost_after: {settings.engine.lost_after} is too short: what is given up then "
            f"may arrive for {latest} (venue.order_deadline or venue.receive_window)"
        )
    yield from resting_problems(venue, settings.passive, settings.allocation)
    unknown = set(venue.leverage) - {i.symbol for i in settings.instrument}
    if unknown:
        yield f"venue.leverage: {', '.join(sorted(unknown))} is no instrument"


def is_testnet(venue: VenueSettings) -> bool:
    """Whether orders go to an exchange's own playground, where no money is real."""
    match venue:
        case BinanceVenueSettings():
            return venue.kind == "binanceusdm_testnet"
        case HyperliquidVenueSettings():
            return venue.testnet
        case _:
            return False


def _stage_problems(settings: Settings) -> Iterator[str]:
    mode, venue, market = settings.mode, settings.venue, settings.market
    is_paper = isinstance(venue, PaperTradingSettings)
    if mode is not Mode.REHEARSAL and not is_paper and market.source != venue.kind:
        yield f"market.source: {market.source!r}; orders at {venue.kind!r} go by its own prices"
    if not mode.is_real:
        return
    if is_paper or is_testnet(venue):
        yield f"venue.kind: mode {mode.value!r} trades real money; name the account's exchange"
    if isinstance(market, LiveMarketSettings) and market.urls is not None:
        yield "market.urls: real orders go by the exchange's own prices; take it out"
    if settings.live is None:
        yield f"live: missing; mode {mode.value!r} needs it, as config/micro.toml has it"
    elif mode is Mode.MICRO:
        yield from _micro_problems(settings.desk, settings.live.micro_capital)


def _micro_problems(desks: Sequence[DeskSettings], most: Decimal) -> Iterator[str]:
    for desk in desks:
        if desk.capital is None:
            yield f'desk[{desk.strategy_id}].capital: missing; mode "micro" wants it of every desk'
    together = sum((desk.capital for desk in desks if desk.capital is not None), Decimal(0))
    if together > most:
        yield f"desk.capital: {together} in all; live.micro_capital allows {most}"


def _seat_problems(settings: Settings) -> Iterator[str]:
    voters = [seat.voter for seat in settings.seat]
    if len(set(voters)) < len(voters):
        yield "seat.voter: two seats share a name; each needs its own"
    for seat in settings.seat:
        if seat.stand_in not in BASELINES:
            yield (
                f"seat[{seat.voter}].stand_in: {seat.stand_in!r} is no baseline; "
                f"allowed: {', '.join(BASELINES)}"
            )
        if not re.match(ENVIRONMENT_NAME, seat.needs):
            yield (
                f"seat[{seat.voter}]: api_key_env and host_env name an environment variable, such "
                "as OPENAI_API_KEY; a key itself stands nowhere in a file"
            )


def _desk_problems(settings: Settings) -> Iterator[str]:
    ids = [desk.strategy_id for desk in settings.desk]
    if len(set(ids)) < len(ids):
        yield "desk.strategy_id: two desks share one; each needs its own"
    known = {i.symbol for i in settings.instrument}
    if len(known) < len(settings.instrument):
        yield "instrument.symbol: two instruments share one; each needs its own"
    for desk in settings.desk:
        key = f"desk[{desk.strategy_id}]"
        for symbol in desk.instruments:
            if symbol not in known:
                listed = ", ".join(sorted(known))
                yield f"{key}.instruments: {symbol} is no [[instrument]]; allowed: {listed}"
        for name in ("instruments", "overlays"):
            if len(set(getattr(desk, name))) < len(getattr(desk, name)):
                yield f"{key}.{name}: something stands there twice"
        yield from (f"{key}.{problem}" for problem in _timeframe_problems(desk, settings.market))
        yield from (f"{key}.{problem}" for problem in _capital_problems(desk, settings))
        if isinstance(desk.strategy, CouncilSettings):
            yield from (
                f"{key}.strategy.{problem}"
                for problem in _vote_problems(desk.strategy, len(settings.seat))
            )


def _capital_problems(desk: DeskSettings, settings: Settings) -> Iterator[str]:
    if desk.capital is None:
        if desk.limits:
            yield "limits: they are of the desk's own capital, and it has none; add capital"
        return
    for other in settings.desk:
        if other is not desk and (shared := set(other.instruments) & set(desk.instruments)):
            yield (
                f"capital: {', '.join(sorted(shared))} is traded by {other.strategy_id} too; a "
                "desk with capital of its own shares no instrument"
            )
    try:
        desk.own_limits(settings.risk)
    except ValidationError as error:
        for problem in error.errors():
            yield f"limits.{'.'.join(map(str, problem['loc']))}: {problem['msg']}"


def _vote_problems(council: CouncilSettings, seats: int) -> Iterator[str]:
    if council.quorum > seats:
        yield f"quorum: {council.quorum} valid ballots of {seats} seats"
    if not seats / 2 < council.majority <= seats:
        yield f"majority: {council.majority} of {seats} seats; more than half and no more than all"


def _timeframe_problems(desk: DeskSettings, market: MarketSettings) -> Iterator[str]:
    if desk.timeframe.delta < market.timeframe.delta:
        yield f"timeframe: {desk.timeframe} is shorter than market.timeframe, {market.timeframe}"
    for overlay in desk.overlays:
        if overlay.delta <= desk.timeframe.delta:
            yield f"overlays: {overlay} is no longer than the desk's timeframe, {desk.timeframe}"


def load_settings(path: Path) -> Settings:
    """Read the file and those it extends.

    Raises:
        BadSettings: a file cannot be read, a key is unknown, missing or out of range, or a seat's
            prompt is not there.
    """
    layers = read_layers(path)
    try:
        settings = Settings.model_validate(merged(layers))
    except ValidationError as error:
        lines = [line for e in told(error) for line in in_words(e, layers, Settings)]
        raise BadSettings(lines) from None  # the cause would show what was given in secret's stead
    problems = list(_prompt_problems(settings))
    if problems:
        raise BadSettings([f"{path}: {problem}" for problem in problems])
    return settings


def _prompt_problems(settings: Settings) -> Iterator[str]:
    folder = PROJECT / settings.panel.prompts
    try:
        known = PromptLibrary(folder).versions
    except (BadPrompt, OSError) as error:
        yield f"panel.prompts: {error}"
        return
    for seat in settings.seat:
        if seat.prompt not in known:
            listed = ", ".join(known) or "none"
            yield f"seat[{seat.voter}].prompt: {folder} has no {seat.prompt}.md; allowed: {listed}"


def secret(name: str) -> str | None:
    """A secret from the environment; unset and empty are both None."""
    return os.environ.get(name) or None

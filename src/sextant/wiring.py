"""The composition root: the one place where concrete adapters meet."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from importlib.metadata import version

import orjson

from agents.baseline_strategy import (
    EmaCross,
    EmaCrossSettings,
    Hold,
    HoldSettings,
    SeededRandom,
    SeededRandomSettings,
)
from agents.council.baselines import BASELINES
from agents.council.strategy import Council, CouncilSettings
from agents.interview import Interview, ModelSeat
from agents.llm.budget import Budget
from agents.llm.factory import build_model
from agents.llm.model import LanguageModel
from agents.llm.settings import OllamaSeat, SeatSettings
from agents.panel import EmptySeat, Panel, RuleSeat, Seat
from agents.prompts import PromptLibrary
from agents.strategy import Requirements, Strategy
from agents.vote import VoterId
from data.arithmetic import reckon_alike
from data.bar import Timeframe
from data.clock import Clock, SystemClock
from data.faults import Refused
from data.instrument import Notional, Symbol
from data.market_watch import MarketWatch
from data.snapshot import MarketHistory
from execution.care import PositionCare
from execution.dead_man import DeadMan, Guard
from execution.engine import Engine
from execution.journal import OrderJournal
from execution.ledger import Ledger
from execution.protection import NakedSeen, Protection
from execution.venue import Venue
from execution.venues.paper import PaperVenue
from risk.breaker import RiskState, initial_state
from sextant import sight
from sextant.allocator import AllocationState, Allocator
from sextant.book import Book
from sextant.desk import Desk
from sextant.evaluation.scorecard import Scorecard
from sextant.facts import RunStarted
from sextant.history import MarketPast, bars_to_settle, linked
from sextant.market_settings import FollowedMarketSettings, SyntheticMarketSettings
from sextant.outside import Outside
from sextant.relisting import Relisting
from sextant.session import Session
from sextant.settings import PROJECT, DeskSettings, Settings, secret
from sextant.stage_settings import Mode
from sextant.subaccount import Subaccount
from sextant.venues import OpenVenue


class NoEquity(Refused):
    """Nothing to trade with, or nothing that can be valued."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Roster:
    """Who sits on the panel, on whose money, and with which words."""

    seats: tuple[Seat, ...]
    budget: Budget
    prompts: PromptLibrary
    deadline: timedelta

    async def close(self) -> None:
        """Let go of the models' connections."""
        for seat in self.seats:
            if isinstance(seat, ModelSeat):
                await seat.model.aclose()

    @property
    def stand_ins(self) -> dict[str, str]:
        """Seat to the baseline that fills it instead of its model."""
        return {s.voter: s.name for s in self.seats if isinstance(s, RuleSeat) and s.stand_in}


def roster(settings: Settings, clock: Clock, *, spent_today: Decimal = Decimal(0)) -> Roster:
    """The seats as they can be filled here and now: by a model, a stand-in, or nobody.

    `clock` tells how long answers take. The budget's day is the real one.
    """
    deadline = timedelta(seconds=settings.panel.deadline_s)
    seats = tuple(_seat(s, settings.mode, clock, deadline) for s in settings.seat)
    return roster_of(settings, seats, _budget(settings, spent_today))


def unasked_roster(settings: Settings, clock: Clock) -> Roster:
    """The seats without a model, whatever keys are set: nothing is paid, or left to chance."""
    seats = tuple(_without_model(s, settings.mode, "not asked in a replay") for s in settings.seat)
    return roster_of(settings, seats, _budget(settings, Decimal(0)))


def _budget(settings: Settings, spent_today: Decimal) -> Budget:
    return Budget(
        daily_limit=settings.panel.daily_budget_usd,
        decision_limit=settings.panel.decision_budget_usd,
        clock=SystemClock(),
        spent=spent_today,
    )


def roster_of(settings: Settings, seats: tuple[Seat, ...], budget: Budget) -> Roster:
    """These seats, asked as the settings say."""
    return Roster(
        seats=seats,
        budget=budget,
        prompts=PromptLibrary(PROJECT / settings.panel.prompts),
        deadline=timedelta(seconds=settings.panel.deadline_s),
    )


def _seat(seat: SeatSettings, mode: Mode, clock: Clock, deadline: timedelta) -> Seat:
    given = secret(seat.needs)
    if given is not None:
        return ModelSeat(
            voter=seat.voter,
            model=_model(seat, given, clock, deadline),
            prompt=seat.prompt,
            price=seat.price,
            max_tokens=seat.max_tokens,
        )
    return _without_model(seat, mode, f"{seat.needs} is not set")


def _without_model(seat: SeatSettings, mode: Mode, why: str) -> Seat:
    if mode is Mode.REHEARSAL:
        return stand_in(seat.voter, seat.stand_in)
    return EmptySeat(voter=seat.voter, model=seat.model, detail=why)


def stand_in(voter: VoterId, name: str) -> RuleSeat:
    """A baseline in the seat of a model; every ballot of it says so."""
    return RuleSeat(voter=voter, rule=BASELINES[name]().opine, name=name, stand_in=True)


def _model(seat: SeatSettings, given: str, clock: Clock, deadline: timedelta) -> LanguageModel:
    """The model of a seat whose key, or whose server's address, is `given`."""
    if not isinstance(seat, OllamaSeat):
        return build_model(seat, given, clock=clock, timeout=deadline)
    key = secret(seat.api_key_env) if seat.api_key_env else None
    there = seat.model_copy(update={"base_url": given})
    return build_model(there, key, clock=clock, timeout=deadline)


def strategy(desk: DeskSettings, seats: Roster) -> Strategy:
    """The strategy that a desk's settings describe."""
    kind = desk.strategy
    match kind:
        case CouncilSettings():
            interview = Interview(
                prompts=seats.prompts, budget=seats.budget, deadline=seats.deadline
            )
            return Council(
                strategy_id=desk.strategy_id,
                timeframe=desk.timeframe,
                overlays=desk.overlays,
                panel=Panel(seats.seats, interview),
                settings=kind,
            )
        case EmaCrossSettings():
            return EmaCross(strategy_id=desk.strategy_id, timeframe=desk.timeframe, settings=kind)
        case HoldSettings():
            return Hold(strategy_id=desk.strategy_id, timeframe=desk.timeframe, settings=kind)
        case SeededRandomSettings():
            return SeededRandom(
                strategy_id=desk.strategy_id, timeframe=desk.timeframe, settings=kind
            )


def history_needs(settings: Settings, seats: Roster) -> dict[Timeframe, int]:
    """How many bars of each size warm every desk up, whatever it trades.

    A made-up market, which makes its whole past of minutes, has no more of it than strategies look
    back.
    """
    needs, span = {settings.market.timeframe: 1}, timedelta(0)
    for desk in settings.desk:
        need = requirements(strategy(desk, seats), desk, settings)
        for size, indicators in need.frames.items():
            least = max(need.bars, need.warm_up) if size is desk.timeframe else need.bars
            span = max(span, least * size.delta)
            needs[size] = max(least, bars_to_settle(indicators), needs.get(size, 0))
    if isinstance(settings.market, SyntheticMarketSettings):
        needs = {size: min(count, span // size.delta) for size, count in needs.items()}
    return linked(needs)


def requirements(wanted: Strategy, desk: DeskSettings, settings: Settings) -> Requirements:
    """What a desk's histories must hold for its strategy, and for the rules that judge it."""
    need, limits = wanted.requirements, settings.risk
    by_atr = bool(settings.protection.trail_atr)
    rules = sight.frames(limits, desk.timeframe, trails_by_atr=by_atr)
    return Requirements(
        frames=sight.joined(need.frames, rules),
        bars=max(need.bars, sight.bars(limits)),
        warm_up=need.warm_up,
    )


def session(
    settings: Settings,
    seats: Roster,
    *,
    engine: Engine,
    state: RiskState | None,
    parts: Sequence[Subaccount],
    desk_states: Mapping[str, RiskState],
    allocation: AllocationState,
    paper: PaperVenue | None,
    journal: OrderJournal,
    clock: Clock,
    keep_all: bool,
    outside: Outside,
    naked_seen: Iterable[NakedSeen] = (),
) -> Session:
    """Desks, book and scorecard around an engine; `state` is None where none is on record."""
    card = Scorecard(
        horizon=settings.evaluation.horizon_bars,
        hold_band=settings.evaluation.hold_band,
        fee=float(settings.risk.taker_fee),
    )
    book = Book(
        engine=engine,
        protection=Protection(
            engine.instruments,
            settings.protection,
            amends=engine.venue.amends,
            write=journal.write,
            seen=naked_seen,
        ),
        care=PositionCare(
            engine.instruments,
            settings.protection,
            targets_in=holding_targets(engine.instruments, engine.venue),
            amends=engine.venue.amends,
        ),
        limits=settings.risk,
        state=state or _first_state(engine, clock),
        journal=journal,
        scorecard=card,
        parts=parts,
        desk_states=desk_states,
        allocator=_allocator(settings, engine, allocation, journal),
        passive=settings.passive,
    )
    return Session(
        book=book,
        desks=[_desk(desk, settings, seats, engine) for desk in settings.desk],
        paper=paper,
        watch=_market_watch(settings, clock),
        symbols=tuple(settings.instruments),
        journal=journal,
        scorecard=card,
        clock=clock,
        keep_all=keep_all,
        budget=seats.budget,
        outside=outside,
    )


def _allocator(
    settings: Settings, engine: Engine, state: AllocationState, journal: OrderJournal
) -> Allocator | None:
    """Who keeps the holdings; None where that is off."""
    asked = settings.allocation
    if asked is None or not asked.enabled:
        return None
    return Allocator(
        engine, asked, currency=settings.account.currency, state=state, write=journal.write
    )


def _market_watch(settings: Settings, clock: Clock) -> MarketWatch:
    """Who says whether the data is fit; books are expected where the market brings them."""
    brings_books = (
        isinstance(settings.market, FollowedMarketSettings) and settings.market.book_depth
    )
    limits = settings.watch if brings_books else settings.watch.model_copy(update={"book": None})
    return MarketWatch(
        settings.instruments,
        settings.market.timeframe,
        quality=settings.quality,
        limits=limits,
        started_at=clock.now(),
    )


def _first_state(engine: Engine, clock: Clock) -> RiskState:
    equity = engine.ledger.equity
    if equity is None or equity <= 0:
        raise NoEquity(
            f"the account's equity is {equity or 'unknown'}: account.balances must be worth "
            "something in the account's currency, and each asset must have a price"
        )
    return initial_state(equity, clock.now())


def _desk(desk: DeskSettings, settings: Settings, seats: Roster, engine: Engine) -> Desk:
    wanted = strategy(desk, seats)
    need = requirements(wanted, desk, settings)
    histories = {
        symbol: MarketHistory(
            engine.instruments[symbol],
            desk.timeframe,
            need.frames,
            capacity=need.bars,
            base=settings.market.timeframe,
        )
        for symbol in desk.instruments
    }
    return Desk(desk.strategy_id, wanted, histories)


def subaccounts(settings: Settings, clock: Clock) -> tuple[Subaccount, ...]:
    """The desks' own parts of the account, as if they had never traded."""
    currency, instruments = settings.account.currency, settings.instruments
    return tuple(
        Subaccount(
            strategy_id=desk.strategy_id,
            symbols=frozenset(desk.instruments),
            limits=desk.own_limits(settings.risk),
            first_state=initial_state(Notional(desk.capital), clock.now()),
            ledger=Ledger(
                currency,
                {currency: desk.capital},
                instruments,
                stale_after=settings.risk.max_price_age + settings.market.timeframe.delta,
            ),
        )
        for desk in settings.desk
        if desk.capital is not None
    )


def mark(engine: Engine, parts: Sequence[Subaccount], past: MarketPast) -> None:
    """Value every book at the newest prices that were known before."""
    for bar in past.newest:
        engine.ledger.mark(bar.symbol, bar.close, bar.closed_at)
        for part in parts:
            part.mark(bar)


def engine(settings: Settings, venue: Venue, journal: OrderJournal, clock: Clock) -> Engine:
    """An engine and its ledger at the opening balances, before anything is recovered.

    A daemon, a replay and an audit begin with this: from here on they reckon alike.
    """
    reckon_alike()
    instruments = settings.instruments
    return Engine(
        venue=venue,
        ledger=Ledger(
            settings.account.currency,
            settings.account.balances,
            instruments,
            stale_after=settings.risk.max_price_age + settings.market.timeframe.delta,
            portfolio=settings.portfolio,
        ),
        journal=journal,
        clock=clock,
        instruments=instruments,
        settings=settings.engine,
        entries_last=settings.risk.max_price_age,
    )


def holding_targets(symbols: Iterable[Symbol], venue: Venue) -> tuple[Symbol, ...]:
    """The symbols of which the venue takes a position's stop and its target side by side."""
    return tuple(sorted(symbol for symbol in symbols if venue.holds_targets(symbol)))


def dead_man(
    opened: OpenVenue, engine: Engine, journal: OrderJournal, clock: Clock, guard: Guard
) -> DeadMan | None:
    """Who guards resting entries, from `guard` on; nobody where the venue ends with us."""
    if opened.outliving is None:
        return None
    return DeadMan(
        engine,
        opened.outliving.venue,
        settings=opened.outliving.dead_man,
        journal=journal,
        clock=clock,
        guard=guard,
    )


def relisting(opened: OpenVenue, session: Session, clock: Clock) -> Relisting | None:
    """Who reads the venue's terms again; nobody where they are ours."""
    if opened.outliving is None:
        return None
    return Relisting(
        session,
        opened.outliving.as_traded,
        refused=opened.outliving.venue.off_grid,
        every=opened.outliving.relist_every,
        clock=clock,
    )


def run_started(
    settings: Settings,
    venue: Venue,
    seats: Roster,
    market: str,
    now: datetime,
    past: MarketPast,
    *,
    resumed: bool,
) -> RunStarted:
    """How this run began, so that it can be made again."""
    shown = settings.model_dump(mode="json")
    text = orjson.dumps(shown, option=orjson.OPT_SORT_KEYS)
    return RunStarted(
        at=now,
        version=version("sextant"),
        mode=settings.mode,
        market=market,
        venue=f"paper, filled from {venue.source}" if isinstance(venue, PaperVenue) else venue.name,
        attaches_stops=venue.attaches_stops,
        settings=shown,
        settings_digest=hashlib.sha256(text).hexdigest(),
        prompts=dict(seats.prompts.versions),
        stand_ins=seats.stand_ins,
        warmed_up_to={bar.symbol: bar.closed_at for bar in past.newest},
        past=past.counts,
        resumed=resumed,
        holds_targets=holding_targets(settings.instruments, venue),
        amends=venue.amends,
    )

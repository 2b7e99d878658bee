"""Is everything there that a run needs? Said in plain words, before it is needed."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal

from agents.interview import SEAT_VARIABLES
from agents.prompts import BadPrompt, PromptLibrary
from data.clock import SystemClock
from data.faults import Fault, Refused, Transient
from data.postgres.binaries import found
from sextant.market import Site
from sextant.market_settings import (
    LiveMarketSettings,
    RehearsalMarketSettings,
    SyntheticMarketSettings,
)
from sextant.markets import require_daemon_market
from sextant.settings import PROJECT, PaperTradingSettings, Settings, secret
from sextant.stage_settings import Mode
from sextant.trials import NO_TRIAL
from sextant.venues import Surroundings, try_orders

_ENOUGH_DISK = 1 << 30  # bytes; a year of one-minute bars of three symbols with its journal fits


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing looked at: fine, worth knowing, or in the way of a run."""

    severity: Literal["ok", "note", "error"]
    text: str


def inspect_environment(settings: Settings, config: Path) -> list[Finding]:
    """Everything that could keep `sextant run` with these settings from working."""
    return [
        Finding(severity="ok", text=f"{config}: every key is known and in range"),
        _market(settings, config),
        *_stage(settings, config),
        *_keys(settings),
        *_seats(settings),
        _prompts(settings, config),
        *_pace(settings, config),
        *_limits(settings, config),
        *_fills(settings, config),
        _database(settings),
        *_folder(settings),
    ]


def _market(settings: Settings, config: Path) -> Finding:
    try:
        source = require_daemon_market(settings)
    except Fault as fault:
        return Finding(severity="error", text=f"{config}: {fault}")
    if isinstance(source, SyntheticMarketSettings):
        text = f"market: made up, seed {source.seed}, {source.speed:g} times real time"
    elif isinstance(source, RehearsalMarketSettings):
        where = source.url or "an exchange of our own"
        text = f"market: made up, at {where}, seed {source.seed}, {source.speed:g} times real time"
    else:
        text = f"market: {source.source}, live; its public data needs no key"
    return Finding(severity="ok", text=text)


def _stage(settings: Settings, config: Path) -> Iterator[Finding]:
    if settings.mode.is_real:
        yield Finding(
            severity="note",
            text=f"{config}: real money at {settings.venue.kind}; `sextant promote` says whether "
            "it is let in",
        )


def _keys(settings: Settings) -> Iterator[Finding]:
    """The venue's; an exchange that the daemon runs itself has made one up."""
    market, venue = settings.market, settings.venue
    if isinstance(market, RehearsalMarketSettings) and market.url is None:
        return
    for name in venue.secret_names:
        if secret(name):
            yield Finding(severity="ok", text=f"venue {venue.kind}: {name} is set")
        else:
            yield Finding(
                severity="error",
                text=f"venue {venue.kind}: {name} is not set; .env.example has all names",
            )


async def inspect_orders(settings: Settings, site: Site | None = None) -> list[Finding]:
    """Whether the venue would take our orders, where real money and its keys are there to ask.

    Nothing is placed: the venue looks at one order of each symbol, if it can.

    Args:
        site: In place of the real exchange.
    """
    wanted = settings.venue
    if isinstance(wanted, PaperTradingSettings) or not settings.mode.is_real:
        return []
    if site is None and not all(secret(name) for name in wanted.secret_names):
        return []  # said already
    clock = SystemClock()
    around = Surroundings(clock=clock, since=clock.now(), site=site, budget=None)
    try:
        trials = await try_orders(settings, wanted, around)
    except (Transient, Refused) as fault:
        return [Finding(severity="error", text=f"venue {wanted.kind}: {fault}")]
    if trials is None:
        return [Finding(severity="note", text=f"venue {wanted.kind}: {NO_TRIAL}")]
    return [
        Finding(severity="ok" if t.is_accepted else "error", text=f"venue {wanted.kind}: {t.text}")
        for t in trials
    ]


def _seats(settings: Settings) -> Iterator[Finding]:
    for seat in settings.seat:
        if secret(seat.needs):
            yield Finding(
                severity="ok", text=f"seat {seat.voter}: {seat.model}, {seat.needs} is set"
            )
        elif settings.mode is Mode.REHEARSAL:
            yield Finding(
                severity="note",
                text=f"seat {seat.voter}: {seat.needs} is not set; the baseline "
                f"{seat.stand_in!r} stands in, and its ballots say so",
            )
        else:
            yield Finding(
                severity="note",
                text=f"seat {seat.voter}: {seat.needs} is not set; the seat is empty and abstains",
            )


def _pace(settings: Settings, config: Path) -> Iterator[Finding]:
    """At a rehearsal's speed, an answer can be older than the oldest price that rules accept."""
    market, allowed = settings.market, settings.risk.max_price_age
    asked = [seat.voter for seat in settings.seat if secret(seat.needs)]
    if asked and isinstance(market, SyntheticMarketSettings):
        slowest = timedelta(seconds=settings.panel.deadline_s * market.speed)
        if slowest > allowed:
            yield Finding(
                severity="note",
                text=f"{config}: market.speed {market.speed:g} makes an answer up to {slowest} of "
                f"market time old, and risk.max_price_age is {allowed}: what {', '.join(asked)} "
                "say late will be vetoed; a slower market lets them trade",
            )


def _prompts(settings: Settings, config: Path) -> Finding:
    folder = PROJECT / settings.panel.prompts
    try:
        library = PromptLibrary(folder)
        for prompt in sorted({seat.prompt for seat in settings.seat}):
            library.require(prompt, SEAT_VARIABLES)
    except (BadPrompt, OSError) as error:
        return Finding(severity="error", text=f"{config}: panel.prompts: {error}")
    return Finding(severity="ok", text=f"prompts: {len(library.versions)} in {folder}")


def _limits(settings: Settings, config: Path) -> Iterator[Finding]:
    unknown = settings.risk.allowed_symbols - set(settings.instruments)
    if unknown:
        yield Finding(
            severity="note",
            text=f"{config}: risk.allowed_symbols names {', '.join(sorted(unknown))}, "
            "which is no [[instrument]]",
        )
    if settings.risk.taker_fee < settings.paper_venue.taker_fee:
        yield Finding(
            severity="note",
            text=f"{config}: risk.taker_fee {settings.risk.taker_fee} is below "
            f"paper_venue.taker_fee {settings.paper_venue.taker_fee}: rewards look better than "
            "they are",
        )


def _fills(settings: Settings, config: Path) -> Iterator[Finding]:
    is_paper = isinstance(settings.venue, PaperTradingSettings)
    is_live = isinstance(settings.market, LiveMarketSettings)
    if is_paper and is_live and settings.paper_books is None:
        yield Finding(
            severity="note",
            text=f"{config}: market.book_depth is not set, so paper fills from closed bars, which "
            "know no order book; such a record lets no real money in",
        )


def _database(settings: Settings) -> Finding:
    name = settings.storage.dsn_env
    if secret(name):
        return Finding(severity="ok", text=f"database: the one that {name} names")
    binaries = found()
    if binaries is None:
        return Finding(
            severity="error",
            text=f"database: {name} is not set, and no PostgreSQL binaries are here; "
            "`make run` installs them, or install PostgreSQL",
        )
    return Finding(severity="ok", text=f"database: embedded, from {binaries.postgres.parent}")


def _folder(settings: Settings) -> Iterator[Finding]:
    folder = settings.state_folder
    there = next(p for p in (folder, *folder.parents) if p.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        yield Finding(
            severity="error",
            text=f"storage.folder: {folder} cannot be written ({there} is not a folder of ours)",
        )
        return
    free = shutil.disk_usage(there).free
    if free < _ENOUGH_DISK:
        yield Finding(
            severity="error",
            text=f"storage.folder: {folder} has {free >> 20} MiB left; free {_ENOUGH_DISK >> 20}",
        )
    else:
        yield Finding(severity="ok", text=f"state folder: {folder}, {free >> 30} GiB free")

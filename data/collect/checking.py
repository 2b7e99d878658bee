"""Checks what is kept of a symbol: every minute there, in order, and to be believed (S1-27)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from data.bar import Bar, Timeframe
from data.collect.venues import Exchange
from data.instrument import Symbol
from data.quality import BarInspector, Flaw, FlawKind, QualityLimits, staleness
from data.store import BarStore

_DAY: Final = timedelta(days=1)
_MINUTE, _FIVE = Timeframe.M1, Timeframe.M5
_LISTED: Final = 5  # days that a finding names
_WORDS: Final = {  # of all but gaps, which the days tell
    FlawKind.DUPLICATE: ("bars stand twice", "{fill}"),
    FlawKind.OUT_OF_ORDER: ("bars overlap", "they are off the minute: remove them, then {fill}"),
    FlawKind.JUMP: (
        "prices jump",
        "compare with the venue; if it did not, delete the bars and {fill}",
    ),
    FlawKind.DEAD: (
        "the market stands still",
        "nothing is decided on it meanwhile; see at the venue whether it is still traded",
    ),
    FlawKind.STALE: (
        "the newest bar is too old",
        "start the daemon or the websocket writer, then {fill}",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DayShare:
    """How much of a UTC day is kept, of what was over of it within the range."""

    day: date
    minutes: int
    minutes_due: int
    fives: int  # five-minute bars of which every minute is kept
    fives_due: int

    @property
    def share(self) -> float:
        """Of the five-minute bars, as a fraction."""
        return self.fives / self.fives_due if self.fives_due else 1.0

    @property
    def is_whole(self) -> bool:
        return self.minutes == self.minutes_due


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What a symbol's minutes in [since, until) are like."""

    exchange: str
    symbol: Symbol
    since: datetime
    until: datetime
    days: tuple[DayShare, ...]
    flaws: tuple[Flaw, ...]
    missing_ids: int  # 0 where ids are not consecutive
    poorer: int  # minutes whose bar has less volume than the trades that are kept of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing wrong with a symbol's data, and what to do."""

    exchange: str
    symbol: Symbol
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.exchange} {self.symbol}: {self.what}; {self.remedy}"


async def check_minutes(
    bars: BarStore,
    exchange: str,
    symbol: Symbol,
    limits: QualityLimits,
    *,
    since: datetime,
    until: datetime,
    now: datetime,
    missing_ids: int = 0,
    poorer: int = 0,
) -> Checked:
    """Read the minutes in [since, until), both on the minute, a day at a time.

    Raises:
        StoreUnavailable: the store cannot be reached now.
    """
    inspector = BarInspector(symbol, _MINUTE, limits)
    days: list[DayShare] = []
    flaws: list[Flaw] = []
    newest: Bar | None = None
    for opening, closing in _days(since, until):
        kept = await _minutes(bars, symbol, opening, closing)
        flaws += [flaw for bar in kept for flaw in inspector.inspect(bar)]
        days.append(_share(kept, opening, closing))
        newest = kept[-1] if kept else newest
    if newest is not None and (stale := staleness(newest, limits, now=now)) is not None:
        flaws.append(stale)
    return Checked(
        exchange=exchange,
        symbol=symbol,
        since=since,
        until=until,
        days=tuple(days),
        flaws=tuple(flaws),
        missing_ids=missing_ids,
        poorer=poorer,
    )


def findings(checked: Checked) -> Iterator[Finding]:
    """Everything wrong, a line a kind."""
    broken = [day for day in checked.days if not day.is_whole]
    if broken:
        shares = ", ".join(f"{day.day} {day.share:.2%}" for day in broken[:_LISTED])
        more = f" and {len(broken) - _LISTED} days more" if len(broken) > _LISTED else ""
        missing = sum(day.minutes_due - day.minutes for day in broken)
        what = f"{missing} minutes are missing; of its 5m bars are there: {shares}{more}"
        first = datetime.combine(broken[0].day, datetime.min.time())
        yield _finding(checked, what, fill_from(checked.exchange, checked.symbol, first))
    for kind in _WORDS:
        flaws = [flaw for flaw in checked.flaws if flaw.kind is kind]
        if flaws:
            yield _flawed(checked, kind, flaws)
    if checked.missing_ids:
        what = f"{checked.missing_ids} trades are missing between others"
        yield _finding(checked, what, fill_from(checked.exchange, checked.symbol, checked.since))
    if checked.poorer:
        what = f"{checked.poorer} bars have less volume than the trades that are kept of them"
        yield _finding(checked, what, fill_from(checked.exchange, checked.symbol, checked.since))


def _flawed(checked: Checked, kind: FlawKind, flaws: Sequence[Flaw]) -> Finding:
    words, remedy = _WORDS[kind]
    worst = max(flaws, key=lambda flaw: flaw.observed)
    what = (
        f"{words}: {len(flaws)} times, first at {flaws[0].closed_at:%Y-%m-%d %H:%M}, at most"
        f" {worst.observed:g} where {worst.limit:g} is allowed"
    )
    fill = fill_from(checked.exchange, checked.symbol, flaws[0].closed_at - _DAY)
    return _finding(checked, what, remedy.format(fill=fill))


def fill_from(exchange: str, symbol: Symbol, since: datetime | None) -> str:
    """What to do so that the history since then is whole; without `since`, a day is to be named."""
    if exchange not in frozenset(Exchange):
        return "no venue can be asked: import it again, or rehearse again in a new folder"
    day = "a day" if since is None else f"{since:%Y-%m-%d}"
    return f"run sextant data fill --exchange {exchange} --symbols {symbol} --since {day}"


def _finding(checked: Checked, what: str, remedy: str) -> Finding:
    return Finding(exchange=checked.exchange, symbol=checked.symbol, what=what, remedy=remedy)


def _days(since: datetime, until: datetime) -> Iterator[tuple[datetime, datetime]]:
    """The range, cut at midnight."""
    while since < until:
        midnight = since.replace(hour=0, minute=0) + _DAY
        yield since, min(midnight, until)
        since = midnight


async def _minutes(
    bars: BarStore, symbol: Symbol, opening: datetime, closing: datetime
) -> list[Bar]:
    count = (closing - opening) // _MINUTE.delta
    found = await bars.last(symbol, _MINUTE, count + 1, until=closing)
    return [bar for bar in found if bar.closed_at > opening]


def _share(kept: Sequence[Bar], opening: datetime, closing: datetime) -> DayShare:
    closes = {bar.closed_at for bar in kept}
    due = [opening + n * _MINUTE.delta for n in range(1, (closing - opening) // _MINUTE.delta + 1)]
    fives = [at for at in due if _FIVE.closes_at(at) and at - _FIVE.delta >= opening]
    whole = [at for at in fives if all(at - n * _MINUTE.delta in closes for n in range(5))]
    return DayShare(
        day=opening.date(),
        minutes=sum(at in closes for at in due),
        minutes_due=len(due),
        fives=len(whole),
        fives_due=len(fives),
    )

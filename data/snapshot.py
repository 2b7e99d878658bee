"""The sole input of every agent: one symbol at one moment, closed bars only; and how it is made."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from data.account import AccountState
from data.bar import Bar, BarHistory, BarSeries, Resampler, Timeframe, seconds
from data.faults import Corrupt, Malformed
from data.funding import FundingRate
from data.indicators import Indicator, IndicatorBank
from data.instrument import Instrument
from data.news import NewsItem
from data.value import quick


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One timeframe of a symbol: its closed bars and the indicators at the newest of them."""

    timeframe: Timeframe
    closed_at: datetime  # close of the newest bar
    series: BarSeries
    indicators: Mapping[str, float]  # by name, such as "ema_20"; NaN while warming up


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What an agent may know: everything here was known at `taken_at`."""

    instrument: Instrument
    taken_at: datetime
    bar: Bar  # the newest closed bar of the deciding timeframe
    frames: Mapping[Timeframe, Frame]  # the deciding timeframe and those above it, as asked for
    account: AccountState
    headlines: tuple[NewsItem, ...] = ()  # newest first
    funding: FundingRate | None = None  # the newest that was told, settled or as it stood

    @property
    def primary(self) -> Frame:
        """The frame of the deciding timeframe."""
        return self.frames[self.bar.timeframe]


class UnexpectedBar(Malformed):
    """A bar of another symbol or timeframe, off its grid, or not after the newest one."""


class NothingKnown(LookupError):
    """A snapshot was asked for before the first bar of the deciding timeframe closed."""


class LookAhead(Corrupt):
    """A snapshot would hold what was not known yet when it is taken."""


class MarketHistory:
    """The bars and indicators of one symbol, as far as they have closed.

    Takes the bars of `base`, by default the deciding timeframe, and folds them into the longer
    ones of `frames`. A frame's indicators move only when one of its own bars closes.

    Args:
        deciding: The timeframe whose closed bars are decided on; one of `frames`.
        frames: The indicators wanted on each timeframe.
        capacity: How many of the newest bars each frame keeps; its indicators may reach further.

    Raises:
        ValueError: `deciding` is not among `frames`, or a frame is shorter than `base`.
    """

    def __init__(
        self,
        instrument: Instrument,
        deciding: Timeframe,
        frames: Mapping[Timeframe, tuple[Indicator, ...]],
        *,
        capacity: int,
        base: Timeframe | None = None,
    ) -> None:
        self.instrument = instrument
        self.deciding = deciding
        self.bar: Bar | None = None  # the newest of the deciding timeframe
        self.count = 0  # of the bars seen of the deciding timeframe
        self._base = base if base is not None else deciding
        if deciding not in frames or any(frame.delta < self._base.delta for frame in frames):
            raise ValueError(
                f"{instrument.symbol}: bars of {self._base} give no frames"
                f" {', '.join(frames)} with {deciding} among them"
            )
        self._tracks = tuple(
            _Track(timeframe, indicators, capacity) for timeframe, indicators in frames.items()
        )
        self._resampled = tuple(
            (track, Resampler(track.timeframe))
            for track in self._tracks
            if track.timeframe is not self._base
        )
        self._direct = next((t for t in self._tracks if t.timeframe is self._base), None)
        self._step = self._base.delta
        self._newest = datetime.min.replace(tzinfo=UTC)
        self._due = self._newest

    def begin(self, past: Mapping[Timeframe, Sequence[Bar]]) -> None:
        """Take in what closed before the first bar that is added, each size in order of time.

        A frame takes the bars of its own size. What follows the newest of these is folded from the
        shorter ones, of which a stretch that several sizes cover counts in the longest: bars of
        `base` need reach no further back than the newest bar of the next size. A frame without
        bars of its own is folded from all that there are.

        Raises:
            UnexpectedBar: a bar does not belong where it stands, or bars were added before;
                nothing was taken in.
        """
        for timeframe, bars in past.items():
            self._require_series(timeframe, bars)
        for track in self._tracks:
            for bar in past.get(track.timeframe, ()):
                self._take(track, bar)
        for track, resampler in self._resampled:
            since = self._newest
            if own := past.get(track.timeframe):
                resampler.follow(own[-1])
                since = own[-1].closed_at
            shorter = (b for t, b in past.items() if t.delta < track.timeframe.delta)
            for bar in _joined(shorter, since):
                for longer in resampler.add(bar):
                    self._take(track, longer)
        self._newest = max((b[-1].closed_at for b in past.values() if b), default=self._newest)

    def add(self, bar: Bar) -> None:
        """Take in the next closed bar of the base timeframe; bars may be missing before it.

        Raises:
            UnexpectedBar: it is not that; nothing was taken in.
        """
        closed_at = bar.closed_at
        if (
            closed_at != self._due
            or bar.symbol != self.instrument.symbol
            or bar.timeframe is not self._base
        ):
            self._require_expected(bar)
        self._newest = closed_at
        self._due = closed_at + self._step
        if self._direct is not None:
            self._take(self._direct, bar)
        for track, resampler in self._resampled:
            for longer in resampler.add(bar):
                self._take(track, longer)

    @property
    def frames(self) -> dict[Timeframe, Frame]:
        """The frames that have a closed bar, in a dict of its own."""
        return {t.timeframe: t.frame for t in self._tracks if t.frame is not None}

    def _take(self, track: "_Track", bar: Bar) -> None:
        track.take(bar)
        if track.timeframe is self.deciding:
            self.bar = bar
            self.count += 1

    def _require_series(self, timeframe: Timeframe, bars: Sequence[Bar]) -> None:
        before = self._newest
        for bar in bars:
            if (
                bar.symbol != self.instrument.symbol
                or bar.timeframe is not timeframe
                or timeframe.delta < self._base.delta
                or not before < bar.closed_at
                or not timeframe.closes_at(bar.closed_at)
            ):
                raise UnexpectedBar(
                    f"{bar.symbol} {bar.timeframe}: closed {bar.closed_at} after {before}, among"
                    f" {timeframe} bars of {self.instrument.symbol}"
                )
            before = bar.closed_at

    def _require_expected(self, bar: Bar) -> None:
        if bar.symbol != self.instrument.symbol or bar.timeframe is not self._base:
            raise UnexpectedBar(
                f"{bar.symbol} {bar.timeframe} among bars of {self.instrument.symbol} {self._base}"
            )
        if bar.closed_at == self._due:
            return
        if bar.closed_at <= self._newest or not self._base.closes_at(bar.closed_at):
            raise UnexpectedBar(
                f"{bar.symbol} {bar.timeframe}: closed {bar.closed_at} after {self._newest}"
            )


class _Track:
    """One timeframe of a history."""

    __slots__ = ("_bank", "_history", "frame", "timeframe")

    def __init__(
        self, timeframe: Timeframe, indicators: tuple[Indicator, ...], capacity: int
    ) -> None:
        self.timeframe = timeframe
        self.frame: Frame | None = None
        self._bank = IndicatorBank(indicators)
        self._history = BarHistory(capacity)

    def take(self, bar: Bar) -> None:
        closed_at, ohlcv = seconds(bar.closed_at), bar.ohlcv
        self._history.add(closed_at, ohlcv)
        self.frame = Frame(
            timeframe=self.timeframe,
            closed_at=bar.closed_at,
            series=self._history.series,
            indicators=self._bank.update(closed_at, *ohlcv),
        )


def _joined(series: Iterable[Sequence[Bar]], since: datetime) -> Iterator[Bar]:
    """The bars that opened at `since` or later, in order, none within another that is longer."""
    later = [bar for bars in series for bar in bars[bisect_right(bars, since, key=_close) :]]
    for bar in sorted(later, key=lambda bar: (bar.opened_at, -bar.timeframe.delta)):
        if bar.opened_at >= since:
            yield bar
            since = bar.closed_at


def _close(bar: Bar) -> datetime:
    return bar.closed_at


def take_snapshot(
    history: MarketHistory,
    account: AccountState,
    *,
    taken_at: datetime,
    headlines: Sequence[NewsItem] = (),
    funding: FundingRate | None = None,
) -> Snapshot:
    """What is known of the market in `history`, of our book and of the world at `taken_at`.

    Raises:
        NothingKnown: no bar of the deciding timeframe has closed.
        LookAhead: a bar closed, the account is dated, a headline became known or the funding rate
            was told after `taken_at`.
    """
    if history.bar is None:
        raise NothingKnown(f"{history.instrument.symbol}: no closed bar of {history.deciding}")
    frames = history.frames
    for frame in frames.values():
        if frame.closed_at > taken_at:
            raise LookAhead(
                f"{history.instrument.symbol} {frame.timeframe}: closed {frame.closed_at},"
                f" snapshot of {taken_at}"
            )
    if account.as_of > taken_at:
        raise LookAhead(f"account of {account.as_of}, snapshot of {taken_at}")
    _require_seen(headlines, funding, taken_at)
    return Snapshot(
        instrument=history.instrument,
        taken_at=taken_at,
        bar=history.bar,
        frames=frames,
        account=account,
        headlines=tuple(headlines),
        funding=funding,
    )


def _require_seen(
    headlines: Sequence[NewsItem], funding: FundingRate | None, taken_at: datetime
) -> None:
    for item in headlines:
        if item.known_at > taken_at:
            raise LookAhead(
                f"{item.source}: {item.title!r} known at {item.known_at}, snapshot of {taken_at}"
            )
    if funding is not None and funding.seen_at > taken_at:
        raise LookAhead(
            f"funding of {funding.symbol} told at {funding.seen_at}, snapshot of {taken_at}"
        )

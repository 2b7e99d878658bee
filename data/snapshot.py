"""The sole input of every agent: one symbol at one moment, closed bars only."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from data.account import AccountState
from data.bar import Bar, BarSeries, Timeframe
from data.instrument import Instrument


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One timeframe of a symbol: its closed bars and the indicators at the newest of them."""

    timeframe: Timeframe
    closed_at: datetime  # close of the newest bar
    series: BarSeries
    indicators: Mapping[str, float]  # by name, such as "ema_20"; NaN while warming up


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What an agent may know: everything here was known at `taken_at`."""

    instrument: Instrument
    taken_at: datetime
    bar: Bar  # the newest closed bar of the deciding timeframe
    frames: Mapping[Timeframe, Frame]  # the deciding timeframe and those above it, as asked for
    account: AccountState

    @property
    def primary(self) -> Frame:
        """The frame of the deciding timeframe."""
        return self.frames[self.bar.timeframe]

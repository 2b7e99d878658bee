"""A desk: one strategy at work on its instruments."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from agents.strategy import Strategy
from data.account import AccountState
from data.bar import Bar, Timeframe
from data.instrument import Instrument, Symbol
from data.snapshot import MarketHistory, Snapshot, take_snapshot
from sextant.outside import Heard


class Desk:
    """Sees the bars of its instruments, and decides on each that it has enough history for."""

    def __init__(
        self,
        strategy_id: str,
        strategy: Strategy,
        histories: Mapping[Symbol, MarketHistory],
    ) -> None:
        self.strategy_id = strategy_id
        self.strategy = strategy
        self._histories = histories
        self._warm_up = strategy.requirements.warm_up

    def look(
        self, symbol: Symbol, account: AccountState, *, now: datetime, heard: Heard
    ) -> Snapshot:
        """The market of `symbol` as it is known now, whether or not a bar has just closed."""
        return _snapshot(self._histories[symbol], account, now, heard)

    def relist(self, instrument: Instrument) -> None:
        """Show the strategy this grid from now on, if the instrument is its own."""
        if (history := self._histories.get(instrument.symbol)) is not None:
            history.instrument = instrument

    def learn(self, symbol: Symbol, past: Mapping[Timeframe, Sequence[Bar]]) -> None:
        """Take in the past of `symbol` by size, without deciding on it."""
        history = self._histories.get(symbol)
        if history is not None:
            history.begin(past)

    def observe(
        self, bar: Bar, account: AccountState, *, now: datetime, heard: Heard
    ) -> Snapshot | None:
        """What the strategy may see once `bar` has closed.

        None if there is nothing to decide on: the bar is another desk's, it closes no bar of the
        deciding timeframe, or the history is still too short.
        """
        history = self._histories.get(bar.symbol)
        if history is None:
            return None
        before = history.count
        history.add(bar)
        if history.count == before or history.count < self._warm_up:
            return None
        return _snapshot(history, account, now, heard)


def _snapshot(
    history: MarketHistory, account: AccountState, now: datetime, heard: Heard
) -> Snapshot:
    return take_snapshot(
        history, account, taken_at=now, headlines=heard.headlines, funding=heard.funding
    )

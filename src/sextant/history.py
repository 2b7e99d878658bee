"""The bars before the first one of a run, and the desks' learning from them."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from data.bar import Bar
from data.instrument import Symbol
from data.store import BarStore
from sextant.desk import Desk
from sextant.settings import Settings


async def read_history(
    bars: BarStore, settings: Settings, count: int, *, until: Mapping[Symbol, datetime]
) -> list[Bar]:
    """The newest `count` bars of each symbol up to its time in `until`, in order of time."""
    past: list[Bar] = []
    for symbol in settings.instruments:
        if symbol in until:
            past += await bars.last(symbol, settings.market.timeframe, count, until=until[symbol])
    return sorted(past, key=lambda bar: bar.closed_at)


def warm_up(desks: Sequence[Desk], past: Sequence[Bar]) -> None:
    """Let every desk learn the past of its instruments."""
    for bar in past:
        for desk in desks:
            desk.learn(bar)

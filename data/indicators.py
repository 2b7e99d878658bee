"""Indicators: whole series through the indicator library, and bar by bar in O(1)."""

from collections.abc import Mapping
from typing import Protocol

from data.bar import BarSeries, FloatArray


class IndicatorState(Protocol):
    """One indicator that is fed closed bars one by one."""

    def update(
        self, closed_at: float, open_: float, high: float, low: float, close: float, volume: float
    ) -> tuple[float, ...]:
        """The values at this bar, in the order of the indicator's `names`; NaN while warming up."""
        ...


class Indicator(Protocol):
    """An indicator with its parameters; one may have several outputs."""

    @property
    def names(self) -> tuple[str, ...]: ...

    def batch(self, series: BarSeries) -> Mapping[str, FloatArray]:
        """Every output over the whole series, each shape (n,); NaN while warming up."""
        ...

    def start(self) -> IndicatorState:
        """A fresh state that gives the same values bar by bar."""
        ...

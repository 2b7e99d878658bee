"""The seven market regimes: agents name them, risk reads them."""

from enum import StrEnum


class Regime(StrEnum):
    """What kind of market this is; `UNKNOWN` is the absence of a reading."""

    TRENDING_BULL = "trending_bull"
    TRENDING_BEAR = "trending_bear"
    RANGING = "ranging"
    VOLATILE_BULL = "volatile_bull"
    VOLATILE_BEAR = "volatile_bear"
    CHOPPY = "choppy"
    BREAKOUT_POTENTIAL = "breakout_potential"
    UNKNOWN = "unknown"

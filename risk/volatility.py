"""How much of a signal is traded in a market of a given volatility (S1-81 to S1-92).

The guard scales the signal, then the target turns it into a position, then the cap holds (section
7, row 2). Volatilities are annualised, over 365 days.
"""


def guard_scale(volatility: float, *, cap: float, floor: float) -> float:
    """What the guard leaves of a signal: cap over volatility beyond the cap, never below `floor`.

    1 at or below `cap`, and where `cap` is zero, which is off.

    Source:
        S1-89, S1-90: at a cap of 0.8 and a floor of 0.25, 1.6 gives 0.5, and 3.2 and above 0.25.
    """
    if cap == 0 or volatility <= cap:
        return 1.0
    return max(floor, cap / volatility)


def targeted(signal: float, volatility: float, *, target: float, cap: float) -> float:
    """The position of a `signal` in [0, 1] that brings `target`, at most `cap`, in full sizes.

    Where `target` is zero, which is off, the signal itself.

    Source:
        S1-82 to S1-84: target / volatility * signal, clamped.
    """
    position = signal * target / volatility if target else signal
    return min(cap, position)

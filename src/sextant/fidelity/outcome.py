"""What came of an order, or would have."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Self

from data.instrument import Notional, Quantity
from data.order_book import Level
from sextant.fidelity.probes import Probe

_BPS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How much was filled, and what that came to in quote currency."""

    quantity: Quantity
    value: Notional

    @classmethod
    def of(cls, fills: Iterable[Level]) -> Self:
        quantity, value = Decimal(0), Decimal(0)
        for price, filled in fills:
            quantity += filled
            value += price * filled
        return cls(quantity=Quantity(quantity), value=Notional(value))


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Between what and what the truth lies: a recording does not tell whose each quantity was."""

    least: Outcome
    most: Outcome


def slippage_bps(probe: Probe, outcome: Outcome) -> float | None:
    """Worse than the mid price at sending, in basis points of it; None where nothing was filled."""
    if not outcome.quantity:
        return None
    mean = outcome.value / outcome.quantity
    return float(probe.side.sign * (mean - probe.mid) / probe.mid * _BPS)


def filled_share(probe: Probe, outcome: Outcome) -> float:
    """Of the quantity asked for."""
    return float(outcome.quantity / probe.quantity)

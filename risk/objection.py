"""What a rule can say against an order."""

from dataclasses import dataclass
from decimal import Context, Decimal

from data.instrument import Quantity

_LEGIBLE = Context(prec=16)


@dataclass(frozen=True, slots=True, kw_only=True)
class Objection:
    """A rule's no: what it saw, what it allows, in `unit`."""

    rule: str
    observed: str
    limit: str
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TooLarge:
    """An objection to nothing but the size: `largest`, unsigned, in base currency, would do."""

    objection: Objection
    largest: Quantity


Finding = Objection | TooLarge


def unknown(rule: str, unit: str) -> Objection:
    """The objection to a value that must be known, and is not."""
    return Objection(rule=rule, observed="unknown", limit="known", unit=unit)


def plain(number: Decimal) -> str:
    """A Decimal as it is written by hand: no exponent, no trailing zeros, 16 digits."""
    rounded = _LEGIBLE.plus(number)
    return f"{rounded.normalize(_LEGIBLE):f}" if rounded else "0"

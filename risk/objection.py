"""What a rule can say against an order."""

from dataclasses import dataclass
from decimal import Context, Decimal

from data.instrument import Quantity
from data.value import quick

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjustable:
    """An objection that a strategy can answer by asking again with another stop or target."""

    objection: Objection


@dataclass(frozen=True, slots=True, kw_only=True)
class Referable:
    """An objection that a person may lift, this once and up to this size."""

    objection: Objection


Finding = Objection | TooLarge | Adjustable | Referable


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """What made an order smaller from the start: `share`, in [0, 1], of the full size."""

    rule: str
    share: Decimal


def objection_of(finding: Finding) -> Objection:
    """What a finding objects to."""
    return finding if isinstance(finding, Objection) else finding.objection


def adjustable(rule: str, observed: str, limit: str, unit: str) -> Adjustable:
    """The objection to a stop or a target that another one could answer."""
    return Adjustable(objection=Objection(rule=rule, observed=observed, limit=limit, unit=unit))


def unknown(rule: str, unit: str) -> Objection:
    """The objection to a value that must be known, and is not."""
    return Objection(rule=rule, observed="unknown", limit="known", unit=unit)


def plain(number: Decimal) -> str:
    """A Decimal as it is written by hand: no exponent, no trailing zeros, no -0, 16 digits."""
    return f"{_LEGIBLE.plus(number).normalize(_LEGIBLE):f}"

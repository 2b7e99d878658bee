"""Decimal arithmetic for the books: a result that would have to be rounded raises instead.

Digits after the point never pass the longest product of quantity, price and fee share, about 30;
120 digits leave room for 90 before it. Only `proportion` rounds, and what it leaves is kept.
"""

from decimal import (
    ROUND_HALF_EVEN,
    Context,
    Decimal,
    DivisionByZero,
    Inexact,
    InvalidOperation,
    Overflow,
)

_DIGITS = 120
EXACT = Context(prec=_DIGITS, traps=[Inexact, InvalidOperation, DivisionByZero, Overflow])
"""Raises `decimal.Inexact` where a digit would be lost."""

_ROUNDING = Context(
    prec=_DIGITS, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, DivisionByZero, Overflow]
)
_QUANTUM = Decimal("1e-12")
_ZERO = Decimal(0)


def proportion(amount: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    """`amount * part / whole`, to 12 places; all of it, unrounded, where `part` is `whole`."""
    if part == whole:
        return amount
    share = _ROUNDING.divide(_ROUNDING.multiply(amount, part), whole)
    return _ROUNDING.quantize(share, _QUANTUM)


def reduction(held: Decimal, change: Decimal) -> Decimal:
    """The part of `change` that brings `held` nearer to zero, not past it."""
    if not held or (held > 0) == (change > 0):
        return _ZERO
    return change if abs(change) <= abs(held) else EXACT.minus(held)

"""What decimals are reckoned by where no context is named: the same in a daemon and in its audit.

ccxt changes what the whole thread rounds by, for good, whenever it writes a number down: half up,
and a number too small raises (`ccxt.base.decimal_to_precision`). A daemon would reckon one way
before that and another after, and an audit, in which ccxt never runs, could differ from both in the
28th digit. So all reckon from the start as ccxt leaves it.
"""

from decimal import (
    ROUND_HALF_UP,
    Context,
    DivisionByZero,
    InvalidOperation,
    Overflow,
    Underflow,
    setcontext,
)


def reckon_alike() -> None:
    """From here on this task, and every task that it starts, reckons like all others."""
    setcontext(
        Context(
            prec=28,
            rounding=ROUND_HALF_UP,
            traps=[DivisionByZero, InvalidOperation, Overflow, Underflow],
        )
    )

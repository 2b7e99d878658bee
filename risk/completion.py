"""The rest of an entry that has been filled in part, under an approval that has served.

It is judged as the whole that it is, as if nothing of it were held: so no limit is asked to bear
less than all of it, and what the market or the account has become since then counts for all of it.
"""

from dataclasses import replace

from data.account import AccountState
from data.instrument import Notional, Quantity, Symbol


def without(account: AccountState, symbol: Symbol, filled: Quantity) -> AccountState:
    """The account as it is, but for `filled`, signed, of the position in `symbol`.

    What is held beyond that stays, and the rules see it.
    """
    position = account.positions.get(symbol)
    if position is None:
        return account
    left = Quantity(position.quantity - filled)
    positions = {s: p for s, p in account.positions.items() if s != symbol}
    if left:
        notional = Notional(abs(left) * abs(position.notional / position.quantity))
        positions[symbol] = replace(position, quantity=left, notional=notional)
    return replace(account, positions=positions)

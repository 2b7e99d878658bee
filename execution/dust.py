"""Dust: what is left of a position and is below the venue's minimum. It counts as flat."""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime

from data.account import AccountState
from data.instrument import Price, Quantity, Symbol
from execution.ledger import Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class DustLeft:
    """So little is held that no order can sell it: from now on nobody looks after it."""

    at: datetime
    symbol: Symbol
    quantity: Quantity  # signed
    mark: Price | None  # at which it is worth too little, where that is why


class DustWatch:
    """Says of each remainder once that it is dust; a restart says so again.

    It is told anew where its size has changed, or where it was a position in between: a price alone
    can make dust of one.
    """

    def __init__(self, symbols: Iterable[Symbol]) -> None:
        self._symbols = tuple(sorted(symbols))
        self._told: dict[Symbol, Quantity] = {}
        self._seen: tuple[int, AbstractSet[Symbol]] | None = None

    def review(
        self, account: AccountState, ledger: Ledger, *, revision: int
    ) -> tuple[DustLeft, ...]:
        """What has become dust since the last call; fast while nothing has changed.

        `revision` changes whenever a position does.
        """
        if self._seen is not None:
            before, symbols = self._seen
            if before == revision and account.positions.keys() == symbols:
                return ()
        self._seen = revision, frozenset(account.positions)
        found = []
        for symbol in self._symbols:
            held = ledger.held(symbol)
            if not held or symbol in account.positions:
                self._told.pop(symbol, None)
            elif self._told.get(symbol) != held:
                self._told[symbol] = held
                mark = ledger.last_mark(symbol)
                price = mark.price if mark is not None else None
                found.append(DustLeft(at=account.as_of, symbol=symbol, quantity=held, mark=price))
        return tuple(found)

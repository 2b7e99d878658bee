"""Our own trades and the movements of our balances, as a venue has them on its books."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from data.faults import Malformed
from data.instrument import Notional, Price, Quantity, Side, Symbol
from data.utc import require_utc


class MalformedOwnTrade(Malformed):
    """Numbers that no trade of ours, and no movement of a balance, can have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnTrade:
    """One trade of ours; texts are in the venue's words."""

    trade_id: str
    order_id: str
    pair: str
    traded_at: datetime
    side: Side
    order_type: str
    price: Price
    quantity: Quantity
    cost: Notional  # in quote currency, as the fee and the margin are
    fee: Notional
    margin: Notional  # that it bound; 0 for spot
    misc: str

    def __post_init__(self) -> None:
        require_utc(self.traded_at)
        numbers = (self.price, self.quantity, self.cost, self.fee, self.margin)
        if not all(number.is_finite() for number in numbers) or self.quantity <= 0:
            raise MalformedOwnTrade(f"own trade {self.trade_id}: {numbers}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """One movement of a balance; texts are in the venue's words, amounts in `asset`."""

    ledger_id: str
    refid: str  # of the trade, deposit or withdrawal that it belongs to
    at: datetime
    type: str
    subtype: str
    asset: str
    amount: Decimal  # above zero came in
    fee: Decimal
    balance: Decimal  # after it

    def __post_init__(self) -> None:
        require_utc(self.at)
        if not all(number.is_finite() for number in (self.amount, self.fee, self.balance)):
            raise MalformedOwnTrade(f"ledger entry {self.ledger_id}: {self.amount}, {self.fee}")


class AccountHistory(Protocol):
    """Keeps both of one account by their ids: to put again is right after any failure."""

    async def put_trades(self, trades: Sequence[OwnTrade]) -> None:
        """Keep `trades`, all or none.

        Raises:
            StoreUnavailable: nothing was kept.
        """
        ...

    async def put_entries(self, entries: Sequence[LedgerEntry]) -> None:
        """Keep `entries`, in the same way."""
        ...


class CollectorProgress(Protocol):
    """How far one collector has come, in its own words."""

    async def save(self, symbol: Symbol | None, cursor: str, *, now: datetime) -> None:
        """Go on from `cursor` next time; None is what concerns no symbol."""
        ...

    async def load(self, symbol: Symbol | None) -> str | None:
        """The cursor saved last; None before the first."""
        ...

"""What the account at the exchange is remembered by, so that it outlives the process.

The facts hold rows as they stand after a change, never what was asked for, so that they can be read
without the market. That is on no record: it is a function of seed and time, and what it did to the
account after the last fact it does again. Nor are nonces, tokens and the counters of requests.
"""

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Final

from data.faults import Corrupt, Refused
from data.instrument import Symbol
from execution.charge import Charge, ChargeKind
from execution.exact import EXACT
from sextant.rehearsal.booked import Booked, OwnTrade
from sextant.rehearsal.wallet import Entry, Lot, ledger_id


class NotListed(Refused):
    """The account has an open order in a pair that this exchange does not list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """What moves on with what is asked, whether anything comes of it or not."""

    ids: Mapping[str, int]  # given out, by their first letter
    cancels_all_at: datetime | None  # the dead man's switch


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountChanged:
    """What has become of the account up to `at`, since the fact before: all of it is kept, or none.

    What is asked and done at once is never spread over two facts.
    """

    at: datetime  # every trade of the market up to here has been met, and none after
    stamped: datetime  # the last instant that was given out
    counters: Counters
    orders: tuple[Booked, ...]  # new or changed, in the order of their first change
    trades: tuple[OwnTrade, ...]  # new
    entries: tuple[Entry, ...]  # new
    lots: Mapping[Symbol, tuple[Lot, ...]]  # all that are open, of the symbols where they changed


@dataclass(slots=True, kw_only=True)
class Account:
    """An account as its record left it; whoever restores from it owns it."""

    at: datetime
    stamped: datetime
    counters: Counters
    orders: dict[str, Booked] = field(default_factory=dict)  # ever, by txid
    trades: dict[str, OwnTrade] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    lots: dict[Symbol, tuple[Lot, ...]] = field(default_factory=dict)

    def take(self, fact: AccountChanged) -> None:
        self.at, self.stamped, self.counters = fact.at, fact.stamped, fact.counters
        self.orders |= {order.txid: order for order in fact.orders}
        self.trades |= {trade.txid: trade for trade in fact.trades}
        self.entries += fact.entries
        self.lots |= fact.lots

    @property
    def holdings(self) -> dict[str, Decimal]:
        """Balances with the open margin positions in them, as if each had been bought and paid."""
        held = {entry.asset: entry.balance for entry in self.entries}
        for symbol, lots in self.lots.items():
            for lot in lots:
                sign = lot.opened_by.side.sign
                for asset, amount, way in (
                    (symbol.base, lot.open, sign),
                    (symbol.quote, lot.cost, -sign),
                ):
                    moved = EXACT.multiply(amount, way)
                    held[asset] = EXACT.add(held.get(asset, Decimal(0)), moved)
        return held

    @property
    def charges(self) -> Iterator[Charge]:
        """What was taken for margin apart from the fees of fills, under the ids of Ledgers."""
        trades = {trade.fill.fill_id: trade for trade in self.trades.values()}
        for number, entry in enumerate(self.entries, start=1):
            trade = trades.get(entry.refers_to)
            if trade is None or entry.kind not in _FOR_MARGIN:
                continue
            kind = _FOR_MARGIN[entry.kind]
            opens = kind is ChargeKind.OPENING
            amount = EXACT.subtract(entry.fee, trade.fill.fee) if opens else entry.fee
            if amount:
                yield Charge(
                    charge_id=f"{trade.txid}-{entry.asset}" if opens else ledger_id(number),
                    kind=kind,
                    asset=entry.asset,
                    amount=amount,
                    symbol=trade.fill.symbol,
                    charged_at=entry.at,
                )


_FOR_MARGIN: Final = {"margin": ChargeKind.OPENING, "rollover": ChargeKind.ROLLOVER}


async def recall(facts: AsyncIterator[object]) -> Account | None:
    """The account that a record holds; None where it holds none yet.

    Raises:
        Corrupt: it holds what no exchange of ours wrote.
    """
    account: Account | None = None
    async for fact in facts:
        if not isinstance(fact, AccountChanged):
            raise Corrupt(f"the record of a rehearsal holds {fact!r}, which is not the exchange's")
        if account is None:
            account = Account(at=fact.at, stamped=fact.stamped, counters=fact.counters)
        account.take(fact)
    return account

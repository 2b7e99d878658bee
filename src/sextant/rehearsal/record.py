"""Keeps the account at an exchange in a journal: nothing is answered or told before it is there."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, Self

from data.instrument import Symbol
from execution.journal import OrderJournal
from sextant.rehearsal.account import Account, AccountChanged, Counters, recall
from sextant.rehearsal.booked import Booked, Execution, OwnTrade
from sextant.rehearsal.exchange import Exchange
from sextant.rehearsal.wallet import Lot

_LONGEST_UNTOLD: Final = timedelta(
    hours=1
)  # of market time, which a restored exchange goes through


class AccountRecord:
    """The journal of one account. `follow` its exchange, and `keep` before anything is said.

    What nobody was told of need not be kept: the market, restored, does it again.
    """

    def __init__(self, journal: OrderJournal, account: Account | None) -> None:
        self.account = account
        self._journal = journal
        self._exchange: Exchange | None = None
        self._changed: dict[str, Booked] = {}
        self._trades: list[OwnTrade] = []
        self._entries = 0  # that are written
        self._lots: dict[Symbol, tuple[Lot, ...]] = {}
        self._counters: Counters | None = None
        self._at: datetime | None = None
        self._written = self._durable = 0  # facts, in this life

    @classmethod
    async def open(cls, journal: OrderJournal) -> Self:
        """The record with the `account` that it holds, if there was one.

        Raises:
            Corrupt: it holds what no exchange of ours wrote.
        """
        return cls(journal, await recall(journal.facts()))

    def follow(self, exchange: Exchange) -> None:
        """From now on what happens to `exchange`, which was made of `account`, is to be kept."""
        self._exchange = exchange
        exchange.listeners.append(self._note)
        if self.account is not None:
            self._entries = len(self.account.entries)
            self._lots = self._changed_lots(exchange)
            self._counters, self._at = self.account.counters, self.account.at
            self.account = None  # it is the exchange's

    async def keep(self) -> None:
        """Return once all that has happened so far is durable."""
        if (fact := self._news()) is not None:
            self._journal.write(fact)
            self._written += 1
            self._settle(fact)
        written = self._written
        if self._durable < written:
            await self._journal.flush()
            self._durable = max(self._durable, written)

    def _note(self, happened: Execution) -> None:
        self._changed[happened.order.txid] = happened.order
        if happened.trade is not None:
            self._trades.append(happened.trade)

    def _news(self) -> AccountChanged | None:
        """What is not written yet."""
        exchange = self._exchange
        if exchange is None:
            return None
        counters = Counters(ids=dict(exchange.ids), cancels_all_at=exchange.cancels_all_at)
        entries = tuple(exchange.wallet.entries[self._entries :])
        is_late = self._at is None or exchange.now - self._at >= _LONGEST_UNTOLD
        if not (self._changed or entries or is_late or counters != self._counters):
            return None
        changed = self._changed | {order.txid: order for order in exchange.trailing()}
        return AccountChanged(
            at=exchange.now,
            stamped=exchange.stamped,
            counters=counters,
            orders=tuple(replace(o, trades=list(o.trades)) for o in changed.values()),
            trades=tuple(self._trades),
            entries=entries,
            lots=self._changed_lots(exchange) if entries else {},
        )

    def _changed_lots(self, exchange: Exchange) -> dict[Symbol, tuple[Lot, ...]]:
        return {
            symbol: tuple(replace(lot) for lot in lots)
            for symbol, lots in exchange.wallet.lots.items()
            if tuple(lots) != self._lots.get(symbol, ())
        }

    def _settle(self, fact: AccountChanged) -> None:
        """It is written."""
        self._changed.clear()
        self._trades.clear()
        self._entries += len(fact.entries)
        self._lots |= fact.lots
        self._counters, self._at = fact.counters, fact.at

"""Asking Kraken for orders: whose each is, how it stands, and what closes an entry.

Kraken knows nothing of an entry's stop but the orders that it has placed for the entry's fills,
each with the entry's txid. Here they are put together again, whenever one is asked for: also in a
life that has placed none of them, and when all of them are over.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final, TypeVar

from data.feeds.ccxt_source import at_seconds
from data.instrument import Symbol, UnknownSymbol
from execution.venue import OrderChanged, VenueUnavailable
from execution.venues.answers import reading
from execution.venues.kraken_answers import is_unknown_order
from execution.venues.kraken_line import KrakenLine
from execution.venues.kraken_names import Names
from execution.venues.kraken_wire import (
    Form,
    Json,
    changed_at,
    combined,
    is_liquidated,
    order_of_row,
)

_BATCH: Final = 50  # txids in one QueryOrders
_REMEMBERED: Final = 16_384  # orders
_NOTHING: Final = Decimal(0)
_WORKING: Final = frozenset({"open", "pending"})
T = TypeVar("T")


class KrakenOrders:
    """One account's orders; what is asked raises `VenueUnavailable`, or `KeyRefused` for good.

    Args:
        since: No order of ours is older than that.
    """

    def __init__(self, line: KrakenLine, names: Names, *, since: datetime) -> None:
        self._line = line
        self._names = names
        self._since = since
        self._symbols: OrderedDict[str, Symbol] = OrderedDict()  # by client order id
        self._looked_for: OrderedDict[str, Decimal] = OrderedDict()  # by entry: of how much filled
        self._past_is_known = False  # what has ended before this life

    async def change(self, client_order_id: str) -> OrderChanged | None:
        """The order and when it last changed; None if Kraken does not know it.

        An id that nothing here knows may be that of a stop whose entry another life has placed and
        that has ended since: the first such question reads the history once.
        """
        rows = await self._rows_of(client_order_id)
        if not rows and self._may_be_of_the_past(client_order_id):
            await self._learn_ended(self._since)
            self._past_is_known = True
            rows = await self._rows_of(client_order_id)
        changes = await self._changes(rows)
        return next((c for c in changes if c.order.client_order_id == client_order_id), None)

    async def open(self) -> list[OrderChanged]:
        """All open orders, foreign ones too; what closes an entry is told as one."""
        opened = await self._open_rows()
        await self._learn_rows(opened)
        entries = {parent for txid in opened if (parent := self._names.parent(txid)) is not None}
        changes = await self._changes(await self._with_families(opened, entries))
        names = {self._names.name(txid) for txid in opened}
        return [
            change
            for change in changes
            if change.order.client_order_id in names and not change.order.status.is_final
        ]

    async def find(self, client_order_id: str) -> dict[str, Json]:
        """The row of an order placed with that id, open or ended; empty if there is none.

        Asked in this order, one that ends meanwhile is not missed.
        """
        txid = self._names.txid(client_order_id)
        if txid is not None:
            return await self._query({txid})
        rows = await self._open_rows(client_order_id)
        if not rows:
            told = await self._line.ask("ClosedOrders", {"cl_ord_id": client_order_id})
            with reading("kraken ClosedOrders"):
                rows = _of_client(told["closed"], client_order_id)
        return rows

    async def working(self, client_order_id: str) -> Sequence[Form]:
        """What names the open orders behind an id to Kraken: one, or all that close an entry."""
        if self._names.entry_of(client_order_id) is None:
            await self.symbol_of(client_order_id)  # it may be the stop of another life's entry
        entry = self._names.entry_of(client_order_id)
        if entry is None:
            return [{"cl_ord_id": client_order_id}]
        rows = await self._open_rows()
        await self._learn_rows(rows)
        parent = self._names.txid(entry)
        children = self._names.children(parent) if parent is not None else ()
        return [{"txid": txid} for txid in children if txid in rows]

    async def learn(self, txids: set[str]) -> None:
        """Learn who these orders are; one that Kraken does not know any more is foreign."""
        unknown = {txid for txid in txids if not self._names.knows(txid)}
        if not unknown:
            return
        await self._learn_rows(await self._query(unknown))
        for txid in unknown:
            self._names.learn(txid, own=None, parent=None)

    async def symbol_of(self, client_order_id: str) -> Symbol | None:
        """What an order trades; None if there is no such order."""
        if client_order_id not in self._symbols:
            await self.change(client_order_id)
        return self._symbols.get(client_order_id)

    def remember(self, client_order_id: str, symbol: Symbol) -> None:
        """An order of ours that trades `symbol`."""
        _keep(self._symbols, client_order_id, symbol)

    def listed(self, pair: str) -> Symbol | None:
        """Our symbol of a pair; None for one that cannot be ours."""
        name = self._line.symbol_of(pair)
        try:
            return None if name is None else Symbol(name)
        except UnknownSymbol:
            return None

    def _may_be_of_the_past(self, client_order_id: str) -> bool:
        is_known = client_order_id in self._symbols
        return not (is_known or self._past_is_known or self._names.entry_of(client_order_id))

    # Entries, and what closes them

    async def _rows_of(self, client_order_id: str) -> dict[str, Json]:
        """The rows that tell of an order, or of an entry's stop; empty if there is none."""
        entry = self._names.entry_of(client_order_id)
        if entry is None:
            return await self.find(client_order_id)
        rows, opened = await self.find(entry), await self._open_rows()
        await self._learn_rows(rows | opened)
        closing = {txid: opened[txid] for txid in self._closing(rows) & opened.keys()}
        return await self._with_families(rows | closing, set(rows))

    async def _with_families(self, rows: Mapping[str, Json], entries: set[str]) -> dict[str, Json]:
        """`rows` with the rows of `entries`, and of all that closes them.

        What closes an entry should be as much as it has filled. Where it is less, something has
        ended unseen, and is looked for in the history.
        """
        whole = dict(rows) | await self._query((entries | self._closing(entries)) - rows.keys())
        with reading("kraken orders"):
            lacking = [
                whole[entry] for entry in entries & whole.keys() if self._lacks(entry, whole)
            ]
            opened = [at_seconds(row["opentm"]) for row in lacking]
        if opened:
            await self._learn_ended(min(opened))
            whole |= await self._query(self._closing(entries) - whole.keys())
        return whole

    def _closing(self, entries: Iterable[str]) -> set[str]:
        """The txids of what closes these entries, as far as it was seen."""
        return {child for entry in entries for child in self._names.children(entry)}

    def _lacks(self, entry: str, rows: Mapping[str, Json]) -> bool:
        """Whether less closes `entry`, which has a stop, than it has filled, and that is new."""
        row = rows[entry]
        filled = Decimal(row["vol_exec"]) if row["descr"].get("close") else _NOTHING
        closing = [rows[txid] for txid in self._names.children(entry) if txid in rows]
        seen = sum((Decimal(row["vol"]) for row in closing), _NOTHING)
        if filled <= max(seen, self._looked_for.get(entry, _NOTHING)):
            return False
        _keep(self._looked_for, entry, filled)
        return True

    # The questions

    async def _open_rows(self, client_order_id: str | None = None) -> dict[str, Json]:
        query: Form = {} if client_order_id is None else {"cl_ord_id": client_order_id}
        told = await self._line.ask("OpenOrders", query)
        with reading("kraken OpenOrders"):
            rows = dict(told["open"])
        return rows if client_order_id is None else _of_client(rows, client_order_id)

    async def _query(self, txids: Iterable[str]) -> dict[str, Json]:
        """The rows of these orders; what Kraken does not know is not among them."""
        asked, rows = sorted(txids), dict[str, Json]()
        for start in range(0, len(asked), _BATCH):
            rows |= await self._query_batch(asked[start : start + _BATCH])
        return rows

    async def _query_batch(self, txids: Sequence[str]) -> dict[str, Json]:
        """One unknown order spoils the answer for all: then each half is asked for by itself."""
        try:
            told = await self._line.ask("QueryOrders", {"txid": ",".join(txids)})
        except VenueUnavailable as fault:
            if fault.__cause__ is None or not is_unknown_order(fault.__cause__):
                raise
            if len(txids) == 1:
                return {}
            half = len(txids) // 2
            return await self._query_batch(txids[:half]) | await self._query_batch(txids[half:])
        with reading("kraken QueryOrders"):
            return dict(told)

    async def _learn_ended(self, since: datetime) -> None:
        """Learn who the orders are that were opened, or have ended, from `since` on.

        The newest come first: one that ends meanwhile shows some a second time, and hides none.
        """
        query: Form = {"start": str(int(since.timestamp()) - 1)}
        seen, count = 0, 1
        while seen < count:
            told = await self._line.ask("ClosedOrders", query | {"ofs": str(seen)})
            with reading("kraken ClosedOrders"):
                rows, count = dict(told["closed"]), int(told["count"])
            await self._learn_rows(rows)
            if not rows:
                return
            seen += len(rows)

    async def _learn_rows(self, rows: Mapping[str, Json]) -> None:
        """Learn who the orders in `rows` are, entries before what closes them."""
        parents = {row.get("refid") for row in rows.values()} - {None}
        await self.learn({str(parent) for parent in parents} - rows.keys())
        for txid, row in sorted(rows.items(), key=lambda item: item[1].get("refid") is not None):
            self._names.learn(txid, own=row.get("cl_ord_id"), parent=row.get("refid"))
            if is_liquidated(row):
                self._names.learn_forced(txid)

    # The answers

    async def _changes(self, rows: Mapping[str, Json]) -> list[OrderChanged]:
        """What `rows` say, with the closing orders of each entry as one."""
        await self._line.pairs()
        await self._learn_rows(rows)
        changes: list[OrderChanged] = []
        families: dict[str, list[str]] = {}
        for txid, row in rows.items():
            parent = self._names.parent(txid)
            if parent is not None:
                families.setdefault(parent, []).append(txid)
            elif (symbol := self.listed(row["descr"]["pair"])) is not None:
                changes.append(self._change(txid, row, symbol))
        for parent, children in families.items():
            changes.append(self._combined(parent, children, rows))
        for change in changes:
            self.remember(change.order.client_order_id, change.order.symbol)
        return changes

    def _change(self, txid: str, row: Json, symbol: Symbol) -> OrderChanged:
        with reading("kraken an order"):
            order = order_of_row(row, symbol, client_order_id=self._names.name(txid))
            return OrderChanged(order=order, at=changed_at(row), reason=row.get("reason") or "")

    def _combined(
        self, parent: str, children: Sequence[str], rows: Mapping[str, Json]
    ) -> OrderChanged:
        told = []
        for txid in children:
            symbol = self.listed(rows[txid]["descr"]["pair"])
            if symbol is None:
                raise VenueUnavailable(f"kraken: {txid} closes what is not listed")
            told.append(self._change(txid, rows[txid], symbol))
        order = combined(
            [change.order for change in told],
            client_order_id=told[0].order.client_order_id,
            parent=self._names.name(parent),
            parent_works=parent in rows and rows[parent]["status"] in _WORKING,
        )
        latest = max(told, key=lambda change: change.at)
        return OrderChanged(order=order, at=latest.at, reason=latest.reason)


def _keep(kept: OrderedDict[str, T], key: str, value: T) -> None:
    """Note it, and forget the oldest of what is too much."""
    kept[key] = value
    if len(kept) > _REMEMBERED:
        kept.popitem(last=False)


def _of_client(rows: Mapping[str, Json], client_order_id: str) -> dict[str, Json]:
    """The rows that say they have this id: an exchange that does not filter answers with all."""
    return {txid: row for txid, row in rows.items() if row.get("cl_ord_id") == client_order_id}

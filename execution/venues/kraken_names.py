"""Which of Kraken's orders is which of ours: txids, client order ids, and entries' stops.

Kraken gives the orders that it places for an entry's fills no client order id, only the entry's
txid. All of them together are the stop that the port knows as `stop_id(entry)`. What is foreign,
with an id of its own or none, is called by that id or by its txid, and so by no id of ours.
"""

import uuid
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from execution.venue import stop_id

_KEPT: Final = 16_384  # orders; of what is forgotten, Kraken is asked again


@dataclass(slots=True, kw_only=True)
class _Known:
    own: str | None  # its client order id
    parent: str | None  # the txid of the entry that it closes
    is_forced: bool = False  # a liquidation
    children: list[str] = field(default_factory=list)


class Names:
    """What is known of each txid, the latest 16,384 of them."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._txids: dict[str, str] = {}  # by client order id
        self._entries: dict[str, str] = {}  # the entry's id by its stop's

    def learn(self, txid: str, *, own: str | None, parent: str | None) -> None:
        """Take in what a row says of itself; a child may repeat its entry's client order id.

        A shorter row may come first: what had no name until now can still get one.
        """
        known = self._known.get(txid)
        if known is not None and (known.own or known.parent or not (own or parent)):
            return
        known = self._known[txid] = _Known(own=own, parent=None)
        entry = self._known.get(parent) if parent is not None else None
        if parent is not None and (own is None or (entry is not None and own == entry.own)):
            known.own, known.parent = None, parent
            if entry is not None:
                entry.children.append(txid)
        elif own is not None:
            self._txids[own] = txid
            if _is_uuid(own):
                self._entries[stop_id(own)] = own
        if len(self._known) > _KEPT:
            self._forget(*self._known.popitem(last=False))

    def learn_forced(self, txid: str) -> None:
        """It is an order of Kraken's own, which ends a position by force."""
        self._known[txid].is_forced = True

    def is_forced(self, txid: str) -> bool:
        """Whether that is known of an order."""
        known = self._known.get(txid)
        return known is not None and known.is_forced

    def knows(self, txid: str) -> bool:
        return txid in self._known

    def name(self, txid: str) -> str:
        """The client order id that the port knows an order by; its txid, if it is foreign.

        Raises:
            LookupError: nothing is known of it, or of the entry that it closes.
        """
        known = self._known[txid]
        if known.parent is None:
            return known.own or txid
        entry = self._known[known.parent].own
        return stop_id(entry) if entry is not None and _is_uuid(entry) else txid

    def own(self, txid: str) -> str | None:
        """The client order id that an order was placed with."""
        return self._known[txid].own

    def parent(self, txid: str) -> str | None:
        """The txid of the entry that an order closes, if that is one of ours."""
        known = self._known[txid]
        return known.parent if self.name(txid) != txid else None

    def txid(self, client_order_id: str) -> str | None:
        return self._txids.get(client_order_id)

    def entry_of(self, client_order_id: str) -> str | None:
        """The entry whose stop has that id."""
        return self._entries.get(client_order_id)

    def children(self, txid: str) -> tuple[str, ...]:
        """The txids of what closes an entry, as far as it was seen."""
        known = self._known.get(txid)
        return () if known is None else tuple(known.children)

    def expect_stop(self, client_order_id: str) -> None:
        """An entry of that id is about to be placed with a stop."""
        self._entries[stop_id(client_order_id)] = client_order_id

    def _forget(self, txid: str, known: _Known) -> None:
        if known.own is None:
            return
        if self._txids.get(known.own) == txid:
            del self._txids[known.own]
        if _is_uuid(known.own):
            self._entries.pop(stop_id(known.own), None)


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True

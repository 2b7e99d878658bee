"""Kraken's private channel `executions`: its messages put together to orders and fills. Pure.

A message repeats only what has changed of an order, so what is known of each is kept.
"""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from data.instrument import Price, Quantity, Side, Symbol
from execution.fill import Fill, Liquidity
from execution.venue import OrderChanged, VenueEvent, VenueOrder
from execution.venues.kraken_names import Names
from execution.venues.kraken_wire import LIQUIDATED, combined, status_of

Json = Mapping[str, Any]
_KEPT: Final = 4_096  # orders; of one forgotten, the next message may be too short to be read
PARENT: Final = "ord_ref_id"
"""Where a row names the order whose fill has brought its order into being."""

_NOT_YET: Final = "pending_new"  # validated, not in the book; Kraken may still turn it away


@dataclass(frozen=True, slots=True)
class Untold:
    """An order has changed, and the channel has not told all that it takes to say how: ask."""

    client_order_id: str


class Executions:
    """What the channel has told of each order since it was opened."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._rows: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._unfilled: set[str] = set()  # of these, those that had no fill when first told
        self._unsure: set[str] = set()  # of these, those amended without a word of to what

    def take(self, said: Json) -> Iterator[VenueEvent | Untold]:
        """The events in one row of a message: a fill before the change that it makes.

        Raises:
            LookupError, ArithmeticError, ValueError: it cannot be read.
        """
        row = self._merged(said)
        if said["exec_type"] == "trade":
            yield fill_of_execution(row, client_order_id=self._names.name(row["order_id"]))
        if row["order_status"] != _NOT_YET:
            yield self._change(row)

    def _merged(self, said: Json) -> dict[str, Any]:
        txid = said["order_id"]
        if txid not in self._rows and _is_unfilled(said):
            self._unfilled.add(txid)
        row = self._rows.pop(txid, {"cum_qty": "0"})
        if said["exec_type"] == "trade" and "cum_qty" not in said:
            row["cum_qty"] = Decimal(row["cum_qty"]) + Decimal(said["last_qty"])
        row.update(said)
        self._rows[txid] = row
        if len(self._rows) > _KEPT:
            forgotten = self._rows.popitem(last=False)[0]
            self._unfilled.discard(forgotten)
            self._unsure.discard(forgotten)
        if said["exec_type"] == "amended":
            self._note_terms(txid, said, row)
        self._names.learn(txid, own=row.get("cl_ord_id"), parent=row.get(PARENT))
        return row

    def _note_terms(self, txid: str, said: Json, row: Json) -> None:
        """Note whether an amendment tells its new trigger and size: what it leaves out is old."""
        is_told = "order_qty" in said and ("triggers" in said or not row.get("triggers"))
        (self._unsure.discard if is_told else self._unsure.add)(txid)

    def _change(self, row: Json) -> OrderChanged | Untold:
        """How an order stands; what closes an entry is told as one, if all of it was told."""
        txid = row["order_id"]
        name, parent = self._names.name(txid), self._names.parent(txid)
        if txid in self._unsure and row.get("cl_ord_id") is not None:
            return Untold(name)
        if parent is None:
            order = order_of_execution(row, client_order_id=name)
        elif parent in self._unfilled:
            order = self._closing(parent, name)
        else:
            return Untold(name)
        at, reason = datetime.fromisoformat(row["timestamp"]), str(row.get("reason") or "")
        return OrderChanged(order=order, at=at, reason=reason)

    def _closing(self, entry: str, name: str) -> VenueOrder:
        children = [
            order_of_execution(self._rows[child], client_order_id=name)
            for child in self._names.children(entry)
            if child in self._rows
        ]
        works = not order_of_execution(self._rows[entry], client_order_id="").status.is_final
        return combined(
            children, client_order_id=name, parent=self._names.name(entry), parent_works=works
        )


def _is_unfilled(said: Json) -> bool:
    """Whether the first message about an order tells that nothing of it has filled."""
    return said["exec_type"] == _NOT_YET or not Decimal(said.get("cum_qty", 1))


def order_of_execution(row: Json, *, client_order_id: str) -> VenueOrder:
    """An order as all messages about it together tell it.

    Raises:
        LookupError, ArithmeticError, ValueError: they tell too little, or none.
    """
    quantity, filled = Decimal(row["order_qty"]), Decimal(row["cum_qty"])
    triggers = row.get("triggers")
    limited = row["order_type"].endswith(("limit", "iceberg"))
    return VenueOrder(
        client_order_id=client_order_id,
        symbol=Symbol(row["symbol"]),
        side=Side(row["side"]),
        quantity=Quantity(quantity),
        filled=Quantity(filled),
        trigger=Price(Decimal(_trigger_price(row, triggers))) if triggers else None,
        limit=Price(Decimal(row["limit_price"])) if limited else None,
        reduce_only=bool(row.get("reduce_only", False)),
        status=status_of(row["order_status"], quantity=quantity, filled=filled),
    )


def _trigger_price(row: Json, triggers: Json) -> Any:
    """Where the trigger is; a relative one, which trails, is told beside what it comes to."""
    is_static = triggers.get("price_type", "static") == "static"
    return triggers["price"] if is_static else row["stop_price"]


def fill_of_execution(row: Json, *, client_order_id: str) -> Fill:
    """A fill as a message of `exec_type` trade tells it.

    Source: docs.kraken.com, WebSocket v2, "Executions": `liquidated` says that the engine has
    liquidated the order.

    Raises:
        LookupError, ArithmeticError, ValueError: it is none, or paid in more than one asset.
    """
    assets = {fee["asset"] for fee in row["fees"]}
    if len(assets) > 1:
        raise ValueError(f"fees in {sorted(assets)}")
    symbol = Symbol(row["symbol"])
    return Fill(
        fill_id=row["exec_id"],
        client_order_id=client_order_id,
        symbol=symbol,
        side=Side(row["side"]),
        quantity=Quantity(Decimal(row["last_qty"])),
        price=Price(Decimal(row["last_price"])),
        fee=sum((Decimal(fee["qty"]) for fee in row["fees"]), Decimal(0)),
        fee_asset=assets.pop() if assets else symbol.quote,
        liquidity=Liquidity.MAKER if row["liquidity_ind"] == "m" else Liquidity.TAKER,
        filled_at=datetime.fromisoformat(row["timestamp"]),
        forced=LIQUIDATED if row.get("liquidated") else "",
    )

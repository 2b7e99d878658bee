"""What changes the account's orders, for REST and the socket alike: read, counted, done."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from sextant.rehearsal.booked import Booked
from sextant.rehearsal.exchange import Exchange
from sextant.rehearsal.order_form import (
    Declined,
    Form,
    Ticket,
    bad,
    deadline_of,
    is_true,
    price_of,
    quantity_of,
    ticket_of,
)
from sextant.rehearsal.rates import Limits
from sextant.rehearsal.rest_forms import Json, close_text, order_text

_LONGEST_SWITCH: Final = timedelta(days=1)


class Trading:
    """Every method takes a form and gives the `result` of REST.

    Raises:
        Declined: Kraken's refusal.
    """

    def __init__(self, exchange: Exchange, limits: Limits) -> None:
        self._exchange = exchange
        self._limits = limits

    @property
    def methods(self) -> dict[str, Callable[[Form], Json]]:
        return {
            "AddOrder": self.add,
            "AmendOrder": self.amend,
            "EditOrder": self.edit,
            "CancelOrder": self.cancel,
            "CancelAll": self.cancel_all,
            "CancelAllOrdersAfter": self.cancel_all_after,
        }

    def add(self, form: Form) -> Json:
        now = self._exchange.now
        ticket = ticket_of(form, self._exchange.register, now)
        self._limits.add(ticket.listing.symbol, now)
        order = self._exchange.add(ticket)
        description = {"order": order_text(ticket)}
        if ticket.close is not None:
            description["close"] = close_text(ticket.listing, ticket.close)
        return {"descr": description} | ({"txid": [order.txid]} if order is not None else {})

    def amend(self, form: Form) -> Json:
        """Change an order in place: it keeps its id."""
        order, now = self._named(form), self._exchange.now
        deadline_of(form, now)  # whose deadline has passed is turned away
        listing = order.ticket.listing
        self._limits.amend(listing.symbol, now - order.opened_at, now)
        amend_id = self._exchange.amend(
            order.txid,
            quantity=quantity_of(form, "order_qty", listing) if "order_qty" in form else None,
            limit=price_of(form, "limit_price", listing) if "limit_price" in form else None,
            trigger=price_of(form, "trigger_price", listing) if "trigger_price" in form else None,
            post_only=is_true(form, "post_only"),
        )
        return {"amend_id": amend_id}

    def edit(self, form: Form) -> Json:
        """Cancel an order and place it anew, changed: it loses its id, and its client id."""
        order = self._named(form)
        changed = ticket_of(_edited(form, order), self._exchange.register, self._exchange.now)
        self._cancel(order)
        placed = self._exchange.add(changed)
        result: Json = {
            "descr": {"order": order_text(changed)},
            "originaltxid": order.txid,
            "orders_cancelled": 1,
            "status": "ok",
        }
        return result | ({"txid": placed.txid} if placed is not None else {})

    def cancel(self, form: Form) -> Json:
        """Cancel by order id, by client id, or all of a user reference."""
        names = form.get("txid", "")
        if names.lstrip("-").isdigit():
            orders = [o for o in self._exchange.open_orders() if o.ticket.userref == int(names)]
            if not orders:
                raise Declined("EOrder:Unknown order")
        else:
            orders = [self._named(form)]
        for order in orders:
            self._cancel(order)
        return {"count": len(orders)}

    def cancel_all(self, _: Form) -> Json:
        return {"count": self._exchange.cancel_all()}

    def cancel_all_after(self, form: Form) -> Json:
        """Set the dead man's switch, in seconds from now; 0 disarms it."""
        now, seconds = self._exchange.now, form.get("timeout", "")
        if not seconds.isdigit() or timedelta(seconds=int(seconds)) > _LONGEST_SWITCH:
            raise bad("timeout")
        at = now + timedelta(seconds=int(seconds)) if int(seconds) else None
        self._exchange.cancels_all_at = at
        return {"currentTime": _stamp(now), "triggerTime": _stamp(at) if at else "0"}

    def _cancel(self, order: Booked) -> None:
        now = self._exchange.now
        self._exchange.cancel(order.txid)
        self._limits.cancel(order.ticket.listing.symbol, now - order.opened_at, now)

    def _named(self, form: Form) -> Booked:
        """The open order that a form names."""
        cl_ord_id = form.get("cl_ord_id")
        if cl_ord_id:
            found = self._exchange.by_client_id(cl_ord_id)
        else:
            found = self._exchange.orders.get(form.get("txid", ""))
        if found is None or not found.is_open:
            raise Declined("EOrder:Unknown order")
        return found


def _edited(form: Form, order: Booked) -> dict[str, str]:
    """The form of a new order that is `order`, but for what `form` asks."""
    ticket = order.ticket
    kept = {
        "pair": ticket.listing.pair,
        "type": ticket.side,
        "ordertype": ticket.kind,
        "volume": f"{ticket.quantity - order.filled:f}",
        **_price_texts(ticket),
        "leverage": str(ticket.leverage or "none"),
        "reduce_only": "true" if ticket.reduce_only else "false",
        "oflags": "post" if ticket.post_only else "",
    }
    asked = {name: form[name] for name in ("volume", "price", "price2", "oflags") if name in form}
    return kept | asked | ({"validate": form["validate"]} if "validate" in form else {})


def _price_texts(ticket: Ticket) -> dict[str, str]:
    """The prices of a ticket as a form names them."""
    if ticket.trail is not None:
        limit = ticket.trail.limit
        return {"price": ticket.trail.trigger.text, "price2": limit.text if limit else ""}
    first, second = ticket.limit, ticket.trigger
    if ticket.kind.waits:
        first, second = ticket.trigger, ticket.limit
    return {"price": f"{first:f}" if first else "", "price2": f"{second:f}" if second else ""}


def _stamp(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")

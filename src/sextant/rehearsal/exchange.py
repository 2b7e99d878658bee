"""The exchange itself: one account's orders against a market, as Kraken takes and ends them.

No I/O and no waiting: whoever serves it says when it is. What happens to an order is told to the
listeners at once, in order, before the call that caused it returns.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from data.instrument import Price, Quantity, Symbol
from execution.book_matching import BookMatching, Moment, crosses
from execution.exact import EXACT
from execution.fill import Fill
from execution.order import OrderStatus
from execution.paper_terms import PaperTerms
from execution.venue import OrderChanged
from execution.venue_state import VenueFact
from sextant.rehearsal import liquidation
from sextant.rehearsal.account import Account, NotListed
from sextant.rehearsal.booked import (
    Booked,
    Execution,
    OwnTrade,
    Status,
    amended,
    core_order,
    kraken_words,
)
from sextant.rehearsal.listing import Fees, Register
from sextant.rehearsal.market import MarketTrade, PairMarket, Print
from sextant.rehearsal.order_form import Close, Declined, OrderType, Ticket, TimeInForce
from sextant.rehearsal.wallet import Entry, Wallet, needs

_ZERO: Final = Decimal(0)
_NOTHING: Final = Quantity(_ZERO)
_INSTANT: Final = timedelta(microseconds=1)
_BASE32: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_ENDED: Final = frozenset({OrderStatus.CANCELLED, OrderStatus.REJECTED})
_TOLD: Final = {
    Status.CLOSED: "filled",
    Status.CANCELED: "canceled",
    Status.EXPIRED: "expired",
}


class Exchange:
    """One account on the market of `markets`; `seed` makes the ids.

    It opens with `balances` at `opened_at`; or it goes on with `account`, and `markets` are then as
    they were at `account.at`. Our fills are no trades of the market's: they move no price.

    Raises:
        NotListed: `account` has an open order for what is not listed here.
    """

    def __init__(
        self,
        *,
        register: Register,
        markets: Mapping[Symbol, PairMarket],
        balances: Mapping[str, Decimal],
        fees: Fees,
        seed: int,
        opened_at: datetime,
        account: Account | None = None,
    ) -> None:
        self.register = register
        self.markets = markets
        self.fees = fees
        opening = balances if account is None else {}
        self.wallet = Wallet(opening, fees=fees, at=opened_at)
        self.orders: dict[str, Booked] = {}  # ever
        self.trades: dict[str, OwnTrade] = {}
        self.listeners: list[Callable[[Execution], None]] = []
        self.balance_listeners: list[Callable[[Sequence[Entry]], None]] = []
        self.now = opened_at
        self.stamped = opened_at  # the last instant given out
        self.cancels_all_at: datetime | None = None  # the dead man's switch
        self._open: dict[str, Booked] = {}
        self._unmet: set[Symbol] = set()  # where something has arrived in the book
        self._salt = f"{seed}"
        self.ids: defaultdict[str, int] = defaultdict(int)  # given out, by their first letter
        self._entries_told = len(self.wallet.entries)
        self._matching = BookMatching(
            venue="rehearsal",
            instruments=register.instruments,
            terms=_terms(fees),
            books=self.wallet,
        )
        for symbol in markets:
            self._match(symbol)
        if account is not None:
            self._restore(account)

    def _restore(self, account: Account) -> None:
        self.now, self.stamped = account.at, account.stamped
        self.ids.update(account.counters.ids)
        self.cancels_all_at = account.counters.cancels_all_at
        self.orders, self.trades = account.orders, account.trades
        self._open = {txid: order for txid, order in self.orders.items() if order.is_open}
        for order in self._open.values():
            symbol = order.ticket.listing.symbol
            if symbol not in self.markets:
                raise NotListed(f"the account has an order in {symbol}, which is not listed here")
        self.wallet.restore(account.entries, account.lots)
        self._entries_told = len(self.wallet.entries)
        for order in self.orders.values():
            if order.ticket.leverage is not None:
                self.wallet.borrow(order.txid, order.ticket.leverage)
        in_book = sorted((o for o in self._open.values() if not o.waits), key=_arrived_at)
        self._matching.restore(
            (trade.fill for trade in self.trades.values()),
            ((core_order(o.txid, o.ticket, _arrived_at(o)), o.filled) for o in in_book),
        )
        for order in in_book:
            self._hold(order)

    # What the account asks

    def add(self, ticket: Ticket) -> Booked | None:
        """Take an order on and let it fill; None where it was only to be validated.

        Raises:
            Declined: it is refused.
        """
        if ticket.cl_ord_id is not None and self.by_client_id(ticket.cl_ord_id) is not None:
            raise Declined("EOrder:Duplicate order")
        txid = self._new_id("O")
        ticket = self._placed_at(ticket)
        try:
            self._require_acceptable(txid, ticket)
        except Declined:
            self.wallet.forget(txid)
            raise
        if ticket.validate:
            self.wallet.forget(txid)
            return None
        order = Booked(txid=txid, ticket=ticket, opened_at=self._instant())
        self._take_on(order)
        self._match(ticket.listing.symbol)
        if order.is_open and ticket.time_in_force is TimeInForce.IOC:
            self._end(order, Status.CANCELED, "Immediate or cancel")
        elif order.is_open and ticket.kind is OrderType.MARKET:
            self._end(order, Status.CANCELED, "Out of liquidity")
        return order

    def cancel(self, txid: str) -> None:
        """End an open order.

        Raises:
            Declined: there is none.
        """
        self._end(self._known(txid), Status.CANCELED, "User requested")

    def cancel_all(self, *, reason: str = "User requested") -> int:
        """End every open order, protective stops and those of others' making too; how many."""
        count = 0
        for order in self.open_orders():
            if order.is_open:  # the end of one may be that of another
                self._end(order, Status.CANCELED, reason)
                count += 1
        return count

    def amend(
        self,
        txid: str,
        *,
        quantity: Quantity | None = None,
        limit: Price | None = None,
        trigger: Price | None = None,
        post_only: bool = False,
    ) -> str:
        """Change an open order in place; the amendment's id. What is filled stays filled.

        One that is to be no larger than what has filled ends. Source: docs.kraken.com, "Amend
        Order".

        Raises:
            Declined: there is none, or it could not be placed so.
        """
        order = self._known(txid)
        if quantity is not None and order.filled and quantity <= order.filled:
            order.ticket = replace(order.ticket, quantity=Quantity(order.filled))
            self._end(order, Status.CANCELED, "User requested")
            return self._new_id("T")
        changed = amended(order, quantity, limit, trigger, post_only=post_only)
        self._require_acceptable(txid, changed, filled=order.filled)
        order.ticket = changed
        self._tell("amended", order)
        symbol = changed.listing.symbol
        if not order.waits:
            self._digest(
                self._matching.amend(
                    txid, self._instant(), quantity=changed.quantity, limit=changed.limit
                )
            )
            self._hold(order)
        self._match(symbol)
        return self._new_id("T")

    def _placed_at(self, ticket: Ticket) -> Ticket:
        """The ticket with the prices that an order which trails begins with."""
        if ticket.trail is None:
            return ticket
        last = self.markets[ticket.listing.symbol].last
        trigger, limit = ticket.trail.prices(last, ticket.side, ticket.listing)
        return replace(ticket, trigger=trigger, limit=limit)

    def trailing(self) -> list[Booked]:
        """The open orders whose triggers move with the market, without anybody being told."""
        return [o for o in self._open.values() if o.waits and o.ticket.trail is not None]

    def open_orders(self) -> list[Booked]:
        return list(self._open.values())

    def by_client_id(self, cl_ord_id: str) -> Booked | None:
        """The open order of that client id: only among these is it unique."""
        return next((o for o in self._open.values() if o.ticket.cl_ord_id == cl_ord_id), None)

    @property
    def prices(self) -> dict[Symbol, Price]:
        return {symbol: market.last for symbol, market in self.markets.items()}

    # Time and the market

    def pass_time(self, now: datetime) -> None:
        """Make it `now`: fire the dead man's switch, end what has expired, charge rollover."""
        self.now = max(self.now, now)
        if self.cancels_all_at is not None and self.now >= self.cancels_all_at:
            self.cancels_all_at = None
            self.cancel_all(reason="Cancel all orders after timeout")
        for order in self.open_orders():
            expires_at = order.ticket.expires_at
            if order.is_open and expires_at is not None and expires_at <= self.now:
                self._end(order, Status.EXPIRED, "Order expired")
        self.wallet.roll_over(self.now)
        self._tell_balances()

    def trade(self, symbol: Symbol, trade: MarketTrade) -> Print:
        """Let others trade: what that sets off, what of ours it fills, and what it liquidates."""
        self.pass_time(trade.at)
        made = self.markets[symbol].take(trade)
        self._match(symbol, trade.quantity)
        self._liquidate_if_due()
        return made

    def _liquidate_if_due(self) -> None:
        """End at market what can no longer be carried; what is left waits for the next trade."""
        lot = liquidation.due(self.wallet, self.prices)
        if lot is None:
            return
        listing = self.markets[lot.opened_by.symbol].listing
        ticket = liquidation.ticket_of(lot, self.wallet, listing)
        txid, at = self._new_id("O"), self._instant()
        order = Booked(txid=txid, ticket=ticket, opened_at=at, liquidates=True)
        self._take_on(order)
        self._match(listing.symbol)
        if order.is_open:
            self._end(order, Status.CANCELED, "Out of liquidity")

    def _match(self, symbol: Symbol, volume: Quantity = _NOTHING) -> None:
        """Let the market as it stands fill what it can, and set off what waits for its price."""
        self._unmet.add(symbol)
        while symbol in self._unmet:
            self._unmet.discard(symbol)
            self._digest(self._matching.meet(self._moment(symbol, volume)))
            volume = _NOTHING
            for order in self._waiting(symbol):
                order.follow(self.markets[symbol].last)
                if order.is_set_off(self.markets[symbol].last):
                    self._release(order)
        self._drop_idle(symbol)
        self._tell_balances()

    def _moment(self, symbol: Symbol, volume: Quantity) -> Moment:
        market = self.markets[symbol]
        return Moment(
            symbol=symbol, at=self._instant(), last=market.last, volume=volume, book=market.book
        )

    def _waiting(self, symbol: Symbol) -> list[Booked]:
        return [o for o in self._open.values() if o.waits and o.ticket.listing.symbol == symbol]

    def _release(self, order: Booked) -> None:
        """Put an order whose trigger was reached in the book."""
        order.triggered_at = self._instant()
        self._tell("status", order)
        self._put_in_book(order)

    def _drop_idle(self, symbol: Symbol) -> None:
        """End what waits to reduce a position that is no longer there."""
        for order in self._waiting(symbol):
            if order.ticket.reduce_only and not self.wallet.reducible(symbol, order.ticket.side):
                self._end(order, Status.CANCELED, "EOrder:Reduce only:No position exists")

    # What becomes of orders

    def _known(self, txid: str) -> Booked:
        order = self._open.get(txid)
        if order is None:
            raise Declined("EOrder:Unknown order")
        return order

    def _require_acceptable(self, txid: str, ticket: Ticket, *, filled: Decimal = _ZERO) -> None:
        """Raise what the exchange has against an order.

        What an order that waits will spend is looked at when it is set off.
        """
        market = self.markets[ticket.listing.symbol]
        if ticket.reduce_only and ticket.leverage is None:
            raise Declined("EGeneral:Invalid arguments:reduce_only")
        if ticket.quantity * (ticket.limit or ticket.trigger or market.last) < (
            ticket.listing.min_cost
        ):
            raise Declined("EOrder:Cost minimum not met")
        if ticket.post_only:
            _require_resting(ticket, market)
        if ticket.leverage is not None:
            self.wallet.borrow(txid, ticket.leverage)
        if ticket.kind.waits and not ticket.reduce_only:
            return
        left = replace(ticket, quantity=Quantity(ticket.quantity - filled))
        refusal = self._matching.refusal(core_order(txid, left, self._instant()))
        if refusal is not None:
            raise Declined(kraken_words(refusal))

    def _take_on(self, order: Booked) -> None:
        self.orders[order.txid] = self._open[order.txid] = order
        if order.ticket.leverage is not None:
            self.wallet.borrow(order.txid, order.ticket.leverage)
        self._tell("pending_new", order)
        self._tell("new", order)
        if not order.waits:
            self._put_in_book(order)

    def _put_in_book(self, order: Booked) -> None:
        at = self._instant()
        core = core_order(order.txid, order.ticket, at, liquidates=order.liquidates)
        self._digest(self._matching.place(core, at))
        self._hold(order)
        self._unmet.add(order.ticket.listing.symbol)

    def _digest(self, facts: Sequence[VenueFact]) -> None:
        for fact in facts:
            match fact:
                case Fill():
                    self._book(fact)
                case OrderChanged() if fact.order.status in _ENDED:
                    order = self.orders[fact.order.client_order_id]
                    self._close(order, Status.CANCELED, kraken_words(fact.reason))

    def _book(self, fill: Fill) -> None:
        order = self.orders[fill.client_order_id]
        trade = OwnTrade(
            txid=self._new_id("T"),
            number=len(self.trades) + 1,
            order=order.txid,
            fill=fill,
            leverage=order.ticket.leverage,
        )
        self.trades[trade.txid] = trade
        order.trades.append(trade.txid)
        order.filled = EXACT.add(order.filled, fill.quantity)
        order.cost = EXACT.add(order.cost, EXACT.multiply(fill.quantity, fill.price))
        order.fee = EXACT.add(order.fee, fill.fee)
        self._hold(order)
        self._tell("trade", order, trade)
        if order.filled == order.ticket.quantity:
            self._close(order, Status.CLOSED, "")
        if order.ticket.close is not None:
            self._attach(order, order.ticket.close, fill)

    def _attach(self, parent: Booked, close: Close, fill: Fill) -> None:
        """Take on what a fill of `parent` brings into being; from here on it is on its own."""
        ticket = replace(
            parent.ticket,
            side=parent.ticket.side.opposite,
            kind=close.kind,
            quantity=fill.quantity,
            trigger=close.trigger,
            limit=close.limit,
            reduce_only=False,
            post_only=False,
            time_in_force=TimeInForce.GTC,
            expires_at=None,
            close=None,
            cl_ord_id=None,
        )
        txid, at = self._new_id("O"), self._instant()
        self._take_on(Booked(txid=txid, ticket=ticket, opened_at=at, parent=parent.txid))

    def _end(self, order: Booked, status: Status, reason: str) -> None:
        self._close(order, status, reason)
        self._digest(self._matching.cancel(order.txid, self._instant(), reason=reason))

    def _close(self, order: Booked, status: Status, reason: str) -> None:
        """Note that an order is over, once."""
        if self._open.pop(order.txid, None) is None:
            return
        order.status, order.reason, order.closed_at = status, reason, self._instant()
        self.wallet.release(order.txid)
        self._tell(_TOLD[status], order)

    def _hold(self, order: Booked) -> None:
        """Set aside what a spot order in the book would spend."""
        ticket = order.ticket
        if ticket.leverage is not None or ticket.limit is None:
            return
        left = EXACT.subtract(ticket.quantity, order.filled)
        fee = EXACT.multiply(EXACT.multiply(left, ticket.limit), self.fees.maker)
        asset, amount = needs(ticket.listing.symbol, ticket.side, left, ticket.limit, fee)
        self.wallet.hold(order.txid, asset, amount)

    # Telling

    def _tell(self, kind: str, order: Booked, trade: OwnTrade | None = None) -> None:
        happened = Execution(kind=kind, order=order, at=self._instant(), trade=trade)
        for listener in tuple(self.listeners):
            listener(happened)

    def _tell_balances(self) -> None:
        entries = self.wallet.entries[self._entries_told :]
        self._entries_told = len(self.wallet.entries)
        if entries:
            for listener in tuple(self.balance_listeners):
                listener(entries)

    def _instant(self) -> datetime:
        """The present, or so little later that it is later than the last one."""
        self.stamped = max(self.stamped + _INSTANT, self.now)
        return self.stamped

    def _new_id(self, letter: str) -> str:
        """An id as Kraken makes them: OABCDE-FGHIJ-KLMNOP."""
        self.ids[letter] += 1
        seed = f"{self._salt}:{letter}:{self.ids[letter]}".encode()
        digest = hashlib.blake2b(seed, digest_size=16).digest()
        text = "".join(_BASE32[byte % 32] for byte in digest)
        return f"{letter}{text[:5]}-{text[5:10]}-{text[10:16]}"


def _arrived_at(order: Booked) -> datetime:
    """When an order came into the book."""
    return order.triggered_at or order.opened_at


def _terms(fees: Fees) -> PaperTerms:
    return PaperTerms(
        maker_fee=fees.maker,
        taker_fee=fees.taker,
        spread_bps=_ZERO,
        slippage_bps=_ZERO,
        latency=timedelta(0),
        participation=None,
    )


def _require_resting(ticket: Ticket, market: PairMarket) -> None:
    """Raise where a post-only order would take."""
    if ticket.limit is None or ticket.kind.waits:
        raise Declined("EGeneral:Invalid arguments:oflags")
    if crosses(market.book, ticket.side, ticket.limit):
        raise Declined("EOrder:Post only order")

"""Kraken spot and margin as an `Exchange` of `ccxt_venue`.

Orders go over REST alone: over the socket ccxt puts `validate` and `margin` where Kraken does not
look for them, and a trial would be a real order. Answers are read as Kraken wrote them, never as
ccxt's floats, and an amendment's id is never taken for an order's.
"""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, Final

from data.clock import Clock
from data.faults import Fault
from data.feeds.kraken import instrument
from data.instrument import Instrument, Price, Quantity, Symbol
from execution.charge import Charge
from execution.fill import Fill
from execution.order import Order
from execution.rounding import Rounding
from execution.venue import (
    OrderChanged,
    OrderRefused,
    OutcomeUnknown,
    VenueEvent,
    VenueUnavailable,
)
from execution.venues.answers import FAILURES, KeyRefused, reading, require_listed
from execution.venues.heard import Heard, StillThere
from execution.venues.kraken_answers import (
    asking_fault,
    is_over_limit,
    is_unknown_order,
    may_be_duplicate,
    placing_fault,
    remedy,
)
from execution.venues.kraken_balances import balances_told
from execution.venues.kraken_executions import PARENT, Executions, Untold
from execution.venues.kraken_ledger import KrakenLedger
from execution.venues.kraken_limits import KrakenLimits
from execution.venues.kraken_line import KrakenLine
from execution.venues.kraken_names import Names
from execution.venues.kraken_orders import KrakenOrders
from execution.venues.kraken_wire import (
    LIQUIDATED,
    Form,
    Json,
    Terms,
    Ticket,
    amend_form,
    borrowed,
    fill_of_row,
    ticket_of,
    wire_form,
)

_RESTARTS: Final = 5  # of reading a history that grows while it is read
_SLOWEST: Final = timedelta(seconds=60)  # an order without a deadline of ours
_SLACK: Final = timedelta(seconds=2)  # between Kraken's clock and ours
_LONGEST_ARMED: Final = timedelta(days=1)
_SOONEST_EXPIRY: Final = timedelta(seconds=5)
"""Kraken's `expiretm` lies five seconds ahead or more. Source: docs.kraken.com, "Add Order"."""
_MONEY: Final = frozenset({"AUD", "CAD", "CHF", "EUR", "GBP", "JPY", "USD"})
_ROUNDED: Final = Rounding(amount=Decimal("1e-8"))
_ROUNDED_MONEY: Final = Rounding(amount=Decimal("1e-4"))
_MAY_WITHDRAW: Final = "withdraw"
_UNREADABLE: Final = (ArithmeticError, LookupError, TypeError, ValueError)


class KrakenExchange:
    """One account at Kraken; its questions raise `VenueUnavailable`, or `KeyRefused` for good.

    A stop attached to an entry is Kraken's conditional close. It appears with the first fill, one
    order for each, all told as one. Kraken does not hold them to reducing: on margin, one that
    outlives its position opens another, so whoever is flat cancels it. Without `attach_stops`
    protection places reduce-only stops of its own.

    Args:
        since: Fills are numbered from here on; the same in every life of an account's books.
        attach_stops: Whether an entry takes its stop along.
    """

    name = "kraken"
    soonest_expiry = _SOONEST_EXPIRY
    beats = True

    def __init__(
        self,
        line: KrakenLine,
        *,
        terms: Terms,
        clock: Clock,
        limits: KrakenLimits,
        since: datetime,
        attach_stops: bool = True,
    ) -> None:
        self.attaches_stops = attach_stops
        self._line = line
        self._terms = terms
        self._clock = clock
        self._limits = limits
        self._since = since
        self._names = Names()
        self._orders = KrakenOrders(line, self._names, since=since)
        self._ledger = KrakenLedger(line, listed=self._orders.listed, since=since)

    # What the account is, and may

    def holds_targets(self, symbol: Symbol) -> bool:
        """On margin, where the stops are reduce-only orders of ours.

        On spot Kraken takes one order at most for what is held; and two that close an entry could
        turn it, as a conditional close is not held to reducing.
        """
        return symbol in self._terms.leverage and not self.attaches_stops

    async def require_safe_key(self) -> None:
        """Raise unless Kraken says that our key cannot withdraw.

        Raises:
            KeyRefused: it can, or Kraken does not say.
        """
        told = await self._line.ask("GetApiKeyInfo")
        permissions = told.get("permissions") if isinstance(told, dict) else None
        if not isinstance(permissions, list) or not permissions:
            raise KeyRefused(
                "kraken: the key's permissions are not told, so it is not used; make one that may "
                "query funds and the ledger, and query, create and cancel orders, and nothing else"
            )
        if can := [right for right in permissions if _MAY_WITHDRAW in str(right).lower()]:
            raise KeyRefused(f"kraken: the key can {', '.join(can)}; use one that cannot")

    async def instruments(self, symbols: Sequence[Symbol]) -> dict[Symbol, Instrument]:
        """The grid, the minimums and the leverage of each, as Kraken has them now.

        Raises:
            NotTraded: Kraken does not list one.
        """
        pairs = await self._line.pairs(anew=True)
        require_listed("kraken", symbols, pairs)
        with reading("kraken AssetPairs"):
            return {symbol: instrument(symbol, pairs[symbol]) for symbol in symbols}

    async def taker_fees(self, symbols: Sequence[Symbol]) -> dict[Symbol, Decimal]:
        """What a taker pays by the volume of thirty days; Kraken tells percentages."""
        pairs = await self._line.pairs()
        ids = {symbol: str(pairs[symbol]["id"]) for symbol in symbols}
        told = await self._line.ask("TradeVolume", {"pair": ",".join(ids.values())})
        with reading("kraken TradeVolume"):
            fees = told["fees"]
            return {symbol: Decimal(fees[pair]["fee"]) / 100 for symbol, pair in ids.items()}

    # Orders

    async def place(self, order: Order, *, expires_within: timedelta | None = None) -> None:
        if self.attaches_stops and order.stop is not None:
            self._names.expect_stop(order.client_order_id)
        result = await self._add(order, validate=False, expires_within=expires_within)
        try:
            (txid,) = result["txid"]
        except _UNREADABLE as error:
            raise OutcomeUnknown(f"kraken AddOrder: {order.client_order_id}: no txid") from error
        self._names.learn(txid, own=order.client_order_id, parent=None)
        rests_in = order.symbol if order.rests else None
        self._limits.was_placed(order.client_order_id, self._clock.now(), rests_in=rests_in)

    async def check(self, order: Order) -> None:
        """Have Kraken look at `order` as it would be placed, and place nothing.

        Raises:
            NoFunds: nothing but the money for it is missing.
            OrderRefused: it would be refused, or was placed all the same, and is cancelled.
            VenueUnavailable, OutcomeUnknown: Kraken did not look.
        """
        result = await self._add(order, validate=True)
        if result.get("txid"):
            await self.cancel(order.client_order_id)
            raise OrderRefused(f"kraken AddOrder: {order.client_order_id}: placed, not validated")

    async def last_price(self, symbol: Symbol) -> Price:
        pair = (await self._line.pairs()).get(symbol)
        if pair is None:
            raise OrderRefused(f"kraken: no market {symbol}")
        return Price(await self._line.last_price(str(pair["id"])))

    def remedy(self, refusal: OrderRefused, symbol: Symbol) -> str:
        return remedy(str(refusal), symbol)

    def arrives_until(self) -> datetime:
        return self._clock.now() + (self._terms.deadline or _SLOWEST) + _SLACK

    async def cancel(self, client_order_id: str) -> None:
        for who in await self._orders.working(client_order_id):
            await self._cancel(who, client_order_id)

    async def amend(
        self,
        client_order_id: str,
        *,
        trigger: Price | None = None,
        limit: Price | None = None,
        quantity: Quantity | None = None,
        post_only: bool = False,
    ) -> None:
        """Change an open order in place: it keeps its ids, and the amendment has one of its own.

        Raises:
            OrderRefused: it is not open, or cannot be so.
            VenueUnavailable, OutcomeUnknown: as for `place`; ask for the order.
        """
        symbol = await self._orders.symbol_of(client_order_id)
        if symbol is None:
            raise OrderRefused(f"kraken AmendOrder: {client_order_id}: there is no such order")

        def form() -> Form:
            return {"cl_ord_id": client_order_id} | amend_form(
                trigger=trigger,
                limit=limit,
                quantity=quantity,
                post_only=post_only,
                deadline=self._terms.deadline_at(self._clock.now()),
            )

        await self._limits.amend(symbol, client_order_id)
        try:
            await self._line.send("AmendOrder", form)
        except FAILURES as error:
            raise self._placing_fault(error, "AmendOrder", client_order_id, symbol) from error

    async def order(self, client_order_id: str) -> OrderChanged | None:
        return await self._orders.change(client_order_id)

    async def open_orders(self) -> Sequence[OrderChanged]:
        return await self._orders.open()

    # Fills, charges and balances

    async def fills(self, *, after: int) -> Sequence[Fill]:
        rows, count = await self._trades(lambda rows, count: len(rows) >= count - after)
        first = count - len(rows)
        return await self._fills(_in_order(rows)[max(after - first, 0) :])

    async def latest_fills(self, known: Callable[[str], bool]) -> Sequence[Fill]:
        rows, _ = await self._trades(lambda rows, _: any(known(txid) for txid in rows))
        return await self._fills(_in_order(rows))

    async def charges(self, *, since: datetime | None) -> Sequence[Charge]:
        """Fees for margin beside those of the fills; on spot there are none to ask for."""
        return await self._ledger.charges(since) if self._terms.leverage else ()

    async def balances(self) -> Mapping[str, Decimal]:
        """Balances with the open margin positions in them, as if each had been bought and paid."""
        told = await self._line.ask("Balance")
        await self._line.pairs()
        with reading("kraken Balance"):
            held = {self._line.asset_of(name): Decimal(text) for name, text in told.items()}
        if self._terms.leverage:
            for asset, amount in (await self._borrowed()).items():
                held[asset] = held.get(asset, Decimal(0)) + amount
        return held

    def rounding(self, asset: str) -> Rounding:
        """Kraken's `decimals` of an asset: four of money that states issue, eight or more else."""
        return _ROUNDED_MONEY if asset in _MONEY else _ROUNDED

    # The dead man's switch

    async def arm(self, within: timedelta) -> None:
        """Have Kraken cancel every open order of the account `within` this, unless armed again.

        Every order: protective stops, and those that others have placed. Arm it only where the
        account has neither; elsewhere entries end there by themselves (`place`, `expires_within`).

        Raises:
            ValueError: less than a second, or more than a day.
        """
        if not timedelta(seconds=1) <= within <= _LONGEST_ARMED:
            raise ValueError(f"Kraken's switch takes 1 s to 1 day, not {within}")
        seconds = str(int(within.total_seconds()))
        await self._line.ask("CancelAllOrdersAfter", {"timeout": seconds})

    async def disarm(self) -> None:
        """Take the switch back."""
        await self._line.ask("CancelAllOrdersAfter", {"timeout": "0"})

    # The stream

    async def listen(self) -> AsyncGenerator[Heard, None]:
        await self._line.pairs()
        executions, sequences = Executions(self._names), dict[str, int]()
        async with self._line.stream() as inbox:
            while True:
                try:
                    message = await inbox.get()
                except Fault as fault:
                    raise asking_fault(fault, "kraken executions") from fault
                channel = str(message.get("channel"))
                if channel == "heartbeat":
                    yield StillThere()
                    continue
                _follow(sequences, channel, message)
                if channel == "balances":
                    with reading("kraken balances"):
                        told_balances = [*balances_told(message, self._clock.now())]
                    for balance in told_balances:
                        yield balance
                    continue
                for row in await self._rows_of(message):
                    with reading("kraken executions"):
                        told = list(executions.take(row))
                    for event in told:
                        said = await self._said(event)
                        if said is None:
                            continue
                        if isinstance(said, OrderChanged) and said.order.status.is_final:
                            self._limits.has_ended(said.order.client_order_id)
                        yield said

    async def hang_up(self) -> None:
        await self._line.hang_up()

    async def close(self) -> None:
        await self._line.close()

    # Below: how it is asked

    async def _rows_of(self, message: Json) -> Sequence[Json]:
        """What a message of the stream tells of orders, once it is known whose they are."""
        with reading("kraken executions"):
            rows = list(message["data"])
            parents = {row.get(PARENT) for row in rows} - {None}
        await self._orders.learn(parents)
        return rows

    async def _said(self, event: VenueEvent | Untold) -> VenueEvent | None:
        if isinstance(event, Untold):
            return await self._orders.change(event.client_order_id)
        return event

    async def _add(
        self, order: Order, *, validate: bool, expires_within: timedelta | None = None
    ) -> Any:
        client_order_id, symbol = order.client_order_id, order.symbol
        pairs = await self._line.pairs()
        pair = pairs.get(symbol)
        if pair is None:
            raise OrderRefused(f"kraken: {client_order_id}: no market {symbol}")
        self._orders.remember(client_order_id, symbol)
        grid = instrument(symbol, pair)
        ticket = partial(self._ticket, order, grid, expires_within, validate=validate)
        ticket()  # refuse before a budget is spent
        await self._limits.place(symbol, reduces=order.reduce_only, rests=order.rests)
        try:
            return await self._line.send(
                "AddOrder",
                lambda: wire_form(ticket(), str(pair["id"])),
            )
        except FAILURES as error:
            if may_be_duplicate(error):
                return await self._duplicate(order, error)
            raise self._placing_fault(error, "AddOrder", client_order_id, symbol) from error

    def _ticket(
        self, order: Order, grid: Instrument, expires_within: timedelta | None, *, validate: bool
    ) -> Ticket:
        return ticket_of(
            order,
            grid,
            self._terms,
            now=self._clock.now(),
            attach_stop=self.attaches_stops,
            expires_within=expires_within,
            validate=validate,
        )

    async def _duplicate(self, order: Order, error: Exception) -> Json:
        """Kraken seems to have the order already; it does if it shows it."""
        client_order_id = order.client_order_id
        try:
            rows = await self._orders.find(client_order_id)
        except VenueUnavailable as fault:
            raise OutcomeUnknown(f"kraken AddOrder: {client_order_id}: {error}") from fault
        if not rows:
            raise OutcomeUnknown(f"kraken AddOrder: {client_order_id}: {error}") from error
        return {"txid": list(rows)[:1]}

    def _placing_fault(
        self, error: BaseException, method: str, client_order_id: str, symbol: Symbol
    ) -> Fault:
        if is_over_limit(error):
            self._limits.rest(symbol)
        return placing_fault(error, f"kraken {method}: {client_order_id}")

    async def _cancel(self, who: Form, client_order_id: str) -> None:
        symbol = await self._orders.symbol_of(client_order_id)
        if symbol is None:
            return
        await self._limits.cancel(symbol, client_order_id)
        try:
            await self._line.send("CancelOrder", lambda: dict(who))
        except FAILURES as error:
            if is_unknown_order(error):
                return
            if is_over_limit(error):
                self._limits.rest(symbol)
            raise asking_fault(error, f"kraken CancelOrder: {client_order_id}") from error

    async def _trades(
        self, enough: Callable[[Mapping[str, Json], int], bool]
    ) -> tuple[dict[str, Json], int]:
        """The latest trades, back to where it is `enough`, and how many there are in all.

        Begun anew when there are more of them than when it began: pages shift.
        """
        for _ in range(_RESTARTS):
            rows: dict[str, Json] = {}
            page, count = await self._page(0)
            expected = count
            while True:
                rows |= page
                if not page or len(rows) >= count or enough(rows, count) or count != expected:
                    break
                page, count = await self._page(len(rows))
            if count == expected:
                return rows, count
        raise VenueUnavailable("kraken TradesHistory: it grows faster than it can be read")

    async def _page(self, offset: int) -> tuple[dict[str, Json], int]:
        query: Form = {"start": str(int(self._since.timestamp())), "ofs": str(offset)}
        told = await self._line.ask("TradesHistory", query)
        await self._line.pairs()
        with reading("kraken TradesHistory"):
            rows = dict(told["trades"])
            self._ledger.learn_trades(rows)
            return rows, int(told["count"])

    async def _fills(self, rows: Sequence[tuple[str, Json]]) -> list[Fill]:
        await self._line.pairs()
        with reading("kraken TradesHistory"):
            orders = {str(row["ordertxid"]) for _, row in rows}
        await self._orders.learn(orders)
        with reading("kraken TradesHistory"):
            return [
                self._fill(txid, row, symbol)
                for txid, row in rows
                if (symbol := self._orders.listed(row["pair"])) is not None
            ]

    def _fill(self, txid: str, row: Json, symbol: Symbol) -> Fill:
        order = row["ordertxid"]
        return fill_of_row(
            txid,
            row,
            symbol,
            client_order_id=self._names.name(order),
            forced=LIQUIDATED if self._names.is_forced(order) else "",
        )

    async def _borrowed(self) -> dict[str, Decimal]:
        rows = await self._line.ask("OpenPositions")
        with reading("kraken OpenPositions"):
            self._ledger.learn_positions(rows)
            pairs = {str(row["pair"]) for row in rows.values()}
            symbols = {pair: self._orders.listed(pair) for pair in pairs}
            listed = {pair: symbol for pair, symbol in symbols.items() if symbol is not None}
            return borrowed(rows, listed)


def _in_order(rows: Mapping[str, Json]) -> list[tuple[str, Json]]:
    """Oldest first; trades of the same time by their numbers, which count each pair's."""
    return sorted(
        rows.items(), key=lambda item: (Decimal(item[1]["time"]), item[1].get("trade_id", 0))
    )


def _follow(last: dict[str, int], channel: str, message: Json) -> None:
    """Note the number of `message`, which follows that of its channel's `last`.

    Raises:
        VenueUnavailable: one between them is lost.
    """
    number, before = message.get("sequence"), last.get(channel)
    if before is not None and number is not None and number != before + 1:
        raise VenueUnavailable(f"kraken {channel}: {number} after {before}")
    if number is not None:
        last[channel] = int(number)

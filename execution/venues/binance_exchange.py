"""Binance's USD-M futures, and their testnet, as an `Exchange` of `ccxt_venue`.

Orders and questions go over REST alone; the socket only listens.
"""

import itertools
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from data.clock import Clock
from data.faults import Fault
from data.feeds.binance_wire import instrument
from data.feeds.ccxt_source import as_rows, at_milliseconds
from data.instrument import Instrument, Symbol
from execution.charge import Charge
from execution.fill import Fill
from execution.order import Order
from execution.rounding import Rounding
from execution.venue import (
    OrderChanged,
    OrderRefused,
    OutcomeUnknown,
    VenueUnavailable,
)
from execution.venues.answers import (
    FAILURES,
    KeyRefused,
    reading,
    require_forgotten,
    require_listed,
)
from execution.venues.binance_answers import (
    AccountRefused,
    asking_fault,
    is_set_already,
    is_unknown_order,
    may_be_duplicate,
    placing_fault,
)
from execution.venues.binance_limits import BinanceLimits
from execution.venues.binance_line import BinanceLine
from execution.venues.binance_names import Names
from execution.venues.binance_orders import BinanceOrders
from execution.venues.binance_rows import (
    FUNDING,
    INSURANCE,
    Json,
    balances_told,
    charge_of_row,
    conditional_of_row,
    fill_of_row,
    holdings,
    milliseconds,
    placed_by,
    windows,
)
from execution.venues.binance_wire import (
    SOONEST_EXPIRY,
    Form,
    Terms,
    Ticket,
    ticket_of,
    wire_form,
)
from execution.venues.heard import Heard

_PAGE: Final = 1_000  # trades, or payments of funding, the most in one answer
_SLACK: Final = timedelta(seconds=2)  # between Binance's clock and ours
_LATE: Final = timedelta(minutes=10)  # a trade can be told so much after it was made
_SETTLED: Final = timedelta(hours=1)  # what is older stays as it was told
_FIRST_LOOK: Final = timedelta(days=1)
_ROUNDED: Final = Rounding(amount=Decimal("1e-8"), entry_price=Decimal("1e-8"))
_SHORTEST_ARMED: Final = timedelta(seconds=1)


class BinanceExchange:
    """One account at Binance; its questions raise `VenueUnavailable`, or `KeyRefused` for good.

    Binance attaches no stop to an entry: one sent beside it may come to rest though the entry does
    not. So protection places its stops, as reduce-only orders of their own.

    Binance tells an account's trades by market, and for half a year. What is traded in markets that
    `terms` do not name is not told here.

    Args:
        since: Fills are numbered from here on; the same in every life of an account's books, and
            not half a year ago.
    """

    attaches_stops = False
    soonest_expiry = SOONEST_EXPIRY
    beats = False

    def __init__(
        self,
        line: BinanceLine,
        *,
        terms: Terms,
        clock: Clock,
        limits: BinanceLimits,
        since: datetime,
    ) -> None:
        self._line = line
        self._terms = terms
        self._clock = clock
        self._limits = limits
        self._since = since
        self._names = Names()
        self._orders = BinanceOrders(line, self._names, terms.leverage.keys())
        self._settled = (since, 0)  # so many fills are older than that
        self._heard_until = clock.now() - _FIRST_LOOK
        self._was_forced = False  # lately: those of a day are looked at when it is opened

    @property
    def name(self) -> str:
        return self._line.name

    # What the account is, and may

    def holds_targets(self, symbol: Symbol) -> bool:
        return True

    async def require_safe_key(self) -> None:
        """Raise unless Binance says that our key can trade futures, and cannot withdraw.

        On the testnet nobody says, and there is nothing to withdraw.

        Raises:
            KeyRefused: it can, or Binance does not say.
        """
        if self._line.testnet:
            return
        told = await self._line.ask("sapiGetAccountApiRestrictions")
        rights = told if isinstance(told, dict) else {}
        if rights.get("enableWithdrawals") is not False:
            state = "can withdraw" if rights.get("enableWithdrawals") else "may be able to withdraw"
            raise KeyRefused(f"{self.name}: the key {state}; use one that cannot")
        if rights.get("enableFutures") is not True:
            raise KeyRefused(f"{self.name}: the key may not trade futures; enable futures for it")

    async def require_one_way(self) -> None:
        """Raise unless each market has one net position: in hedge mode nothing is reduce-only.

        Raises:
            AccountRefused: the account is in hedge mode.
            VenueUnavailable, KeyRefused: it could not be asked.
        """
        told = await self._line.ask("fapiPrivateGetPositionSideDual")
        with reading(f"{self.name} positionSide/dual"):
            is_hedged = told["dualSidePosition"]
        if is_hedged is not False:
            raise AccountRefused(f"{self.name}: the account is in hedge mode; set one-way mode")

    async def apply_terms(self) -> None:
        """Give each market the margin type and the leverage of our terms, where it has others.

        Raises:
            AccountRefused: Binance does not, as it does not while there are orders or positions.
            VenueUnavailable, KeyRefused: try again, or not.
        """
        told = await self._line.ask("fapiPrivateGetSymbolConfig")
        ids = await self._line.market_ids(self._terms.leverage)
        with reading(f"{self.name} symbolConfig"):
            now = {row["symbol"]: (row["marginType"], int(row["leverage"])) for row in told}
            states = {symbol: now[ids[symbol]] for symbol in self._terms.leverage}
        for symbol, (margin, leverage) in states.items():
            market, wished = ids[symbol], self._terms.leverage[symbol]
            if margin != self._terms.margin.value:
                form = {"symbol": market, "marginType": self._terms.margin.value}
                await self._set("fapiPrivatePostMarginType", form)
            if leverage != wished:
                form = {"symbol": market, "leverage": str(wished)}
                await self._set("fapiPrivatePostLeverage", form)

    async def instruments(self, symbols: Sequence[Symbol]) -> dict[Symbol, Instrument]:
        """The grid, the minimums and the most leverage of each, as Binance has them now.

        Raises:
            NotTraded: Binance does not list one.
        """
        listings = await self._line.listings(anew=True)
        require_listed(self.name, symbols, listings)
        found = {}
        for symbol in symbols:
            market = str(listings[symbol]["symbol"])
            told = await self._line.ask("fapiPrivateGetLeverageBracket", {"symbol": market})
            with reading(f"{self.name} leverageBracket"):
                (row,) = (row for row in as_rows(told) if row["symbol"] == market)
                most = max(Decimal(bracket["initialLeverage"]) for bracket in row["brackets"])
                grid = instrument(symbol, listings[symbol])
            found[symbol] = replace(grid, max_leverage=most)
        return found

    async def taker_fees(self, symbols: Sequence[Symbol]) -> dict[Symbol, Decimal]:
        """What a taker pays in each market, before what paying in BNB takes off."""
        fees = {}
        for symbol, market in (await self._line.market_ids(symbols)).items():
            told = await self._line.ask("fapiPrivateGetCommissionRate", {"symbol": market})
            with reading(f"{self.name} commissionRate"):
                fees[symbol] = Decimal(told["takerCommissionRate"])
        return fees

    # Orders

    async def place(self, order: Order, *, expires_within: timedelta | None = None) -> None:
        client_order_id = order.client_order_id
        listing = (await self._line.listings()).get(order.symbol)
        if listing is None or order.symbol not in self._terms.leverage:
            raise OrderRefused(f"{self.name}: {client_order_id}: {order.symbol} is not traded here")
        self._ticket(order, listing, expires_within)  # refuse before a budget is spent
        self._names.expect(order)
        await self._limits.place(reduces=order.reduce_only)
        ticket, market = self._ticket(order, listing, expires_within), str(listing["symbol"])
        kind = "AlgoOrder" if ticket.type.is_conditional else "Order"
        try:
            row = await self._line.send(f"fapiPrivatePost{kind}", wire_form(ticket, market))
        except FAILURES as error:
            if not may_be_duplicate(error):
                raise placing_fault(error, f"{self.name} {kind}: {client_order_id}") from error
            await self._require_there(order, error)
        else:
            self._learn_placed(row, order, kind)

    def arrives_until(self) -> datetime:
        return self._clock.now() + self._terms.receive_window + _SLACK

    async def cancel(self, client_order_id: str) -> None:
        symbol = await self._orders.symbol_of(client_order_id)
        if symbol is None:
            return
        if self._names.is_conditional(client_order_id):
            form = {"clientAlgoId": client_order_id}
            if await self._cancel("fapiPrivateDeleteAlgoOrder", form, client_order_id):
                return
            await self._orders.find(client_order_id)  # it may have placed one
        market = (await self._line.market_ids([symbol]))[symbol]
        placed = self._names.placed(client_order_id)
        who = {"origClientOrderId": client_order_id} if placed is None else {"orderId": str(placed)}
        await self._cancel("fapiPrivateDeleteOrder", {"symbol": market, **who}, client_order_id)

    async def order(self, client_order_id: str) -> OrderChanged | None:
        return await self._orders.find(client_order_id)

    async def open_orders(self) -> Sequence[OrderChanged]:
        return await self._orders.all_open()

    # Fills, charges and balances

    async def fills(self, *, after: int) -> Sequence[Fill]:
        at, count = self._settled if after >= self._settled[1] else (self._since, 0)
        rows = await self._trades(at)
        settled = self._clock.now() - _SETTLED
        if settled > at:
            older = sum(at_milliseconds(row["time"]) < settled for row in rows)
            self._settled = (settled, count + older)
        return await self._fills(rows[max(after - count, 0) :])

    async def latest_fills(self, known: Callable[[str], bool]) -> Sequence[Fill]:
        """The fills since the last call, and of ten minutes before it, `known` or not.

        At the first call, those of a day. It also keeps the stream alive, as it is called often;
        where that fails now there is another half hour for it.
        """
        with suppress(VenueUnavailable):
            await self._line.keep_alive()
        now = self._clock.now()
        rows = await self._trades(max(self._heard_until - _LATE, self._since))
        fills = await self._fills(rows)
        self._heard_until = now
        return fills

    async def charges(self, *, since: datetime | None) -> Sequence[Charge]:
        """Payments of funding, and for liquidations, once there was one; Binance tells those of
        three months."""
        await self._line.listings()
        symbols = self._line.symbols
        start = self._since if since is None else max(since, self._since)
        charges: dict[str, Charge] = {}
        for begin, end in windows(start, self._clock.now() + _LATE):
            rows = await self._income(FUNDING, begin, end)
            if self._was_forced:
                rows += await self._income(INSURANCE, begin, end)
            with reading(f"{self.name} income"):
                listed = [(row, row["symbol"]) for row in rows if row["symbol"] in symbols]
                told = [charge_of_row(row, symbols[market]) for row, market in listed]
            charges |= {charge.charge_id: charge for charge in told}
        return sorted(charges.values(), key=lambda charge: charge.charged_at)

    async def balances(self) -> Mapping[str, Decimal]:
        """The wallet with the open positions in it, as if each had been bought and paid."""
        await self._line.listings()
        told = await self._line.ask("fapiPrivateV3GetAccount")
        with reading(f"{self.name} account"):
            return holdings(told, self._line.symbols)

    def rounding(self, asset: str) -> Rounding:
        """Eight places, and eight or more of average prices, by which it tells positions' costs."""
        return _ROUNDED

    # The dead man's switch

    async def arm(self, within: timedelta) -> None:
        """Have Binance cancel every open order in our markets `within` this, unless armed again.

        Every order: those that others have placed too. Whether conditional orders, and so our
        protective stops, go with them Binance does not say: reckon with it. Arm it only where the
        account has neither; elsewhere entries end there by themselves (`place`, `expires_within`).

        Raises:
            ValueError: less than a second.
            VenueUnavailable: it is not armed everywhere.
        """
        if within < _SHORTEST_ARMED:
            raise ValueError(f"Binance's switch takes 1 s or more, not {within}")
        await self._count_down(within)

    async def disarm(self) -> None:
        """Take the switch back."""
        await self._count_down(timedelta(0))

    # The stream

    async def listen(self) -> AsyncGenerator[Heard, None]:
        await self._line.listings()
        async with self._line.stream() as inbox:
            while True:
                try:
                    message = await inbox.get()
                except Fault as fault:
                    raise asking_fault(fault, self.name) from fault
                with reading(f"{self.name} user data"):
                    heard = [*self._orders.events(message), *balances_told(message)]
                for said in heard:
                    yield said

    async def hang_up(self) -> None:
        self._line.hang_up()

    async def close(self) -> None:
        await self._line.close()

    # Below: how it is asked

    def _ticket(self, order: Order, listing: Json, expires_within: timedelta | None) -> Ticket:
        with reading(f"{self.name} exchangeInfo"):
            grid = instrument(order.symbol, dict(listing))
        now = self._clock.now()
        return ticket_of(order, grid, self._terms, now=now, expires_within=expires_within)

    def _learn_placed(self, row: Any, order: Order, kind: str) -> None:
        """Take in the answer to an order; one that is none leaves open what became of it."""
        try:
            if kind == "Order":
                order_id, market = int(row["orderId"]), str(row["symbol"])
                self._names.learn(market, order_id, order.client_order_id, order.symbol)
            else:
                conditional = conditional_of_row(row, order.symbol)
                self._names.learn_conditional(row["symbol"], conditional, placed_by(row))
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            text = f"{self.name} {kind}: {order.client_order_id}: an unreadable answer"
            raise OutcomeUnknown(text) from error

    async def _require_there(self, order: Order, error: Exception) -> None:
        """Binance seems to have the order already; it does if it shows it."""
        text = f"{self.name}: {order.client_order_id}: {error}"
        try:
            found = await self._orders.find(order.client_order_id)
        except VenueUnavailable as fault:
            raise OutcomeUnknown(text) from fault
        if found is None:
            raise OutcomeUnknown(text) from error

    async def _cancel(self, method: str, form: Form, client_order_id: str) -> bool:
        """Whether it was cancelled: False where no such order is open."""
        await self._limits.ask(method)
        try:
            await self._line.send(method, form)
        except FAILURES as error:
            if is_unknown_order(error):
                return False
            raise asking_fault(error, f"{self.name} {method}: {client_order_id}") from error
        return True

    async def _set(self, method: str, form: Form) -> None:
        await self._limits.ask(method)
        try:
            await self._line.send(method, form)
        except FAILURES as error:
            if is_set_already(error):
                return
            fault = placing_fault(error, f"{self.name} {method} {form}")
            if isinstance(fault, OrderRefused):
                raise AccountRefused(str(fault)) from error
            raise asking_fault(error, f"{self.name} {method} {form}") from error

    async def _count_down(self, within: timedelta) -> None:
        countdown = str(within // timedelta(milliseconds=1))
        for market in (await self._line.market_ids(self._terms.leverage)).values():
            form = {"symbol": market, "countdownTime": countdown}
            await self._line.ask("fapiPrivatePostCountdownCancelAll", form)

    async def _trades(self, since: datetime) -> list[Json]:
        """Our trades of all markets since then, oldest first."""
        until = self._clock.now() + _LATE
        rows: dict[tuple[str, int, int], Json] = {}
        for market in (await self._line.market_ids(self._terms.leverage)).values():
            for begin, end in windows(since, until):
                span = {"startTime": str(milliseconds(begin)), "endTime": str(milliseconds(end))}
                page = await self._page(market, span)
                rows |= page
                while len(page) >= _PAGE:
                    newest = max(trade for _, trade, _ in page)
                    page = await self._page(market, {"fromId": str(newest + 1)})
                    rows |= page
        return [rows[key] for key in sorted(rows, key=lambda key: (rows[key]["time"], key))]

    async def _income(self, kind: str, begin: datetime, end: datetime) -> list[Json]:
        """The rows of a span, page by page: what comes meanwhile is newer, and shifts none."""
        query = {
            "incomeType": kind,
            "startTime": str(milliseconds(begin)),
            "endTime": str(milliseconds(end)),
            "limit": str(_PAGE),
        }
        rows: list[Json] = []
        for number in itertools.count(1):
            page = await self._line.rows("fapiPrivateGetIncome", query | {"page": str(number)})
            rows += page
            if len(page) < _PAGE:
                break
        return rows

    async def _page(self, market: str, query: Form) -> dict[tuple[str, int, int], Json]:
        query = {"symbol": market, "limit": str(_PAGE), **query}
        rows = await self._line.rows("fapiPrivateGetUserTrades", query)
        with reading(f"{self.name} userTrades"):
            return {(market, int(row["id"]), int(row["orderId"])): row for row in rows}

    async def _fills(self, rows: Sequence[Json]) -> list[Fill]:
        fills = []
        for row in rows:
            with reading(f"{self.name} userTrades"):
                market, order_id = str(row["symbol"]), int(row["orderId"])
                symbol, at = self._line.symbols[market], at_milliseconds(row["time"])
            name = await self._orders.name_of(market, order_id)
            if name is None:  # Binance has forgotten it: it goes by its own id
                name = f"{market}-{order_id}"
                require_forgotten(f"{self.name} {name}", filled_at=at, now=self._clock.now())
            with reading(f"{self.name} userTrades"):
                fills.append(fill_of_row(row, symbol, client_order_id=name))
        self._was_forced |= any(fill.forced for fill in fills)
        return fills

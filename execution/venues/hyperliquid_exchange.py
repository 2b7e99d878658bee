"""Hyperliquid's perpetuals as an `Exchange` of `ccxt_venue`.

It attaches no stops. Its own kind (`normalTpsl`) waits until an entry is filled to the last lot,
in the size that was asked for, and ccxt gives entry and stop the same id; so what is filled in
part would stand naked. Protection places reduce-only stops instead.

Nothing at Hyperliquid is known to refuse an id that was used before. So it is asked for an order
before that is placed, and an order that was sent is turned away where it arrives late.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Final

from data.clock import Clock
from data.faults import Fault
from data.feeds.ccxt_source import as_rows, at_milliseconds
from data.instrument import Instrument, Price, Symbol
from execution.charge import Charge
from execution.fill import Fill
from execution.order import Order, OrderStatus
from execution.rounding import Rounding
from execution.venue import (
    OrderChanged,
    OrderRefused,
    OutcomeUnknown,
    VenueEvent,
    VenueUnavailable,
    Withheld,
)
from execution.venues.answers import (
    FAILURES,
    KeyRefused,
    reading,
    require_forgotten,
    require_listed,
)
from execution.venues.heard import Heard
from execution.venues.hyperliquid_answers import (
    Declined,
    asking_fault,
    has_ended,
    may_be_duplicate,
    placing_fault,
)
from execution.venues.hyperliquid_history import FillHistory
from execution.venues.hyperliquid_limits import HyperliquidLimits
from execution.venues.hyperliquid_line import TRANSFERS, HyperliquidLine
from execution.venues.hyperliquid_orders import KnownOrders
from execution.venues.hyperliquid_wire import (
    Action,
    Json,
    Listing,
    Terms,
    balances_of,
    cancel_action,
    charge_of_row,
    fill_of_row,
    handle_of,
    leverage_action,
    middle_of,
    milliseconds,
    name_of,
    order_action,
    switch_action,
    taker_fee_of,
    ticket_of,
    transfers_told,
)

_SLACK: Final = timedelta(seconds=2)  # between Hyperliquid's clock and ours
_ROUNDED: Final = Rounding(amount=Decimal("1e-6"))
_FUNDING_PAGE: Final = 500
_SOONEST_ARMED: Final = timedelta(seconds=5)
_POOLED: Final = frozenset({"unifiedAccount", "portfolioMargin"})


class HyperliquidExchange:
    """One account at Hyperliquid, by an agent's key; its questions raise `VenueUnavailable`.

    Before it signs anything it makes sure that the key is no master's (`require_safe_key`).

    Args:
        since: Fills are numbered from here on; the same in every life of an account's books, and
            not more than 10,000 fills ago, as Hyperliquid tells no older ones.
    """

    name = "hyperliquid"
    attaches_stops = False
    soonest_expiry = None
    beats = False

    def __init__(
        self,
        line: HyperliquidLine,
        *,
        terms: Terms,
        clock: Clock,
        limits: HyperliquidLimits,
        since: datetime,
    ) -> None:
        self._line = line
        self._terms = terms
        self._clock = clock
        self._limits = limits
        self._since = since
        self._history = FillHistory(line, clock=clock, since=since)
        self._is_safe = False
        self._orders = KnownOrders()

    # What the account is, and may

    def holds_targets(self, symbol: Symbol) -> bool:
        return True

    async def require_safe_key(self) -> None:
        """Raise unless the key is an agent's of our account, and the account keeps its own money.

        An agent trades; it cannot withdraw. Where balances are pooled, what we take for the
        account's is not.

        Raises:
            KeyRefused: it is a master's, another account's, or nobody's; or balances are pooled.
            VenueUnavailable: ask again.
        """
        line = self._line
        if line.agent == line.account:
            raise KeyRefused(
                "hyperliquid: the key is the account's own, and can withdraw; use an agent's"
            )
        told = await line.ask("userRole", {"user": line.agent})
        with reading("hyperliquid userRole"):
            role = told["role"]
            master = told["data"]["user"] if role == "agent" else None
        if role != "agent":
            raise KeyRefused(
                f"hyperliquid: {line.agent} is no agent: its role is {role}; approve one"
            )
        if str(master).lower() != line.account:
            raise KeyRefused(
                f"hyperliquid: {line.agent} is an agent of another account than HYPERLIQUID_ACCOUNT"
            )
        pooling = str(await line.ask_of_account("userAbstraction")).strip('"')
        if pooling in _POOLED:
            raise KeyRefused(f"hyperliquid: {line.account} has a {pooling}; use a plain account")
        self._is_safe = True

    async def instruments(self, symbols: Sequence[Symbol]) -> dict[Symbol, Instrument]:
        """The grid, the minimums and the leverage of each, as Hyperliquid has them now.

        Raises:
            NotTraded: Hyperliquid does not list one.
        """
        await self._line.reload()
        found = {symbol: await self._line.listing(symbol) for symbol in symbols}
        listed = {symbol: it.instrument for symbol, it in found.items() if it is not None}
        require_listed("hyperliquid", symbols, listed)
        return listed

    async def taker_fees(self, symbols: Sequence[Symbol]) -> dict[Symbol, Decimal]:
        """What a taker pays by the volume of fourteen days: the same for all perpetuals."""
        told = await self._line.ask_of_account("userFees")
        with reading("hyperliquid userFees"):
            return dict.fromkeys(symbols, taker_fee_of(told))

    async def set_leverage(self, symbol: Symbol, leverage: int) -> None:
        """Set what a position in `symbol` may borrow, on cross margin; it stays so.

        Raises:
            OrderRefused: it is not listed, or has less.
            VenueUnavailable: it may be set or not; repeat it.
        """
        listing = await self._listing(symbol, "updateLeverage")
        asked = f"updateLeverage: {symbol}"
        try:
            await self._act(leverage_action(listing.asset, leverage), self._limits.change)
        except FAILURES as error:
            fault = self._placing_fault(error, asked)
            if isinstance(fault, OutcomeUnknown):
                raise asking_fault(error, f"hyperliquid {asked}") from error
            raise fault from error

    # Orders

    async def place(self, order: Order, *, expires_within: timedelta | None = None) -> None:
        client_order_id = order.client_order_id
        if expires_within is not None and order.rests and not order.reduce_only:
            raise Withheld(f"hyperliquid: {client_order_id}: no order expires there")
        listing = await self._listing(order.symbol, client_order_id)
        ticket_of(order, listing, self._terms, middle=Price(Decimal(1)))  # refuse before asking
        if await self._is_there(client_order_id):
            return
        middle = None
        if order.limit is None and order.trigger is None:
            middle = await self._middle(listing)
        ticket = ticket_of(order, listing, self._terms, middle=middle)
        self._orders.expect(client_order_id, listing.coin, ticket)
        try:
            told = await self._act(
                order_action(ticket), partial(self._limits.place, reduces=order.reduce_only)
            )
            self._take_answer(client_order_id, told)
        except FAILURES as error:
            if not may_be_duplicate(error):
                raise self._placing_fault(error, f"order: {client_order_id}") from error
            await self._require_there(client_order_id, error)

    def arrives_until(self) -> datetime:
        return self._clock.now() + self._terms.deadline + _SLACK

    async def cancel(self, client_order_id: str) -> None:
        handle = handle_of(client_order_id)
        if self._orders.coin(client_order_id) is None:
            await self.order(client_order_id)
        coin = self._orders.coin(client_order_id)
        if handle is None or coin is None:
            return
        symbols = await self._line.symbols()
        listing = await self._listing(symbols[coin], client_order_id)
        try:
            told = await self._act(cancel_action(listing.asset, handle), self._limits.cancel)
            _require_cancelled(told)
        except FAILURES as error:
            if not has_ended(error):
                self._line.note(error)
                raise asking_fault(error, f"hyperliquid cancel: {client_order_id}") from error

    async def order(self, client_order_id: str) -> OrderChanged | None:
        handle = handle_of(client_order_id)
        return None if handle is None else await self._find(handle)

    async def open_orders(self) -> Sequence[OrderChanged]:
        symbols = await self._line.symbols()
        told = await self._line.ask_of_account("frontendOpenOrders")
        with reading("hyperliquid frontendOpenOrders"):
            return [
                self._orders.change(row, symbols[row["coin"]], status="open", at=row["timestamp"])
                for row in as_rows(told)
                if row["coin"] in symbols
            ]

    # Fills, charges and balances

    async def fills(self, *, after: int) -> Sequence[Fill]:
        return [await self._fill(row) for row in await self._history.after(after)]

    async def latest_fills(self, known: Callable[[str], bool]) -> Sequence[Fill]:
        is_first = self._history.known_from is None
        rows = await self._history.latest()
        new = [row for row in rows if is_first or not known(str(row["tid"]))]
        fills = [await self._fill(row) for row in new]
        self._history.heard(rows)
        return fills

    async def charges(self, *, since: datetime | None) -> Sequence[Charge]:
        """Payments of funding."""
        symbols = await self._line.symbols()
        start = self._since if since is None else max(since, self._since)
        rows = await self._funding(milliseconds(start))
        with reading("hyperliquid userFunding"):
            charges = [
                charge_of_row(row, symbols[row["delta"]["coin"]])
                for row in rows
                if row["delta"]["coin"] in symbols
            ]
        return sorted(charges, key=lambda charge: charge.charged_at)

    async def balances(self) -> Mapping[str, Decimal]:
        """Balances with the open positions in them, as if each had been bought and paid."""
        symbols = await self._line.symbols()
        told = await self._line.ask_of_account("clearinghouseState")
        with reading("hyperliquid clearinghouseState"):
            return balances_of(told, symbols)

    def rounding(self, asset: str) -> Rounding:
        """Six places of USDC; positions are in lots, and their costs are in the balance."""
        return _ROUNDED

    # The dead man's switch

    async def arm(self, within: timedelta) -> None:
        """Have Hyperliquid cancel every open order of the account `within` this, unless armed anew.

        Every order: protective stops, and those that others have placed. Arm it only where the
        account has neither. It goes off ten times a day at most.

        Raises:
            ValueError: less than five seconds.
            SwitchRefused: the account has not traded enough to have one.
            VenueUnavailable: repeat it.
        """
        if within < _SOONEST_ARMED:
            raise ValueError(f"Hyperliquid's switch takes 5 s or more, not {within}")
        await self._switch(self._clock.now() + within)

    async def disarm(self) -> None:
        """Take the switch back; ccxt's own way of doing so would have all cancelled at once."""
        await self._switch(None)

    # The stream

    async def listen(self) -> AsyncGenerator[Heard, None]:
        await self._line.symbols()
        async with self._line.stream() as inbox:
            while True:
                try:
                    message = await inbox.get()
                except Fault as fault:
                    raise asking_fault(fault, "hyperliquid stream") from fault
                if message["channel"] == TRANSFERS:
                    with reading("hyperliquid transfers"):
                        transfers = [*transfers_told(message)]
                    for transfer in transfers:
                        yield transfer
                    continue
                for event in await self._events(message):
                    yield event

    async def hang_up(self) -> None:
        await self._line.hang_up()

    async def close(self) -> None:
        await self._line.close()

    # Below: how it is asked

    async def _funding(self, start: int) -> list[Json]:
        """All rows from `start` on, a time in milliseconds; an answer has the first five hundred.

        The next begins with the last one's moment, of which it may have left some out.
        """
        rows: dict[tuple[int, str], Json] = {}
        while True:
            told = await self._line.ask_of_account("userFunding", {"startTime": start})
            with reading("hyperliquid userFunding"):
                page = {(int(row["time"]), row["delta"]["coin"]): row for row in as_rows(told)}
            rows |= page
            if len(page) < _FUNDING_PAGE:
                return list(rows.values())
            newest = max(time for time, _ in page)
            if newest == start:
                raise VenueUnavailable("hyperliquid userFunding: one moment fills a page")
            start = newest

    async def _events(self, message: Json) -> list[VenueEvent]:
        """What a message says; of coins that are no perpetuals, nothing."""
        symbols = await self._line.symbols()
        updates: list[Json] = []
        rows: list[Json] = []
        with reading("hyperliquid stream"):
            if message["channel"] == "orderUpdates":
                updates = [row for row in message["data"] if row["order"]["coin"] in symbols]
            else:
                rows = [row for row in message["data"]["fills"] if row["coin"] in symbols]
                rows = self._news(rows) if message["data"].get("isSnapshot") else rows
        heard = [await self._update(row) for row in updates]
        fills = [await self._fill(row) for row in rows]
        return [*fills, *(change for change in heard if change is not None)]

    def _news(self, rows: Sequence[Json]) -> list[Json]:
        """What may be new in a snapshot: it begins with fills from before our time."""
        known_from = self._history.known_from
        if known_from is None:
            return []
        start = milliseconds(known_from)
        return sorted((row for row in rows if row["time"] >= start), key=lambda row: row["time"])

    async def _update(self, update: Json) -> OrderChanged | None:
        """What an update says; of an order whose terms it leaves out, and nobody told, we ask."""
        with reading("hyperliquid orderUpdates"):
            number, completed = int(update["order"]["oid"]), self._orders.completed(update)
        if completed is None:
            return await self._find(number)
        return await self._told(completed)

    async def _find(self, handle: str | int) -> OrderChanged | None:
        told = await self._line.ask_of_account("orderStatus", {"oid": handle})
        with reading("hyperliquid orderStatus"):
            if told["status"] == "unknownOid":
                return None
            update = told["order"]
        return await self._told(update)

    async def _told(self, update: Json) -> OrderChanged | None:
        symbols = await self._line.symbols()
        with reading("hyperliquid orderStatus"):
            row, status, at = update["order"], update["status"], update["statusTimestamp"]
            symbol = symbols.get(row["coin"])
            if symbol is None:
                return None
            return self._orders.change(row, symbol, status=status, at=at)

    async def _fill(self, row: Json) -> Fill:
        symbols = await self._line.symbols()
        name = await self._name(row)
        with reading("hyperliquid userFills"):
            symbol = symbols[row["coin"]]
            fill_id, account = str(row["tid"]), self._line.account
            return fill_of_row(fill_id, row, symbol, client_order_id=name, account=account)

    async def _name(self, row: Json) -> str:
        """What we call the order of a fill: not every fill says."""
        with reading("hyperliquid userFills"):
            number, at = int(row["oid"]), at_milliseconds(row["time"])
            if row.get("cloid") is not None:
                return name_of(row)
        if self._orders.name(number) is None:
            found = await self._find(number)
            if found is None:  # Hyperliquid has forgotten it: it goes by its number
                require_forgotten(
                    f"hyperliquid order {number}", filled_at=at, now=self._clock.now()
                )
            self._orders.learn(number, found.order.client_order_id if found else str(number))
        return self._orders.name(number) or str(number)

    async def _is_there(self, client_order_id: str) -> bool:
        """Whether Hyperliquid has the order.

        Raises:
            OrderRefused: it has looked at it, and declined it.
        """
        found = await self.order(client_order_id)
        if found is not None and found.order.status is OrderStatus.REJECTED:
            raise OrderRefused(f"hyperliquid order: {client_order_id}: {found.reason}")
        return found is not None

    async def _listing(self, symbol: Symbol, asked: str) -> Listing:
        listing = await self._line.listing(symbol)
        if listing is None:
            raise OrderRefused(f"hyperliquid: {asked}: no market {symbol}")
        return listing

    async def _middle(self, listing: Listing) -> Price:
        told = await self._line.ask("allMids")
        with reading("hyperliquid allMids"):
            return middle_of(told, listing.coin)

    async def _require_there(self, client_order_id: str, error: Exception) -> None:
        """Hyperliquid seems to have the order already; it does if it shows it."""
        text = f"hyperliquid order: {client_order_id}: {error}"
        try:
            is_there = await self._is_there(client_order_id)
        except VenueUnavailable as fault:
            raise OutcomeUnknown(text) from fault
        if not is_there:
            raise OutcomeUnknown(text) from error

    def _take_answer(self, client_order_id: str, told: Json) -> None:
        """Learn from the answer to one order.

        Raises:
            Declined: it is refused.
            OutcomeUnknown: nobody can say what it means.
        """
        match told:
            case {"data": {"statuses": [{"error": error}]}}:
                raise Declined(str(error))
            case {"data": {"statuses": [{"resting": {"oid": int(number)}}]}}:
                self._orders.learn(number, client_order_id)
            case {"data": {"statuses": [{"filled": {"oid": int(number)}}]}}:
                self._orders.learn(number, client_order_id)
            case {"data": {"statuses": ["waitingForTrigger" | "waitingForFill"]}}:
                pass
            case _:
                said = f"{told!r:.200}"
                raise OutcomeUnknown(f"hyperliquid order: {client_order_id}: unreadable: {said}")

    async def _act(self, action: Action, spend: Callable[[], Awaitable[None]]) -> Json:
        """Sign and send an action, once the key is safe and its budget is spent."""
        if not self._is_safe:
            await self.require_safe_key()
        if self._limits.is_unsure:
            told = await self._line.ask_of_account("userRateLimit")
            with reading("hyperliquid userRateLimit"):
                used, most = int(told["nRequestsUsed"]), int(told["nRequestsCap"])
            self._limits.learn(used=used, most=most)
        await spend()
        return await self._line.act(action, until=self._clock.now() + self._terms.deadline)

    async def _switch(self, at: datetime | None) -> None:
        try:
            await self._act(switch_action(at), self._limits.change)
        except FAILURES as error:
            self._line.note(error)
            raise asking_fault(error, "hyperliquid scheduleCancel") from error

    def _placing_fault(self, error: BaseException, asked: str) -> Fault:
        self._line.note(error)
        return placing_fault(error, f"hyperliquid {asked}")


def _require_cancelled(told: Json) -> None:
    """Raise what Hyperliquid has against a cancellation."""
    match told["data"]["statuses"]:
        case ["success"]:
            pass
        case [{"error": error}]:
            raise Declined(str(error))
        case statuses:
            raise VenueUnavailable(f"hyperliquid cancel: unreadable: {statuses!r:.200}")

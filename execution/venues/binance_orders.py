"""What Binance tells of an account's orders, by REST and by the stream, as the port's orders.

Plain and conditional orders are asked for one beside the other, as Binance keeps them apart; here a
conditional order and the plain one that it places are one.
"""

from collections.abc import Collection, Sequence
from datetime import datetime

from data.feeds.ccxt_source import at_milliseconds
from data.instrument import Symbol
from execution.venue import OrderChanged, VenueEvent, VenueUnavailable
from execution.venues.answers import reading
from execution.venues.binance_answers import is_unknown_order
from execution.venues.binance_line import BinanceLine
from execution.venues.binance_names import Names
from execution.venues.binance_rows import (
    Json,
    conditional_of_row,
    conditional_of_update,
    fill_of_update,
    order_of_row,
    order_of_update,
    placed_by,
)
from execution.venues.binance_wire import Form


class BinanceOrders:
    """One account's orders, in whatever market; by name, those of `markets` are found."""

    def __init__(self, line: BinanceLine, names: Names, markets: Collection[Symbol]) -> None:
        self._line = line
        self._names = names
        self._markets = markets

    async def find(self, client_order_id: str) -> OrderChanged | None:
        """The order and when it last changed; None if Binance does not know it."""
        symbol = self._names.symbol(client_order_id)
        if not self._names.is_plain(client_order_id):
            row = await self._find("fapiPrivateGetAlgoOrder", {"clientAlgoId": client_order_id})
            if row is not None:
                return await self._conditional(row)
        ids = await self._line.market_ids(self._markets if symbol is None else [symbol])
        for market in ids.values():
            who = {"symbol": market, "origClientOrderId": client_order_id}
            row = await self._find("fapiPrivateGetOrder", who)
            if row is not None:
                if not self._names.is_conditional(client_order_id):
                    self._names.learn_plain(client_order_id)
                return self._plain(row)
        return None

    async def all_open(self) -> Sequence[OrderChanged]:
        """All open orders, foreign ones too."""
        await self._line.listings()
        waiting = await self._line.rows("fapiPrivateGetOpenAlgoOrders")
        changes: list[OrderChanged | None] = [await self._conditional(row) for row in waiting]
        changes += [self._plain(row) for row in await self._line.rows("fapiPrivateGetOpenOrders")]
        told = [c for c in changes if c is not None and not c.order.status.is_final]
        return list({change.order.client_order_id: change for change in told}.values())

    async def symbol_of(self, client_order_id: str) -> Symbol | None:
        """The market of an order; None if Binance does not know it."""
        if self._names.symbol(client_order_id) is None:
            await self.find(client_order_id)
        return self._names.symbol(client_order_id)

    async def name_of(self, market: str, order_id: int) -> str | None:
        """The client order id of an order; None if Binance does not know it."""
        name = self._names.name(market, order_id)
        if name is not None:
            return name
        row = await self._find("fapiPrivateGetOrder", {"symbol": market, "orderId": str(order_id)})
        if row is not None:
            self._plain(row)
        return self._names.name(market, order_id)

    def events(self, message: Json) -> list[VenueEvent]:
        """What a message tells of orders."""
        match message["e"]:
            case "ORDER_TRADE_UPDATE":
                return self._executed(message["o"], at_milliseconds(message["T"]))
            case "ALGO_UPDATE":
                return self._waiting(message["o"], at_milliseconds(message["T"]))
            case _:
                return []

    async def _find(self, method: str, who: Form) -> Json | None:
        """The row of one order; None if there is none."""
        try:
            row: Json = await self._line.ask(method, who)
        except VenueUnavailable as fault:
            if is_unknown_order(fault.__cause__):
                return None
            raise
        return row

    def _plain(self, row: Json) -> OrderChanged | None:
        """What the row of a plain order says; None of one that cannot be ours."""
        with reading(f"{self._line.name} order"):
            symbol, market = self._line.symbols.get(row["symbol"]), row["symbol"]
            if symbol is None:
                return None
            name = self._names.learn(market, int(row["orderId"]), row["clientOrderId"], symbol)
            order = self._names.with_trigger(order_of_row(row, symbol, client_order_id=name))
            return OrderChanged(order=order, at=at_milliseconds(row["updateTime"]))

    async def _conditional(self, row: Json) -> OrderChanged | None:
        """What the row of a conditional order says, or the plain one that it has placed.

        Raises:
            VenueUnavailable: it has placed one, which is not told yet.
        """
        await self._line.listings()
        with reading(f"{self._line.name} algoOrder"):
            symbol, placed = self._line.symbols.get(row["symbol"]), placed_by(row)
            if symbol is None:
                return None
            told = row if placed is None else {**row, "algoStatus": "TRIGGERED"}
            order = conditional_of_row(told, symbol)
            at = at_milliseconds(row["updateTime"])
            self._names.learn_conditional(row["symbol"], order, placed)
        if placed is None:
            return OrderChanged(order=order, at=at)
        who = {"symbol": str(row["symbol"]), "orderId": str(placed)}
        plain = await self._find("fapiPrivateGetOrder", who)
        if plain is None:
            text = f"{order.client_order_id}: {placed}, which it has placed, is not told yet"
            raise VenueUnavailable(f"{self._line.name}: {text}")
        return self._plain(plain)

    def _executed(self, said: Json, at: datetime) -> list[VenueEvent]:
        """A fill before the change that it makes."""
        symbol, market = self._line.symbols.get(said["s"]), said["s"]
        if symbol is None:
            return []
        name = self._names.learn(market, int(said["i"]), said["c"], symbol)
        fill = fill_of_update(said, symbol, client_order_id=name)
        order = self._names.with_trigger(order_of_update(said, symbol, client_order_id=name))
        change = OrderChanged(order=order, at=at)
        return [change] if fill is None else [fill, change]

    def _waiting(self, said: Json, at: datetime) -> list[VenueEvent]:
        symbol, placed = self._line.symbols.get(said["s"]), placed_by(said)
        if symbol is None:
            return []
        if placed is not None:
            self._names.learn_placed(said["s"], said["caid"], placed)
        order = conditional_of_update(said, symbol)
        if order is None:
            return []
        self._names.learn_conditional(said["s"], order, placed)
        return [OrderChanged(order=order, at=at, reason=str(said.get("rm") or ""))]

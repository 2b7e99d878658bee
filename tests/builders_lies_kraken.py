"""Kraken in a story: the rehearsal exchange with its REST, its socket and its faults."""

import asyncio
import contextlib
from collections import Counter
from datetime import timedelta
from decimal import Decimal

from execution.exact import EXACT
from sextant.market import Site
from sextant.rehearsal.market import MarketTrade
from sextant.rehearsal.order_form import ticket_of
from sextant.rehearsal.rates import Tier
from sextant.rehearsal.record import AccountRecord
from sextant.rehearsal.server import RehearsalServer, Terms
from tests.builders_lies_life import Diary, codecs, settings_of
from tests.builders_lies_there import Standing, There
from tests.builders_rehearsal import GENEROUS, PRICES
from tests.builders_venue import XRP


class KrakenThere(There):
    """It loses what it has not kept, and comes back with the rest."""

    def __init__(self, world):
        super().__init__(world)
        script = world.script
        self.settings = settings_of(attach=script.attach, spot=script.spot, patient=script.patient)
        self.prices = dict(PRICES)
        self.control = self._stop = None
        self._market = Diary("venue", codecs()[1], self.clock)

    def in_place(self):
        return contextlib.nullcontext()

    async def open(self):
        await self._open()
        self._place_foreign_orders()
        keyring = self.server.keyring
        self.site = Site(urls=self.server.urls, key=keyring.key, secret=keyring.secret)

    async def _open(self):
        balances = {asset: b for asset, b in self.settings.account.balances.items() if b}
        terms = Terms(
            balances=balances,
            seed=self.world.script.seed,
            tier=Tier(asked=20, asked_decay=1, traded=180, traded_decay=3.75)
            if self.world.script.tier
            else GENEROUS,
            port=self.server.port if self.server is not None else 0,
            tick=timedelta(seconds=1),
            heartbeat=timedelta(seconds=5),
        )
        self.server = RehearsalServer(
            terms,
            prices=self.prices,
            clock=self.clock,
            tape=iter(()),
            record=await AccountRecord.open(self._market),
        )
        self.exchange.listeners.append(lambda it: self.world.notice(self._happened, it))
        opened, self._stop = asyncio.Event(), asyncio.Event()
        self.world.tasks.create_task(self._serve(opened, self._stop))
        await opened.wait()
        self.world.saw_fill()  # what was not kept never was

    async def _serve(self, opened, stop):
        async with self.server.serving() as control:
            self.control = control
            opened.set()
            await stop.wait()

    async def restart(self, away):
        self._stop.set()
        while self.server._runner is not None:
            await self.clock.sleep(timedelta(milliseconds=1))
        self._market = Diary("venue", codecs()[1], self.clock, records=self._market.lose())
        await self.clock.sleep(timedelta(seconds=away))
        await self._open()

    def end(self):
        self._stop.set()

    def _place_foreign_orders(self):
        """Somebody else's, at the same account: with an id, without one, and a stop on margin."""
        common = {"pair": "XRPUSDT", "volume": "50", "leverage": "none"}
        for form in (
            common | {"type": "buy", "ordertype": "limit", "price": "0.1"},
            common
            | {"type": "buy", "ordertype": "limit", "price": "0.11", "cl_ord_id": "somebody"},
            common | {"type": "sell", "ordertype": "stop-loss", "price": "0.05", "leverage": "2"},
        ):
            order = self.exchange.add(ticket_of(form, self.exchange.register, self.clock.now()))
            self.foreign[order.txid] = order.ticket

    def _happened(self, execution):
        if execution.trade is not None:
            self.world.saw_fill()
        order = execution.order
        name = order.ticket.cl_ord_id
        if (
            execution.kind == "pending_new"
            and order.parent is None
            and order.txid not in self.foreign
        ):
            if name in (None, "somebody"):
                return
            self.world.saw_arrival(_standing(order))
        if order.txid in self.foreign:
            assert execution.kind in ("pending_new", "new"), f"foreign, and {execution.kind}"
        about = f" of {order.parent}" if order.parent else ""
        self.world.tell(
            f"   there: {execution.kind} {order.ticket.side} {order.ticket.quantity} "
            f"{order.ticket.listing.symbol} {order.ticket.kind} {name or order.txid}{about} "
            f"{order.reason}"
        )

    # What is true

    @property
    def exchange(self):
        return self.server.exchange

    @property
    def instruments(self):
        return self.exchange.register.instruments

    lowest = Decimal("0.3")  # what XRP's price never falls below: there others' orders are

    @property
    def open_orders(self):
        """Ours."""
        open_there = self.exchange.open_orders()
        return [_standing(order) for order in open_there if order.txid not in self.foreign]

    def held(self, symbol):
        if symbol == XRP and self.world.script.spot:
            return Decimal(self.exchange.wallet.balances.get("XRP", 0))
        lots = self.exchange.wallet.lots[symbol]
        return sum((lot.open * lot.opened_by.side.sign for lot in lots), Decimal(0))

    @property
    def balances(self):
        """With the open margin positions in them."""
        total = Counter(self.exchange.wallet.balances)
        for symbol, lots in self.exchange.wallet.lots.items():
            for lot in lots:
                sign = lot.opened_by.side.sign
                total[symbol.base] = EXACT.add(Decimal(total[symbol.base]), sign * lot.open)
                total[symbol.quote] = EXACT.add(
                    Decimal(total[symbol.quote]), EXACT.multiply(Decimal(-sign), lot.cost)
                )
        return total

    @property
    def fills(self):
        return {number: trade.fill for number, trade in self.exchange.trades.items()}

    def check_foreign(self):
        for txid, ticket in self.foreign.items():
            order = self.exchange.orders[txid]
            assert order.is_open, f"foreign, and gone: {txid}"
            assert order.ticket == ticket

    # What can be done

    placing, cancelling = "AddOrder", "CancelOrder"

    def cancelling_of(self, name):
        return self.cancelling

    async def trade(self, symbol, price, quantity, side):
        lot = self.instruments[symbol].lot
        self.server.catch_up()
        quantity = round(quantity / lot) * lot or lot
        trade = MarketTrade(at=self.clock.now(), price=price, quantity=quantity, side=side)
        self.server.trade(symbol, trade)
        self.prices[symbol] = price

    def cancel(self, standing):
        """It ends an order by itself."""
        if self.exchange.orders[standing.key].is_open:
            self.exchange.cancel(standing.key)

    def silence(self, *, on):
        self.control.silence(on=on)

    @property
    def is_silent(self):
        return self.server.sockets.silent

    @property
    def hangs(self):
        return not self.server.rest.go_on.is_set()

    def let_go(self):
        self.control.let_go()

    def close_sockets(self):
        self.control.close_sockets()

    def expire_tokens(self):
        self.control.expire_tokens()


def _standing(order):
    ticket = order.ticket
    return Standing(
        key=order.txid,
        name=ticket.cl_ord_id,
        symbol=ticket.listing.symbol,
        side=ticket.side,
        quantity=ticket.quantity,
        filled=order.filled,
        kind=str(ticket.kind),
        trigger=ticket.trigger,
        limit=ticket.limit,
        reduce_only=ticket.reduce_only,
        is_conditional=ticket.kind.waits,
        takes_profit=ticket.kind.takes_profit,
        waits=order.waits,
        parent=order.parent,
        on_margin=ticket.leverage is not None,
    )

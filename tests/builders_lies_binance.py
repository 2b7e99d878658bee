"""Binance's USD-M futures in a story: the account on loopback that its adapter is tested before."""

from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import ClassVar

from data.instrument import Side
from execution.dead_man import DeadManSettings
from execution.fill import Fill, Liquidity
from execution.order import OrderStatus
from execution.venues import binance_line
from execution.venues.binance_settings import BinanceVenueSettings
from sextant.rehearsal.faults import NO_FAULTS
from tests.builders_lies_life import perpetual_settings_of
from tests.builders_lies_there import LateThere, Standing
from tests.builders_rehearsal import NOON
from tests.fakes_binance import KEY, SECRET, BinanceAccount, BinanceVenueServer

_SOMEBODY = ("web_1", "somebody", "web_2")


class BinanceThere(LateThere):
    """It keeps all that has happened, whatever becomes of its lines."""

    placing = "POST order"
    line = binance_line, "BinanceLine"
    keys: ClassVar = {"BINANCE_API_KEY": KEY, "BINANCE_API_SECRET": SECRET}

    def __init__(self, world):
        super().__init__(world)
        patient = world.script.patient
        venue = BinanceVenueSettings(
            kind="binanceusdm",
            receive_window=timedelta(seconds=60 if patient else 5),
            dead_man=DeadManSettings(
                deadline=timedelta(minutes=15), renew_every=timedelta(minutes=2)
            ),
            **self.watched,
        )
        self.settings = perpetual_settings_of(venue, self.place.symbols, patient=patient)
        self.account = BinanceAccount(self.clock)
        self.prices = self.account.prices
        self.account.trade(self.first, "40000")
        self.account.trade(self.second, "2000")
        self.server = BinanceVenueServer(self.account, NO_FAULTS)

    def place_foreign_orders(self):
        """Somebody else's: two that would buy, and a stop that would open a position."""
        common = {"symbol": self._market(self.second), "positionSide": "BOTH", "quantity": "1"}
        limit = common | {"side": "BUY", "type": "LIMIT", "timeInForce": "GTC"}
        stop = common | {"side": "SELL", "type": "STOP_MARKET", "workingType": "MARK_PRICE"}
        one, other, third = _SOMEBODY
        self.account.place(limit | {"price": "200", "newClientOrderId": one})
        self.account.place(limit | {"price": "220", "newClientOrderId": other})
        self.account.wait(stop | {"triggerPrice": "100", "clientAlgoId": third})

    def watch(self):
        self.account.listeners.append(partial(self.world.notice, self._happened))

    def pass_time(self):
        self.account.pass_time()

    def _happened(self, message):
        said = message.get("o")
        match message["e"]:
            case "ORDER_TRADE_UPDATE":
                placed = self.account.plain[said["i"]]
                if said["x"] == "NEW" and "clientAlgoId" not in placed.form:
                    self.world.saw_arrival(self._plain(placed))
                if said["t"]:
                    self.world.saw_fill()
                what = f"{said['x']} {said['S']} {said['q']} {said['s']} {said['o']} {said['c']}"
            case "ALGO_UPDATE":
                if said["X"] == "NEW":
                    self.world.saw_arrival(self._waiting(self.account.waiting[said["aid"]]))
                what = f"{said['X']} {said['S']} {said['q']} {said['s']} {said['o']} {said['caid']}"
            case _:
                return
        self.world.tell(f"   there: {what}")

    # What is true

    @property
    def instruments(self):
        return self.account.instruments

    @property
    def open_orders(self):
        """Ours."""
        account = self.account
        return [
            *(self._plain(o) for o in account._open() if o.name not in _SOMEBODY),
            *(
                self._waiting(w)
                for w in account.waiting.values()
                if w.status == "NEW" and w.form["clientAlgoId"] not in _SOMEBODY
            ),
        ]

    def _plain(self, placed):
        return self._standing(placed, placed.name, filled=placed.filled)

    def _waiting(self, waiting):
        return self._standing(
            waiting, waiting.form["clientAlgoId"], is_conditional=True, waits=True
        )

    def _standing(self, key, name, **options):
        form = key.form
        return Standing(
            key=key,
            name=name,
            symbol=self.account.symbols[form["symbol"]],
            side=Side(form["side"].lower()),
            quantity=Decimal(form["quantity"]),
            kind=form["type"],
            trigger=Decimal(form["triggerPrice"]) if "triggerPrice" in form else None,
            limit=Decimal(form["price"]) if "price" in form else None,
            reduce_only="reduceOnly" in form,
            takes_profit=form["type"].startswith("TAKE_PROFIT"),
            **{"filled": Decimal(0)} | options,
        )

    def held(self, symbol):
        return self.account._position(self._market(symbol))

    @property
    def fills(self):
        return {
            f"{row['symbol']}-{row['orderId']}-{row['id']}": Fill(
                fill_id=str(row["id"]),
                client_order_id=str(row["orderId"]),
                symbol=self.account.symbols[row["symbol"]],
                side=Side.BUY if row["buyer"] else Side.SELL,
                quantity=Decimal(row["qty"]),
                price=Decimal(row["price"]),
                fee=Decimal(row["commission"]),
                fee_asset=row["commissionAsset"],
                liquidity=Liquidity.MAKER if row["maker"] else Liquidity.TAKER,
                filled_at=NOON,
            )
            for row in self.account.trades
        }

    def check_foreign(self):
        if self.world.script.foreign:
            waiting = self.account.waiting.values()
            there = [o.name for o in self.account._open() if not o.filled]
            there += [w.form["clientAlgoId"] for w in waiting if w.status == "NEW"]
            gone = set(_SOMEBODY) - set(there)
            assert not gone, f"foreign, and gone: {gone}"

    # What can be done

    def cancelling_of(self, name):
        waits = any(w.form["clientAlgoId"] == name for w in self.account.waiting.values())
        return "DELETE algoOrder" if waits else "DELETE order"

    async def trade(self, symbol, price, quantity, side):
        self.account.trade(symbol, str(price), str(self.instruments[symbol].quantity(quantity)))

    def fund(self, symbol, amount):
        self.account.fund(symbol, amount)

    def cancel(self, standing):
        """It ends an order by itself."""
        if standing.waits:
            self.account.cancel_waiting(standing.key, "EXPIRED")
        else:
            self.account._end(standing.key, OrderStatus.EXPIRED)

    def close_sockets(self):
        self.server.close_sockets()

    def expire_tokens(self):
        self.server.expire_keys()

    def _market(self, symbol):
        return symbol.replace("/", "")

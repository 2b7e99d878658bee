"""Hyperliquid in a story: the server on loopback that its adapter is tested before."""

import itertools
import uuid
from datetime import timedelta
from decimal import Decimal
from functools import partial

from data.instrument import Side, Symbol
from execution.dead_man import DeadManSettings
from execution.fill import Fill, Liquidity
from execution.venues import hyperliquid_line
from execution.venues.hyperliquid_settings import HyperliquidVenueSettings
from tests.builders_lies_life import perpetual_settings_of
from tests.builders_lies_there import LateThere, Standing
from tests.builders_rehearsal import NOON
from tests.fakes_hyperliquid_account import symbol_of
from tests.fakes_hyperliquid_venue import AGENT_KEY, HyperliquidVenueServer

_SOMEBODY = "0x" + "5" * 32


class HyperliquidThere(LateThere):
    """It keeps all that has happened, whatever becomes of its lines."""

    placing = "exchange"
    line = hyperliquid_line, "HyperliquidLine"

    def __init__(self, world):
        super().__init__(world)
        patient = world.script.patient
        venue = HyperliquidVenueSettings(
            kind="hyperliquid",
            slippage=Decimal("0.01"),
            stop_slippage=Decimal("0.1"),
            order_deadline=timedelta(seconds=60 if patient else 5),
            dead_man=DeadManSettings(
                deadline=timedelta(minutes=10), renew_every=timedelta(minutes=2)
            ),
            **self.watched,
        )
        self.settings = perpetual_settings_of(venue, self.place.symbols, patient=patient)
        self.server = HyperliquidVenueServer(self.clock)
        self.account = self.server.account
        self.account.trade(self.first.base, Decimal(40_000), Decimal(1))
        self.account.trade(self.second.base, Decimal(2_000), Decimal(1))
        self._seen = 0  # orders

    @property
    def keys(self):
        account = self.server.master
        return {"HYPERLIQUID_AGENT_KEY": f"0x{AGENT_KEY}", "HYPERLIQUID_ACCOUNT": account}

    def place_foreign_orders(self):
        """Somebody else's: two that would buy, and a stop that would open a position."""
        stop = {"isMarket": True, "triggerPx": "100", "tpsl": "sl"}
        common = {"a": 1, "s": "1", "r": False}
        buy = common | {"b": True, "t": {"limit": {"tif": "Gtc"}}}
        self.account.place(buy | {"p": "200"})
        self.account.place(buy | {"p": "220", "c": _SOMEBODY})
        self.account.place(common | {"b": False, "p": "90", "t": {"trigger": stop}})
        self.foreign = {kept.oid: kept for kept in self.account.open}

    def watch(self):
        tell = self.account.tell

        def heard(channel, row):
            self.world.notice(partial(self._happened, channel), row)
            tell(channel, row)

        self._seen = len(self.account.orders)
        self.account.tell = heard

    def pass_time(self):
        self.account.pass_time(self.account.now_ms)

    def _happened(self, channel, row):
        new = [*itertools.islice(self.account.orders.values(), self._seen, None)]
        self._seen += len(new)
        for kept in new:
            if not kept.status.endswith("ejected"):
                self.world.saw_arrival(_standing(kept))
        if channel == "userFills":
            self.world.saw_fill()
            self.world.tell(f"   there: filled {row['side']} {row['sz']} {row['coin']}")
        else:
            said = row["order"]
            name = _name(said.get("cloid"))
            what = f"{row['status']} {said['side']} {said['origSz']} {said['coin']} {name}"
            self.world.tell(f"   there: {what}")

    # What is true

    @property
    def prices(self):
        return {symbol: self.account.last[symbol.base] for symbol in self.place.symbols}

    @property
    def instruments(self):
        return self.account.matching._instruments

    @property
    def open_orders(self):
        """Ours."""
        return [_standing(kept) for kept in self.account.open if kept.oid not in self.foreign]

    def held(self, symbol):
        return self.account.positions()[symbol.base]

    @property
    def fills(self):
        return {
            str(row["tid"]): Fill(
                fill_id=str(row["tid"]),
                client_order_id=str(row["oid"]),
                symbol=symbol_of(row["coin"]),
                side=Side.BUY if row["side"] == "B" else Side.SELL,
                quantity=Decimal(row["sz"]),
                price=Decimal(row["px"]),
                fee=Decimal(row["fee"]),
                fee_asset=row["feeToken"],
                liquidity=Liquidity.TAKER if row["crossed"] else Liquidity.MAKER,
                filled_at=NOON,
            )
            for row in self.account.fills
        }

    def check_foreign(self):
        gone = [kept for kept in self.foreign.values() if kept.status != "open" or kept.filled]
        assert not gone, f"foreign, and gone: {gone}"
        assert not self.server.wrongs, f"never to be sent: {self.server.wrongs}"

    # What can be done

    def cancelling_of(self, name):
        return "exchange"

    async def trade(self, symbol, price, quantity, side):
        self.account.trade(
            symbol.base, _on_grid(price), self.instruments[symbol].quantity(quantity)
        )

    def fund(self, symbol, amount):
        """A coin has one payment at a time."""
        now = self.account.now_ms
        paid = {(row["time"], row["delta"]["coin"]) for row in self.account.funding}
        if (now, symbol.base) not in paid:
            self.account.fund(symbol.base, amount)

    def cancel(self, standing):
        """It ends an order by itself."""
        kept = self.account.orders[standing.key]
        if kept.is_open:
            self.account._cancel(kept, "marginCanceled")

    def _market(self, symbol):
        return symbol.base

    def close_sockets(self):
        self.server.hang_up()

    def expire_tokens(self):
        """It has none; what it can do is to end the stream."""
        self.server.hang_up()


def _standing(kept):
    wire, trigger = kept.wire, kept.trigger
    return Standing(
        key=kept.oid,
        name=_name(wire.get("c")),
        symbol=Symbol(symbol_of(kept.coin)),
        side=kept.side,
        quantity=Decimal(wire["s"]),
        filled=kept.filled,
        kind="limit" if trigger is None else trigger["tpsl"],
        trigger=None if trigger is None else Decimal(trigger["triggerPx"]),
        limit=None if kept.takes else Decimal(wire["p"]),
        reduce_only=wire["r"],
        is_conditional=trigger is not None,
        takes_profit=trigger is not None and trigger["tpsl"] == "tp",
        waits=kept.waits,
    )


def _name(cloid):
    return None if cloid is None else str(uuid.UUID(hex=cloid[2:]))


def _on_grid(price):
    """Five digits, or a whole number: what trades at Hyperliquid."""
    return round(price, max(0, 4 - price.adjusted()))

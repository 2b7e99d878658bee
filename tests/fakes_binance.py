"""Binance's USD-M futures on loopback: one account, REST under /fapi, and its user data stream.

Requests are checked as Binance checks them: key, signature, age, and each parameter by name. Plain
orders stand in the matching core at one price, on either side of which there is enough for
everybody; conditional ones wait outside it, as in Binance's Algo Service.
"""

import asyncio
import hashlib
import hmac
import itertools
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

import orjson
from aiohttp import WSMsgType, web

from data.instrument import Instrument, Price, Side, Symbol
from data.order_book import Level, OrderBook
from execution.book_matching import BookMatching, Moment, crosses
from execution.fill import Fill, Liquidity
from execution.order import Order, OrderStatus
from execution.paper_terms import PaperTerms, stop_is_reached
from execution.venue import OrderChanged
from execution.venue_books import VenueBooks
from execution.venues.binance_rows import charge_of_row, milliseconds
from risk.intent import Purpose
from sextant.rehearsal.faults import (
    ANSWERED_BADLY,
    UNPROCESSED,
    Accident,
    Faults,
    Mischief,
    Shuffle,
)
from tests.builders_venue import BTC

ETH = Symbol("ETH/USDT")
KEY, SECRET = "key-of-binance", "secret-of-binance"
LISTEN_KEY = "listen-key-of-binance"
_STATUS = {Accident.REFUSE_503: 503, Accident.REFUSE_429: 429, Accident.FAIL_AFTER: 502}
_LOST = frozenset({Accident.DROP_REQUEST, Accident.DROP_ANSWER})
_PLENTY = Decimal(1_000_000)
_AT_ONCE = timedelta(0)
_NO_SUCH_ORDER = -2013, "Order does not exist."
_SIGNED = {"timestamp", "recvWindow", "signature"}
_WORDS = {
    OrderStatus.OPEN: "NEW",
    OrderStatus.PARTIALLY_FILLED: "PARTIALLY_FILLED",
    OrderStatus.FILLED: "FILLED",
    OrderStatus.CANCELLED: "CANCELED",
    OrderStatus.EXPIRED: "EXPIRED",
    OrderStatus.REJECTED: "EXPIRED",
}
_NEW_ORDER = (
    "symbol side positionSide type quantity reduceOnly price timeInForce goodTillDate "
    "newClientOrderId newOrderRespType"
)
_NEW_ALGO = (
    "symbol side positionSide type quantity reduceOnly price timeInForce algoType clientAlgoId "
    "triggerPrice workingType"
)
_PARAMETERS = {
    "GET sapi/account/apiRestrictions": "",
    "GET positionSide/dual": "",
    "GET symbolConfig": "symbol",
    "GET leverageBracket": "symbol",
    "GET commissionRate": "symbol",
    "GET account": "",
    "GET userTrades": "symbol orderId startTime endTime fromId limit",
    "GET income": "symbol incomeType startTime endTime page limit",
    "GET order": "symbol orderId origClientOrderId",
    "GET openOrders": "symbol",
    "GET algoOrder": "algoId clientAlgoId",
    "GET openAlgoOrders": "symbol",
    "POST order": _NEW_ORDER,
    "POST algoOrder": _NEW_ALGO,
    "DELETE order": "symbol orderId origClientOrderId",
    "DELETE algoOrder": "algoId clientAlgoId",
    "POST leverage": "symbol leverage",
    "POST marginType": "symbol marginType",
    "POST countdownCancelAll": "symbol countdownTime",
}
_UNSIGNED = frozenset({"GET exchangeInfo", "POST listenKey", "PUT listenKey"})


class Declined(Exception):
    def __init__(self, code: int, words: str, status: int = 400) -> None:
        super().__init__(words)
        self.body = {"code": code, "msg": words}
        self.status = status


@dataclass(slots=True, kw_only=True)
class Plain:
    """An order of the matching engine, with what Binance tells of it beside the core's view."""

    order_id: int
    form: dict[str, str]
    name: str
    placed_at: int
    status: OrderStatus = OrderStatus.OPEN
    filled: Decimal = Decimal(0)
    cost: Decimal = Decimal(0)
    at: int = 0
    expires_at: int | None = None

    @property
    def quantity(self) -> Decimal:
        return Decimal(self.form["quantity"])


@dataclass(slots=True, kw_only=True)
class Waiting:
    """A conditional order in the service before the engine."""

    algo_id: int
    form: dict[str, str]
    placed_at: int
    status: str = "NEW"
    placed: int | None = None
    at: int = 0
    reason: str = ""


@dataclass(slots=True)
class Peer:
    socket: web.WebSocketResponse
    outbox: "asyncio.Queue[tuple[timedelta, str] | None]" = field(default_factory=asyncio.Queue)


class BinanceAccount:
    """A venue with one account, which others can use too; the clock is the venue's own."""

    def __init__(self, clock, *, usdt="10000", price="100", fees=("0.0002", "0.0005")) -> None:
        self.clock = clock
        self.maker, self.taker = (Decimal(fee) for fee in fees)
        self.instruments = {BTC: _instrument(BTC, "0.10", "0.0001"), ETH: _instrument(ETH, "0.01")}
        self.symbols = {symbol.replace("/", ""): symbol for symbol in self.instruments}
        self.prices = dict.fromkeys(self.instruments, Price(Decimal(price)))
        self.books = VenueBooks({"USDT": Decimal(usdt)})
        self.matching = BookMatching(
            venue="binance", instruments=self.instruments, terms=self._terms(), books=self.books
        )
        self.plain: dict[int, Plain] = {}
        self.waiting: dict[int, Waiting] = {}
        self.trades: list[dict[str, Any]] = []
        self.incomes: list[dict[str, Any]] = []
        self.restrictions: dict[str, Any] = {"enableWithdrawals": False, "enableFutures": True}
        self.is_hedged = False
        self.settings = {market: ["CROSSED", 20] for market in self.symbols}
        self.countdowns: dict[str, int] = {}
        self.lags: dict[str, timedelta] = {}  # of what userTrades tells of a market
        self.order_lags: dict[str, timedelta] = {}  # of what questions tell of its new orders
        self.listeners: list[Any] = []
        self._numbers = itertools.count(8_886_774)
        self._entries: dict[str, Decimal] = {}  # average prices of positions
        for market in self.symbols:
            self._meet(market, Decimal(0))

    # What the account does

    def place(self, form: dict[str, str]) -> Plain:
        market, name = form["symbol"], form["newClientOrderId"]
        if any(o.name == name and not o.status.is_final for o in self.plain.values()):
            raise Declined(-4116, "ClientOrderId is duplicated.")
        self._require_one_way(form)
        now, number = self.now_ms, next(self._numbers)
        placed = Plain(order_id=number, form=form, name=name, placed_at=now, at=now)
        core = self._core_order(placed)
        if (refusal := self.matching.refusal(core)) is not None:
            raise _declined(refusal)
        if form.get("timeInForce") == "GTX" and crosses(self._book(market), core.side, core.limit):
            raise Declined(-5022, "Due to the order could not be executed as maker")
        if "goodTillDate" in form:
            placed.expires_at = int(form["goodTillDate"])
            if placed.expires_at <= self.now_ms + 600_000:
                raise Declined(-5037, "Invalid goodTillDate")
        self.plain[placed.order_id] = placed
        self._tell_plain(placed, "NEW")
        self._digest(self.matching.place(core, self.clock.now()))
        self._meet(market, Decimal(0))
        if form["type"] == "MARKET" and not placed.status.is_final:
            self._end(placed, OrderStatus.EXPIRED)
        return placed

    def wait(self, form: dict[str, str]) -> Waiting:
        name, market = form["clientAlgoId"], form["symbol"]
        if any(w.form["clientAlgoId"] == name and w.status == "NEW" for w in self.waiting.values()):
            raise Declined(-20132, "The client algo id is duplicated.")
        self._require_one_way(form)
        if "reduceOnly" in form and not self.books.reducible(self.symbols[market], _side(form)):
            raise Declined(-2022, "ReduceOnly Order is rejected.")
        now = self.now_ms
        waiting = Waiting(algo_id=next(self._numbers), form=form, placed_at=now, at=now)
        if self._is_set_off(waiting):
            raise Declined(-2021, "Order would immediately trigger.")
        self.waiting[waiting.algo_id] = waiting
        self._tell_waiting(waiting)
        return waiting

    def cancel(self, placed: Plain) -> None:
        if placed.status.is_final:
            raise Declined(-2011, "Unknown order sent.")
        self._end(placed, OrderStatus.CANCELLED)

    def cancel_waiting(self, waiting: Waiting, status: str = "CANCELED") -> None:
        if waiting.status != "NEW":
            raise Declined(-2011, "Unknown order sent.")
        waiting.status, waiting.at = status, self.now_ms
        self._tell_waiting(waiting)

    # What the market and the time do

    def trade(self, symbol: Symbol, price: str, quantity: str = "1") -> None:
        """Let others trade, and conditional orders see the price."""
        market = symbol.replace("/", "")
        self.prices[symbol] = Price(Decimal(price))
        self._meet(market, Decimal(quantity))
        for waiting in tuple(self.waiting.values()):
            if waiting.form["symbol"] == market and self._is_set_off(waiting):
                self._trigger(waiting)

    def fund(self, symbol: Symbol, amount: Decimal) -> None:
        """Have funding paid for a position; below zero it is received."""
        row = {
            "symbol": symbol.replace("/", ""), "incomeType": "FUNDING_FEE", "income": str(-amount),
            "asset": "USDT", "info": "FUNDING_FEE", "time": self.now_ms,
            "tranId": next(self._numbers), "tradeId": "",
        }  # fmt: skip
        self.incomes.append(row)
        self.books.charge(charge_of_row(row, symbol))

    def deposit(self, usdt: Decimal) -> None:
        """Money comes from elsewhere."""
        self.books._balances["USDT"] += usdt
        row = {"a": "USDT", "wb": str(self.books.balances["USDT"]), "bc": str(usdt)}
        update = {"m": "DEPOSIT", "B": [row], "P": []}
        self._tell({"e": "ACCOUNT_UPDATE", "E": self.now_ms, "T": self.now_ms, "a": update})

    def pass_time(self) -> None:
        for market, at in tuple(self.countdowns.items()):
            if at <= self.now_ms:
                del self.countdowns[market]
                self._cancel_all(market)
        for placed in self._open():
            if placed.expires_at is not None and placed.expires_at <= self.now_ms:
                self._end(placed, OrderStatus.EXPIRED)

    @property
    def now_ms(self) -> int:
        return milliseconds(self.clock.now())

    def names(self) -> list[str]:
        """The client ids of all orders that were ever taken, in order; triggered ones once."""
        triggered = {waiting.placed for waiting in self.waiting.values()}
        rows = [(w.algo_id, w.form["clientAlgoId"]) for w in self.waiting.values()]
        rows += [(o.order_id, o.name) for o in self.plain.values() if o.order_id not in triggered]
        return [name for _, name in sorted(rows)]

    def _trigger(self, waiting: Waiting) -> None:
        waiting.status = "TRIGGERING"
        self._tell_waiting(waiting)
        form = {**waiting.form, "type": "MARKET", "newClientOrderId": waiting.form["clientAlgoId"]}
        if "price" in form:
            form["type"] = "LIMIT"
        try:
            placed = self.place(form)
        except Declined as refusal:
            waiting.status, waiting.reason = "REJECTED", refusal.body["msg"]
        else:
            waiting.placed = placed.order_id
            waiting.status = "FINISHED" if placed.status.is_final else "TRIGGERED"
        waiting.at = self.now_ms
        self._tell_waiting(waiting)

    def _is_set_off(self, waiting: Waiting) -> bool:
        form = waiting.form
        side = _side(form)
        side = side.opposite if form["type"].startswith("TAKE_PROFIT") else side
        if waiting.status != "NEW":
            return False
        return stop_is_reached(
            Decimal(form["triggerPrice"]), self.prices[self.symbols[form["symbol"]]], side
        )

    def _cancel_all(self, market: str) -> None:
        for placed in self._open():
            if placed.form["symbol"] == market and not placed.status.is_final:
                self._end(placed, OrderStatus.CANCELLED)
        for waiting in self.waiting.values():
            if waiting.form["symbol"] == market and waiting.status == "NEW":
                self.cancel_waiting(waiting)

    def _open(self) -> list[Plain]:
        return [placed for placed in self.plain.values() if not placed.status.is_final]

    def _meet(self, market: str, volume: Decimal) -> None:
        symbol, at = self.symbols[market], self.clock.now()
        moment = Moment(
            symbol=symbol, at=at, last=self.prices[symbol], volume=volume, book=self._book(market)
        )
        self._digest(self.matching.meet(moment))

    def _book(self, market: str) -> OrderBook:
        symbol = self.symbols[market]
        last, tick = self.prices[symbol], self.instruments[symbol].tick
        return OrderBook(
            symbol=symbol,
            at=self.clock.now(),
            bids=(Level(price=Price(last - tick), quantity=_PLENTY),),
            asks=(Level(price=last, quantity=_PLENTY),),
        )

    def _digest(self, facts) -> None:
        for fact in facts:
            match fact:
                case Fill():
                    self._book_fill(self.plain[int(fact.client_order_id)], fact)
                case OrderChanged(order=order) if order.status.is_final:
                    placed = self.plain[int(order.client_order_id)]
                    if not placed.status.is_final:
                        self._close(placed, OrderStatus.EXPIRED)

    def _book_fill(self, placed: Plain, fill: Fill) -> None:
        form = placed.form
        before = self._position(form["symbol"]) - fill.side.sign * fill.quantity
        self._average(form["symbol"], before, fill)
        row = {
            "symbol": form["symbol"], "id": 698_759 + len(self.trades),
            "orderId": placed.order_id, "side": form["side"], "price": str(fill.price),
            "qty": str(fill.quantity), "realizedPnl": "0",
            "quoteQty": str(fill.price * fill.quantity), "commission": str(fill.fee),
            "commissionAsset": "USDT", "time": self.now_ms, "positionSide": "BOTH",
            "buyer": fill.side is Side.BUY, "maker": fill.liquidity is Liquidity.MAKER,
        }  # fmt: skip
        self.trades.append(row)
        placed.filled += fill.quantity
        placed.cost += fill.quantity * fill.price
        whole = placed.filled == placed.quantity
        placed.status = OrderStatus.FILLED if whole else OrderStatus.PARTIALLY_FILLED
        self._tell_plain(placed, "TRADE", row)

    def _average(self, market: str, before: Decimal, fill: Fill) -> None:
        """The average price of a position, as Binance has it: only what adds moves it."""
        change = fill.side.sign * fill.quantity
        after = before + change
        if not before or (before > 0) != (after > 0):
            self._entries[market] = fill.price
        elif abs(after) > abs(before):
            cost = before * self._entries[market] + change * fill.price
            self._entries[market] = cost / after

    def _position(self, market: str) -> Decimal:
        return self.books.balances.get(self.symbols[market].base, Decimal(0))

    def _end(self, placed: Plain, status: OrderStatus) -> None:
        self._close(placed, status)
        self._digest(self.matching.cancel(str(placed.order_id), self.clock.now()))

    def _close(self, placed: Plain, status: OrderStatus) -> None:
        placed.status = status
        self._tell_plain(placed, _WORDS[status])

    def _core_order(self, placed: Plain) -> Order:
        form = placed.form
        return Order(
            client_order_id=str(placed.order_id),
            strategy_id="",
            symbol=self.symbols[form["symbol"]],
            side=_side(form),
            quantity=placed.quantity,
            purpose=Purpose.EXIT if "reduceOnly" in form else Purpose.ENTRY,
            trigger=None,
            limit=Decimal(form["price"]) if "price" in form else None,
            stop=None,
            reduce_only=form.get("reduceOnly") == "true",
            approved_at=self.clock.now(),
        )

    def _require_one_way(self, form: dict[str, str]) -> None:
        if self.is_hedged and form["positionSide"] == "BOTH":
            raise Declined(-4061, "Order's position side does not match user's setting.")

    def _terms(self) -> PaperTerms:
        return PaperTerms(
            maker_fee=self.maker,
            taker_fee=self.taker,
            spread_bps=Decimal(0),
            slippage_bps=Decimal(0),
            latency=timedelta(0),
            participation=None,
        )

    # What it tells

    def _tell_plain(self, placed: Plain, execution: str, trade: Any = None) -> None:
        placed.at = self.now_ms
        form = placed.form
        order = {
            "s": form["symbol"], "c": placed.name, "S": form["side"], "o": form["type"],
            "f": form.get("timeInForce", "GTC"), "q": form["quantity"], "p": form.get("price", "0"),
            "ap": "0", "sp": "0", "x": execution, "X": _WORDS[placed.status],
            "i": placed.order_id, "l": trade["qty"] if trade else "0", "z": str(placed.filled),
            "L": trade["price"] if trade else "0", "T": placed.at,
            "t": trade["id"] if trade else 0, "m": bool(trade and trade["maker"]),
            "R": "reduceOnly" in form, "wt": "CONTRACT_PRICE", "ot": form["type"],
            "ps": "BOTH", "cp": False, "rp": "0",
        }  # fmt: skip
        if trade:
            order |= {"N": "USDT", "n": trade["commission"]}
        self._tell({"e": "ORDER_TRADE_UPDATE", "E": placed.at, "T": placed.at, "o": order})
        if trade:
            self._tell({"e": "ACCOUNT_UPDATE", "E": placed.at, "T": placed.at, "a": {"m": "ORDER"}})

    def _tell_waiting(self, waiting: Waiting) -> None:
        waiting.at = self.now_ms
        form = waiting.form
        order = {
            "caid": form["clientAlgoId"], "aid": waiting.algo_id, "at": "CONDITIONAL",
            "o": form["type"], "s": form["symbol"], "S": form["side"], "ps": "BOTH",
            "f": form.get("timeInForce", "GTC"), "q": form["quantity"], "X": waiting.status,
            "ai": str(waiting.placed or ""), "tp": form["triggerPrice"],
            "p": form.get("price", "0"), "wt": form["workingType"], "cp": False,
            "R": "reduceOnly" in form, "tt": 0, "gtd": 0, "rm": waiting.reason,
        }  # fmt: skip
        self._tell({"e": "ALGO_UPDATE", "E": waiting.at, "T": waiting.at, "o": order})

    def _tell(self, message: dict[str, Any]) -> None:
        for listener in tuple(self.listeners):
            listener(message)

    # What it answers

    def answer(self, what: str, form: dict[str, str]) -> Any:
        self.pass_time()
        market = form.get("symbol", "")
        if market and market not in self.symbols:
            raise Declined(-1121, "Invalid symbol.")
        match what:
            case "GET exchangeInfo":
                return {"symbols": [_listing(one) for one in self.instruments.values()]}
            case "GET sapi/account/apiRestrictions":
                return self.restrictions
            case "GET positionSide/dual":
                return {"dualSidePosition": self.is_hedged}
            case "GET symbolConfig":
                return [
                    {"symbol": name, "marginType": margin, "leverage": leverage}
                    for name, (margin, leverage) in self.settings.items()
                ]
            case "GET leverageBracket":
                brackets = [
                    {"bracket": n, "initialLeverage": most} for n, most in enumerate((125, 100))
                ]
                return [{"symbol": market, "brackets": brackets}]
            case "GET commissionRate":
                rates = {"makerCommissionRate": self.maker, "takerCommissionRate": self.taker}
                return {"symbol": market, **{name: str(rate) for name, rate in rates.items()}}
            case "GET account":
                return self._account()
            case "GET userTrades":
                return self._user_trades(form)
            case "GET income":
                return self._income(form)
            case "GET openOrders":
                return [self._row(placed) for placed in self._open() if self._is_told(placed)]
            case "GET openAlgoOrders":
                waiting = [w for w in self.waiting.values() if w.status == "NEW"]
                return [self._algo_row(one) for one in waiting if self._is_told(one)]
            case "GET order":
                return self._row(self._told(self._find(form, *_NO_SUCH_ORDER)))
            case "GET algoOrder":
                return self._algo_row(self._told(self._find_waiting(form, *_NO_SUCH_ORDER)))
            case "POST order":
                return self._row(self.place(form))
            case "POST algoOrder":
                return self._algo_row(self.wait(form))
            case "DELETE order":
                placed = self._find(form, -2011, "Unknown order sent.")
                self.cancel(placed)
                return self._row(placed)
            case "DELETE algoOrder":
                waiting = self._find_waiting(form, -2011, "Unknown order sent.")
                self.cancel_waiting(waiting)
                return {"algoId": waiting.algo_id, "code": "200", "msg": "success"}
            case _:
                return self._set(what, market, form)

    def _set(self, what: str, market: str, form: dict[str, str]) -> Any:
        match what:
            case "POST leverage":
                self.settings[market][1] = int(form["leverage"])
                return {"symbol": market, "leverage": self.settings[market][1]}
            case "POST marginType":
                if self.settings[market][0] == form["marginType"]:
                    raise Declined(-4046, "No need to change margin type.")
                if self._position(market):
                    raise Declined(-4048, "Margin type cannot be changed if there exists position.")
                self.settings[market][0] = form["marginType"]
                return {"code": 200, "msg": "success"}
            case "POST countdownCancelAll":
                countdown = int(form["countdownTime"])
                self.countdowns.pop(market, None)
                if countdown:
                    self.countdowns[market] = self.now_ms + countdown
                return {"symbol": market, "countdownTime": form["countdownTime"]}
        raise Declined(-1116, f"{what}?")

    def _told(self, one: Any) -> Any:
        if not self._is_told(one):
            raise Declined(*_NO_SUCH_ORDER)
        return one

    def _is_told(self, one: Plain | Waiting) -> bool:
        lag = self.order_lags.get(one.form["symbol"], _AT_ONCE)
        return one.placed_at <= self.now_ms - lag // timedelta(milliseconds=1)

    def _find(self, form: dict[str, str], code: int, words: str) -> Plain:
        """By id, else the newest of that name in that market."""
        for placed in reversed(self.plain.values()):
            named = str(placed.order_id) == form.get("orderId")
            named = named or placed.name == form.get("origClientOrderId")
            if named and placed.form["symbol"] == form["symbol"]:
                return placed
        raise Declined(code, words)

    def _find_waiting(self, form: dict[str, str], code: int, words: str) -> Waiting:
        for waiting in reversed(self.waiting.values()):
            if waiting.form["clientAlgoId"] == form.get("clientAlgoId"):
                return waiting
        raise Declined(code, words)

    def _user_trades(self, form: dict[str, str]) -> list[dict[str, Any]]:
        known = self.now_ms - self.lags.get(form["symbol"], _AT_ONCE) // timedelta(milliseconds=1)
        rows = [row for row in self.trades if row["symbol"] == form["symbol"]]
        rows = [row for row in rows if row["time"] <= known]
        if "fromId" in form:
            assert "startTime" not in form
            rows = [row for row in rows if row["id"] >= int(form["fromId"])]
        else:
            since, until = int(form["startTime"]), int(form["endTime"])
            assert 0 <= until - since <= 7 * 24 * 3_600_000
            rows = [row for row in rows if since <= row["time"] <= until]
        return rows[: int(form["limit"])]

    def _income(self, form: dict[str, str]) -> list[dict[str, Any]]:
        since, until, size = (int(form[name]) for name in ("startTime", "endTime", "limit"))
        assert 0 <= until - since <= 7 * 24 * 3_600_000
        kept = (row for row in self.incomes if row["incomeType"] == form["incomeType"])
        rows = [row for row in kept if since <= row["time"] <= until]
        return rows[(int(form["page"]) - 1) * size :][:size]

    def _account(self) -> dict[str, Any]:
        """Cash is what was paid and received; what a position has cost is still in the wallet."""
        wallet, positions = self.books.balances["USDT"], []
        for market, symbol in self.symbols.items():
            amount = self._position(market)
            if amount:
                entry, mark = self._entries[market], self.prices[symbol]
                wallet += amount * entry
                positions.append(
                    {
                        "symbol": market, "positionSide": "BOTH", "positionAmt": str(amount),
                        "notional": str(amount * mark),
                        "unrealizedProfit": str(amount * (mark - entry)),
                    }
                )  # fmt: skip
        return {"assets": [{"asset": "USDT", "walletBalance": str(wallet)}], "positions": positions}

    def _row(self, placed: Plain) -> dict[str, Any]:
        form = placed.form
        return {
            "orderId": placed.order_id, "symbol": form["symbol"], "status": _WORDS[placed.status],
            "clientOrderId": placed.name, "price": form.get("price", "0"), "avgPrice": "0",
            "origQty": form["quantity"], "executedQty": str(placed.filled),
            "cumQuote": str(placed.cost), "timeInForce": form.get("timeInForce", "GTC"),
            "type": form["type"], "reduceOnly": "reduceOnly" in form, "closePosition": False,
            "side": form["side"], "positionSide": "BOTH", "stopPrice": "0",
            "origType": form["type"], "updateTime": placed.at,
        }  # fmt: skip

    def _algo_row(self, waiting: Waiting) -> dict[str, Any]:
        form = waiting.form
        return {
            "algoId": waiting.algo_id, "clientAlgoId": form["clientAlgoId"],
            "algoType": "CONDITIONAL", "orderType": form["type"], "symbol": form["symbol"],
            "side": form["side"], "positionSide": "BOTH", "quantity": form["quantity"],
            "algoStatus": waiting.status, "actualOrderId": str(waiting.placed or ""),
            "triggerPrice": form["triggerPrice"], "price": form.get("price", "0"),
            "reduceOnly": "reduceOnly" in form, "closePosition": False,
            "workingType": form["workingType"], "updateTime": waiting.at,
        }  # fmt: skip


class BinanceVenueServer:
    """The account on a free port; `requests` are (what, parameters), as Binance read them."""

    def __init__(self, account: BinanceAccount, faults: Faults) -> None:
        self.account = account
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.mischief = Mischief(faults)
        self.peers: list[Peer] = []
        self.instead: dict[str, list[tuple[int, str]]] = {}  # bodies in place of answers
        self.after: dict[str, str] = {}  # headers of a refusal for haste
        self.paths: list[str] = []
        self.silent = False  # sockets stay open, and nothing is said over them
        self.port = 0
        self._go_on = asyncio.Event()
        self._go_on.set()
        self._runner: web.AppRunner | None = None
        account.listeners.append(self._tell)

    @property
    def urls(self) -> dict[str, Any]:
        http, socket = f"http://127.0.0.1:{self.port}", f"ws://127.0.0.1:{self.port}"
        return {
            "fapiPublic": f"{http}/fapi/v1",
            "fapiPrivate": f"{http}/fapi/v1",
            "fapiPrivateV3": f"{http}/fapi/v3",
            "sapi": f"{http}/sapi/v1",
            "ws": {"linear": f"{socket}/ws"},
        }

    async def __aenter__(self):
        await self.listen()
        return self

    async def __aexit__(self, *_):
        await self.deafen()

    async def listen(self):
        app = web.Application()
        app.add_routes(
            [
                web.get("/private/ws", self._serve_socket),
                web.route("*", "/{api}/v{version}/{name:.*}", self._serve),
            ]
        )
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]

    async def deafen(self):
        self._go_on.set()
        self.close_sockets()
        await self._runner.cleanup()

    def next(self, what, *accidents):
        self.mischief.order(what, *accidents)

    def let_go(self):
        self._go_on.set()

    @property
    def hangs(self):
        return not self._go_on.is_set()

    def close_sockets(self):
        for peer in self.peers:
            peer.outbox.put_nowait(None)

    def say(self, message):
        """Over the stream, whatever the faults."""
        for peer in self.peers:
            peer.outbox.put_nowait((_AT_ONCE, orjson.dumps(message).decode()))

    def expire_keys(self):
        """Have the streams' keys expire, as after an hour in which nobody kept them alive."""
        self.say({"e": "listenKeyExpired", "E": self.account.now_ms, "listenKey": LISTEN_KEY})

    def _tell(self, message):
        for peer in () if self.silent else tuple(self.peers):
            peer.shuffle.tell(message)
            if self.mischief.happens(self.mischief.faults.sockets_closed):
                peer.outbox.put_nowait(None)

    async def _serve_socket(self, request):
        self.paths.append(request.path_qs)
        is_dead = self.mischief.happens(self.mischief.faults.tokens_expired)
        if is_dead or request.query.get("listenKey") != LISTEN_KEY:
            raise web.HTTPBadRequest
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        peer = _Listener(socket, self.mischief, self.account.clock)
        self.peers.append(peer)
        try:
            async with asyncio.TaskGroup() as tasks:
                sending = tasks.create_task(peer.send_all())
                async for message in socket:
                    assert message.type is not WSMsgType.TEXT, "the stream takes no commands"
                sending.cancel()
        finally:
            self.peers.remove(peer)
        return socket

    async def _serve(self, request):
        name = request.match_info["name"]
        api = "sapi/" if request.match_info["api"] == "sapi" else ""
        what = f"{request.method} {api}{name}"
        accident = self.mischief.strike(what)
        if accident in UNPROCESSED:
            return self._befall(request, accident)
        if self.instead.get(what):
            status, body = self.instead[what].pop(0)
            return web.Response(status=status, text=body, content_type="application/json")
        text = await request.text() if request.method in ("POST", "PUT") else request.query_string
        faults, clock = self.mischief.faults, self.account.clock
        if accident is Accident.LATE:
            await clock.sleep(self.mischief.delay(faults.lateness_delay))
        status, body = self._answer(request, what, text)
        if accident is Accident.HANG:
            self._go_on.clear()
            await self._go_on.wait()
        elif accident in ANSWERED_BADLY:
            return self._befall(request, accident)
        await clock.sleep(self.mischief.delay(faults.answer_delay))
        return web.Response(status=status, body=orjson.dumps(body), content_type="application/json")

    def _answer(self, request, what, text):
        try:
            form = self._checked(request, what, text)
            self.requests.append((what, form))
            if what.endswith("listenKey"):
                return 200, {"listenKey": LISTEN_KEY}
            return 200, self.account.answer(what, form)
        except Declined as refusal:
            return refusal.status, refusal.body

    def _checked(self, request, what, text):
        form = dict(parse_qsl(text, keep_blank_values=True))
        if what == "GET exchangeInfo":
            assert "X-MBX-APIKEY" not in request.headers
            return form
        if request.headers.get("X-MBX-APIKEY") != KEY:
            raise Declined(-2015, "Invalid API-key, IP, or permissions for action.", 401)
        if what in _UNSIGNED:
            assert not form
            return form
        payload, _, signature = text.rpartition("&signature=")
        expected = hmac.new(SECRET.encode(), payload.encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected, signature):
            raise Declined(-1022, "Signature for this request is not valid.")
        age = self.account.now_ms - int(form["timestamp"])
        if not -1_000 < age <= int(form["recvWindow"]):
            raise Declined(-1021, "Timestamp for this request is outside of the recvWindow.")
        form = {name: value for name, value in form.items() if name not in _SIGNED}
        if unknown := form.keys() - set(_PARAMETERS[what].split()):
            raise Declined(-1104, f"Not all sent parameters were read: {sorted(unknown)}")
        return form

    def _befall(self, request, accident):
        if accident in _LOST:
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        if accident is Accident.BUSY:
            body = {"code": -1008, "msg": "Server is currently overloaded with other requests."}
            return web.json_response(body, status=503)
        return web.Response(
            status=_STATUS[accident],
            text="<html>gateway</html>",
            content_type="text/html",
            headers=self.after if accident is Accident.REFUSE_429 else {},
        )


class _Listener(Peer):
    """A socket of the stream, by way of what may befall its messages."""

    def __init__(self, socket, mischief, clock):
        super().__init__(socket)
        self.shuffle = Shuffle(mischief, self._put)
        self._mischief, self._clock = mischief, clock

    def _put(self, message):
        delay = self._mischief.delay(self._mischief.faults.event_delay)
        self.outbox.put_nowait((delay, orjson.dumps(message).decode()))

    async def send_all(self):
        while (letter := await self.outbox.get()) is not None:
            delay, text = letter
            await self._clock.sleep(delay)
            try:
                await self.socket.send_str(text)
            except ConnectionError:
                break
        await self.socket.close()


def _instrument(symbol, tick, lot="0.001"):
    return Instrument(
        symbol=symbol,
        tick=Decimal(tick),
        lot=Decimal(lot),
        min_quantity=Decimal(lot),
        min_notional=Decimal(5),
        max_leverage=Decimal(5),
    )


def _listing(instrument):
    base, quote = instrument.symbol.split("/")
    return {
        "symbol": base + quote, "pair": base + quote, "contractType": "PERPETUAL",
        "status": "TRADING", "requiredMarginPercent": "5.0000", "baseAsset": base,
        "quoteAsset": quote, "marginAsset": quote,
        "filters": [
            {"filterType": "PRICE_FILTER", "tickSize": str(instrument.tick)},
            {
                "filterType": "LOT_SIZE", "stepSize": str(instrument.lot),
                "minQty": str(instrument.min_quantity),
            },
            {"filterType": "MIN_NOTIONAL", "notional": str(instrument.min_notional)},
        ],
    }  # fmt: skip


def _side(form) -> Side:
    return Side(form["side"].lower())


def _declined(refusal: str) -> Declined:
    """The core's words for a refusal as Binance's."""
    codes = {
        "quantity": (-4003, "Quantity less than or equal to zero."),
        "notional": (-4164, "Order's notional must be no smaller than 5"),
        "reduce-only": (-2022, "ReduceOnly Order is rejected."),
        "exposure": (-2019, "Margin is insufficient."),
    }
    found = (theirs for ours, theirs in codes.items() if refusal.startswith(ours))
    return Declined(*next(found, (-2010, refusal)))

"""What Binance's USD-M futures answer about orders, fills and the account: pure translation.

Numbers come in as the text that Binance wrote.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from data.feeds.ccxt_source import at_milliseconds
from data.instrument import Price, Quantity, Side, Symbol, UnknownSymbol
from execution.charge import Charge, ChargeKind
from execution.fill import Fill, Liquidity
from execution.order import OrderStatus
from execution.venue import VenueOrder
from execution.venues.heard import BalanceTold

Json = Mapping[str, Any]

_ZERO: Final = Decimal(0)
_MILLISECOND: Final = timedelta(milliseconds=1)
_EPOCH: Final = at_milliseconds(0)
_PERPETUAL: Final = "PERPETUAL"
FUNDING, INSURANCE = "FUNDING_FEE", "INSURANCE_CLEAR"
"""Kinds of `income` that are charges; the second is paid for a liquidation."""

_CHARGES: Final = {FUNDING: ChargeKind.FUNDING, INSURANCE: ChargeKind.LIQUIDATION}
_LIQUIDATION: Final = "liquidation"
_FORCED: Final = {
    "autoclose-": _LIQUIDATION,
    "adl_autoclose": "automatic deleveraging",
    "settlement_autoclose-": "settlement",
}
_MOST_TOLD: Final = timedelta(days=7)  # of trades in one answer


def milliseconds(at: datetime) -> int:
    """Since 1970, rounded down."""
    return (at - _EPOCH) // _MILLISECOND


def perpetuals(exchange_info: Json) -> dict[Symbol, Json]:
    """The entries of exchangeInfo that are perpetual contracts of ours; others share names."""
    return {
        symbol: entry
        for entry in exchange_info["symbols"]
        if entry["contractType"] == _PERPETUAL and (symbol := _symbol_of(entry)) is not None
    }


_PLAIN_STATUSES: Final = {
    "NEW": OrderStatus.OPEN,
    "PARTIALLY_FILLED": OrderStatus.PARTIALLY_FILLED,
    "FILLED": OrderStatus.FILLED,
    "CANCELED": OrderStatus.CANCELLED,
    "EXPIRED": OrderStatus.EXPIRED,
    "EXPIRED_IN_MATCH": OrderStatus.EXPIRED,
    "REJECTED": OrderStatus.REJECTED,
    "NEW_INSURANCE": OrderStatus.OPEN,  # a liquidation
    "NEW_ADL": OrderStatus.OPEN,  # an auto-deleveraging
}
_CONDITIONAL_STATUSES: Final = {
    "NEW": OrderStatus.OPEN,
    "TRIGGERING": OrderStatus.OPEN,
    "TRIGGERED": OrderStatus.OPEN,
    "CANCELED": OrderStatus.CANCELLED,
    "EXPIRED": OrderStatus.EXPIRED,
    "REJECTED": OrderStatus.REJECTED,
}
"""Without FINISHED: what became of such an order, only the one that it placed can tell."""
_PLAIN_KEYS: Final = {
    "S": "side",
    "q": "origQty",
    "z": "executedQty",
    "sp": "stopPrice",
    "p": "price",
    "R": "reduceOnly",
    "X": "status",
}
_CONDITIONAL_KEYS: Final = {
    "caid": "clientAlgoId",
    "S": "side",
    "q": "quantity",
    "tp": "triggerPrice",
    "p": "price",
    "R": "reduceOnly",
    "X": "algoStatus",
}


def order_of_row(row: Json, symbol: Symbol, *, client_order_id: str) -> VenueOrder:
    """A plain order as `order` and `openOrders` tell it.

    Raises:
        LookupError, ArithmeticError, ValueError: it is none.
    """
    return VenueOrder(
        client_order_id=client_order_id,
        symbol=symbol,
        side=Side(row["side"].lower()),
        quantity=Quantity(Decimal(row["origQty"])),
        filled=Quantity(Decimal(row["executedQty"])),
        trigger=_price(row.get("stopPrice", "0")),
        limit=_price(row["price"]),
        reduce_only=bool(row["reduceOnly"]),
        status=_PLAIN_STATUSES[row["status"]],
    )


def order_of_update(said: Json, symbol: Symbol, *, client_order_id: str) -> VenueOrder:
    """A plain order as an ORDER_TRADE_UPDATE tells it.

    Raises:
        LookupError, ArithmeticError, ValueError: it is none.
    """
    return order_of_row(_as_row(said, _PLAIN_KEYS), symbol, client_order_id=client_order_id)


def conditional_of_row(row: Json, symbol: Symbol) -> VenueOrder:
    """A conditional order as `algoOrder` and `openAlgoOrders` tell it, with nothing filled.

    Raises:
        LookupError, ArithmeticError, ValueError: it is none, or is told by another.
    """
    return VenueOrder(
        client_order_id=row["clientAlgoId"],
        symbol=symbol,
        side=Side(row["side"].lower()),
        quantity=Quantity(Decimal(row["quantity"])),
        filled=Quantity(_ZERO),
        trigger=_price(row["triggerPrice"]),
        limit=_price(row["price"]),
        reduce_only=bool(row["reduceOnly"]),
        status=_CONDITIONAL_STATUSES[row["algoStatus"]],
    )


def conditional_of_update(said: Json, symbol: Symbol) -> VenueOrder | None:
    """A conditional order as an ALGO_UPDATE tells it; None once a plain order tells it better.

    Raises:
        LookupError, ArithmeticError, ValueError: it is none.
    """
    if said["X"] in ("TRIGGERING", "TRIGGERED", "FINISHED"):
        return None
    return conditional_of_row(_as_row(said, _CONDITIONAL_KEYS), symbol)


def _as_row(said: Json, keys: Mapping[str, str]) -> Json:
    """What the stream says by letters, by the names that answers have for it."""
    return {name: said[letter] for letter, name in keys.items() if letter in said}


def placed_by(row: Json) -> int | None:
    """The id of the plain order that a conditional one has placed: of a row, or an update."""
    text = row.get("actualOrderId") or row.get("ai")
    return int(text) if text else None


def fill_id(market_id: str, order_id: int, trade_id: int) -> str:
    """Trades are numbered by market, and one can have two orders of ours on its sides."""
    return f"{market_id}-{order_id}-{trade_id}"


def forced_by(client_order_id: str, kind: str = "") -> str:
    """The word for an order of the venue's own, which ends a position by force; empty: it is none.

    A liquidation, an automatic deleveraging, or the settlement of what is delisted or delivered.

    Source: developers.binance.com, USD-M futures, "Event: Order Update": special client order ids,
    and the order type LIQUIDATION.
    """
    for start, word in _FORCED.items():
        if client_order_id.startswith(start):
            return word
    return _LIQUIDATION if kind == "LIQUIDATION" else ""


def fill_of_row(row: Json, symbol: Symbol, *, client_order_id: str) -> Fill:
    """A fill as `userTrades` tells it; a commission below zero is paid to us.

    Raises:
        LookupError, ArithmeticError, ValueError: it is none.
    """
    return Fill(
        fill_id=fill_id(row["symbol"], int(row["orderId"]), int(row["id"])),
        client_order_id=client_order_id,
        symbol=symbol,
        side=Side(row["side"].lower()),
        quantity=Quantity(Decimal(row["qty"])),
        price=Price(Decimal(row["price"])),
        fee=Decimal(row["commission"]),
        fee_asset=row["commissionAsset"],
        liquidity=Liquidity.MAKER if row["maker"] else Liquidity.TAKER,
        filled_at=at_milliseconds(row["time"]),
        forced=forced_by(client_order_id),
    )


def fill_of_update(said: Json, symbol: Symbol, *, client_order_id: str) -> Fill | None:
    """The fill that an ORDER_TRADE_UPDATE tells of, if it does; free ones name no commission.

    Raises:
        LookupError, ArithmeticError, ValueError: it is none.
    """
    trade_id = int(said["t"])
    if trade_id <= 0:
        return None
    return Fill(
        fill_id=fill_id(said["s"], int(said["i"]), trade_id),
        client_order_id=client_order_id,
        symbol=symbol,
        side=Side(said["S"].lower()),
        quantity=Quantity(Decimal(said["l"])),
        price=Price(Decimal(said["L"])),
        fee=Decimal(said.get("n") or "0"),
        fee_asset=said.get("N") or symbol.quote,
        liquidity=Liquidity.MAKER if said["m"] else Liquidity.TAKER,
        filled_at=at_milliseconds(said["T"]),
        forced=forced_by(said["c"], said["o"]),
    )


def charge_of_row(row: Json, symbol: Symbol) -> Charge:
    """A payment of funding, or to the insurance fund, as `income` tells it: what we receive.

    Its number is unique among payments of its kind alone.

    Raises:
        LookupError, ArithmeticError, ValueError: it is none.
    """
    return Charge(
        charge_id=f"{row['incomeType']}-{row['tranId']}-{row['symbol']}",
        kind=_CHARGES[row["incomeType"]],
        asset=row["asset"],
        amount=Decimal(row["income"]).copy_negate(),
        symbol=symbol,
        charged_at=at_milliseconds(row["time"]),
    )


def holdings(account: Json, symbols: Mapping[str, Symbol]) -> dict[str, Decimal]:
    """Each asset of an account, as if what its positions hold had been bought and paid.

    A position's cost is what it is worth less what it has gained, both at one mark price.

    Args:
        account: The answer of `v3/account`.
        symbols: Of the markets in it.

    Raises:
        LookupError, ArithmeticError: it is none, or has a position that is not listed.
    """
    held = {row["asset"]: Decimal(row["walletBalance"]) for row in account["assets"]}
    for row in account["positions"]:
        symbol, amount = symbols[row["symbol"]], Decimal(row["positionAmt"])
        cost = Decimal(row["notional"]) - Decimal(row["unrealizedProfit"])
        held[symbol.base] = held.get(symbol.base, _ZERO) + amount
        held[symbol.quote] = held.get(symbol.quote, _ZERO) - cost
    return held


def windows(since: datetime, until: datetime) -> Iterator[tuple[datetime, datetime]]:
    """From `since` to `until` in spans of at most 7 days, the most that one answer covers."""
    while since < until:
        end = min(since + _MOST_TOLD, until)
        yield since, end
        since = end


def _symbol_of(entry: Json) -> Symbol | None:
    try:
        return Symbol(f"{entry['baseAsset']}/{entry['quoteAsset']}")
    except UnknownSymbol:
        return None


def _price(text: str) -> Price | None:
    """What is zero is none."""
    price = Decimal(text)
    return Price(price) if price else None


_BY_TRADING: Final = frozenset({"ORDER", "FUNDING_FEE", "MARGIN_TYPE_CHANGE", "AUTO_EXCHANGE"})


def balances_told(message: Json) -> Iterator[BalanceTold]:
    """What an `ACCOUNT_UPDATE` says of the wallet; other messages say nothing of it.

    Source: developers.binance.com, USD-M futures, "Event: Balance and Position Update".

    Raises:
        LookupError, ArithmeticError, ValueError: it cannot be read.
    """
    if message["e"] != "ACCOUNT_UPDATE":
        return
    update, at = message["a"], at_milliseconds(message["E"])
    for row in update.get("B", ()):
        yield BalanceTold(
            asset=str(row["a"]),
            left=Decimal(row["wb"]),
            at=at,
            by_trading=update["m"] in _BY_TRADING,
        )

"""Rows and messages as Kraken writes them, for the tests of its adapter."""

from tests.builders_venue import an_id

ENTRY, CHILD, OTHER = "OENTRY-AAAAA-AAAAAA", "OCHILD-AAAAA-AAAAAA", "OOTHER-AAAAA-AAAAAA"


def a_row(**changes):
    """An order in OpenOrders: a limit order to buy 2 at 100, by us."""
    described = {
        "pair": "XBTUSDT", "type": "buy", "ordertype": "limit", "price": "100.0", "price2": "0",
        "leverage": "none", "order": "buy 2.00000000 XBTUSDT @ limit 100.0", "close": "",
    } | changes.pop("descr", {})  # fmt: skip
    return {
        "refid": None, "userref": 0, "cl_ord_id": an_id("order"), "status": "open",
        "opentm": "1733815269.370054", "starttm": 0, "expiretm": 0, "descr": described,
        "vol": "2.00000000", "vol_exec": "0.00000000", "cost": "0.00000", "fee": "0.00000",
        "price": "0.00000", "stopprice": "0.00000", "limitprice": "0.00000", "misc": "",
        "oflags": "fciq",
    } | changes  # fmt: skip


def a_trade(**changes):
    """A fill in TradesHistory."""
    return {
        "ordertxid": ENTRY, "postxid": "TPOS", "pair": "XBTUSDT", "time": "1733815270.1234567",
        "type": "buy", "ordertype": "limit", "price": "99.9", "cost": "199.80000",
        "fee": "0.51948", "vol": "2.00000000", "margin": "0.00000", "leverage": "0", "misc": "",
        "trade_id": 7, "maker": True,
    } | changes  # fmt: skip


def an_execution(exec_type, **changes):
    """A row of the channel `executions`: as short as Kraken's, but for what it is about."""
    status = {"trade": "partially_filled", "amended": "new"}.get(exec_type, exec_type)
    row = {
        "order_id": ENTRY, "exec_type": exec_type, "order_status": status,
        "timestamp": "2026-03-02T12:00:00.000001Z",
    }  # fmt: skip
    whole = {
        "cl_ord_id": an_id("order"), "symbol": "BTC/USDT", "side": "buy", "order_qty": "2.0",
        "cum_qty": "0.0", "order_type": "limit", "limit_price": "100.0",
    }  # fmt: skip
    if exec_type in ("pending_new", "new"):
        row |= whole
    if exec_type == "trade":
        row |= {
            "exec_id": "TONE", "last_qty": "0.5", "last_price": "99.9", "liquidity_ind": "m",
            "fees": [{"asset": "USDT", "qty": "0.1"}], "cum_qty": "0.5", "symbol": "BTC/USDT",
            "side": "buy",
        }  # fmt: skip
    return row | changes

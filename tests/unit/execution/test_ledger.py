from datetime import timedelta
from decimal import Decimal

import pytest

from data.instrument import Symbol, UnknownSymbol
from execution.ledger import Ledger, UnbookableFill
from tests.builders_venue import BTC, CROSS, MINUTE, NOON, XRP, a_fill, instruments


def a_ledger(**balances):
    return Ledger(
        "USDT", {k: Decimal(v) for k, v in (balances or {"USDT": "10000"}).items()}, instruments()
    )


def booked(*fills, ledger=None):
    ledger = ledger or a_ledger()
    return ledger, [ledger.book(fill) for fill in fills]


@pytest.mark.parametrize(
    ("fills", "balances", "realised"),
    [
        pytest.param([("1", "100")], {"BTC": "1", "USDT": "9900"}, {}, id="bought"),
        pytest.param([("-1", "100")], {"BTC": "-1", "USDT": "10100"}, {}, id="sold short"),
        pytest.param(
            [("1", "100"), ("-1", "130")], {"USDT": "10030"}, {"USDT": "30"}, id="round trip"
        ),
        pytest.param(
            [("2", "100"), ("-1", "130")],
            {"BTC": "1", "USDT": "9930"},
            {"USDT": "30"},
            id="half taken off",
        ),
        pytest.param(
            [("1", "100"), ("-3", "130")],
            {"BTC": "-2", "USDT": "10290"},
            {"USDT": "30"},
            id="turned through zero",
        ),
        pytest.param(
            [("-2", "100"), ("1", "130"), ("1", "90")],
            {"USDT": "9980"},
            {"USDT": "-20"},
            id="short covered in two",
        ),
        pytest.param(
            [("1", "100"), ("1", "103"), ("1", "104"), ("-1", "110"), ("-1", "110")],
            {"BTC": "1", "USDT": "9913"},
            {"USDT": "15.333333333333"},
            id="a third of 307 released twice, to 12 places",
        ),
    ],
)
def test_fills_move_balances_and_realise_profit(fills, balances, realised):
    ledger, _ = booked(*(a_fill(n, *fill) for n, fill in enumerate(fills)))
    nonzero = {asset: amount for asset, amount in ledger.balances.items() if amount}
    assert nonzero == {asset: Decimal(text) for asset, text in balances.items()}
    assert {k: v for k, v in ledger.realised.items() if v} == {
        asset: Decimal(text) for asset, text in realised.items()
    }


def test_a_fill_is_booked_once():
    fill = a_fill(1, "1", "100", fee="0.26")
    once, _ = booked(fill)
    twice, closed = booked(fill, fill)
    assert closed == [None, None]
    assert twice.balances == once.balances
    assert twice.fees == once.fees == {"USDT": Decimal("0.26")}
    assert twice.has("F-1")
    assert not twice.has("F-2")


def test_a_fill_of_what_is_not_traded_stops_everything():
    with pytest.raises(UnbookableFill, match="ETH/USDT is not traded here"):
        a_ledger().book(a_fill(1, "1", "100", symbol=Symbol("ETH/USDT")))


def test_a_price_of_what_is_not_traded_is_refused():
    with pytest.raises(UnknownSymbol):
        a_ledger().mark(Symbol("ETH/USDT"), Decimal(1), NOON)


@pytest.mark.parametrize(
    ("fills", "marks", "equity"),
    [
        pytest.param([], {}, "10000", id="flat needs no price"),
        pytest.param([(BTC, "1", "100", "0")], {}, None, id="a position without a price"),
        pytest.param([(BTC, "1", "100", "1")], {BTC: "120"}, "10019", id="long"),
        pytest.param([(BTC, "-1", "100", "1")], {BTC: "120"}, "9979", id="short"),
        pytest.param([(CROSS, "100", "0.01", "0")], {CROSS: "0.02"}, None, id="no BTC/USDT"),
        pytest.param([(CROSS, "100", "0.01", "0")], {BTC: "100"}, None, id="no XRP/BTC"),
        pytest.param(
            [(CROSS, "100", "0.01", "0")],
            {CROSS: "0.02", BTC: "100", XRP: "999"},
            "10100",
            id="XRP/BTC through BTC/USDT: 100 x (0.02 - 0.01) x 100",
        ),
        pytest.param(
            [(CROSS, "100", "0.01", "0"), (CROSS, "-100", "0.02", "0")],
            {BTC: "100"},
            "10100",
            id="closed, the profit is still in BTC",
        ),
    ],
)
def test_equity_is_cash_and_positions_at_the_marks(fills, marks, equity):
    ledger, _ = booked(
        *(
            a_fill(n, quantity, price, symbol=symbol, fee=fee)
            for n, (symbol, quantity, price, fee) in enumerate(fills)
        )
    )
    for symbol, price in marks.items():
        ledger.mark(symbol, Decimal(price), NOON)
    expected = Decimal(equity) if equity is not None else None
    assert ledger.equity == expected
    assert ledger.account(as_of=NOON).equity == expected


def test_equity_follows_every_mark_and_fill():
    ledger, _ = booked(a_fill(1, "1", "100"))
    seen = []
    for price in ("100", "110", "90"):
        ledger.mark(BTC, Decimal(price), NOON)
        seen.append(ledger.equity)
    ledger.book(a_fill(2, "-1", "95"))
    ledger.mark(BTC, Decimal(5), NOON)
    assert [*seen, ledger.equity] == [10000, 10010, 9990, 9995]


def test_an_asset_that_nothing_converts_leaves_equity_unknown():
    assert a_ledger(USDT="100", EUR="1").equity is None


def test_a_stale_mark_is_no_price():
    ledger = Ledger("USDT", {"USDT": Decimal(100)}, instruments(), stale_after=2 * MINUTE)
    assert ledger.account(as_of=NOON).equity == 100
    ledger.book(a_fill(1, "10", "0.1", symbol=CROSS))
    ledger.mark(BTC, Decimal(100), NOON)
    ledger.mark(CROSS, Decimal("0.1"), NOON + MINUTE)
    assert ledger.account(as_of=NOON + 2 * MINUTE).equity == 100
    assert ledger.account(as_of=NOON + 2 * MINUTE + timedelta(seconds=1)).equity is None


def test_the_account_shows_positions_in_its_currency():
    ledger, _ = booked(
        a_fill(1, "100", "0.01", symbol=CROSS), a_fill(2, "100", "0.02", symbol=CROSS, minute=3)
    )
    ledger.mark(CROSS, Decimal("0.03"), NOON)
    ledger.mark(BTC, Decimal(100), NOON)
    account = ledger.account(as_of=NOON + MINUTE, reconciled=False)
    position = account.positions[CROSS]
    assert (position.quantity, position.entry_price) == (200, Decimal("0.015"))
    assert (position.mark, position.notional) == (Decimal("0.03"), 600)
    assert position.opened_at == NOON
    assert (account.cash, account.currency, account.reconciled) == (10000, "USDT", False)


def test_a_position_without_a_price_is_shown_and_equity_unknown():
    ledger, _ = booked(a_fill(1, "-1", "100"))
    account = ledger.account(as_of=NOON)
    assert account.held(BTC) == -1
    assert account.positions[BTC].mark == 100
    assert account.equity is None


def test_the_account_counts_dust_as_flat_but_owns_it():
    ledger, closed = booked(a_fill(1, "1", "100"), a_fill(2, "-0.96", "110", minute=2))
    ledger.mark(BTC, Decimal(110), NOON)
    account = ledger.account(as_of=NOON)
    assert closed[1].pnl == Decimal("9.6")
    assert account.positions == {}
    assert ledger.held(BTC) == Decimal("0.04")
    assert account.equity == 10010


def test_a_small_first_fill_does_not_end_the_trade():
    _, closed = booked(
        a_fill(1, "0.01", "100"), a_fill(2, "0.99", "100"), a_fill(3, "-1", "90", minute=1)
    )
    assert closed[:2] == [None, None]
    assert (closed[2].quantity, closed[2].pnl) == (1, -10)


def test_a_closed_trade_is_net_of_its_fees():
    _, closed = booked(
        a_fill(1, "1", "100", fee="0.26"),
        a_fill(2, "1", "110", fee="0.28"),
        a_fill(3, "-0.5", "120", fee="0.15"),
        a_fill(4, "-1.5", "130", fee="0.5", minute=7),
    )
    assert closed[:3] == [None] * 3
    trade = closed[3]
    assert trade.fees == Decimal("1.19")
    assert trade.pnl == Decimal(60) + Decimal(195) - 210 - trade.fees
    assert (trade.symbol, trade.quantity) == (BTC, 2)
    assert (trade.opened_at, trade.closed_at) == (NOON, NOON + 7 * MINUTE)


def test_turning_a_position_ends_one_trade_and_begins_the_next():
    _, closed = booked(
        a_fill(1, "1", "100"),
        a_fill(2, "-4", "110", fee="1", minute=2),
        a_fill(3, "3", "100", fee="0.1", minute=5),
    )
    first, second = closed[1:]
    assert (first.quantity, first.pnl, first.fees) == (1, Decimal("9.75"), Decimal("0.25"))
    assert (second.quantity, second.pnl, second.fees) == (-3, Decimal("29.15"), Decimal("0.85"))
    assert (second.opened_at, second.closed_at) == (NOON + 2 * MINUTE, NOON + 5 * MINUTE)


@pytest.mark.parametrize(
    ("rate", "pnl", "fees"),
    [
        pytest.param("200", "97", "103", id="at the mark of BTC/USDT"),
        pytest.param(None, None, None, id="without one"),
    ],
)
def test_a_trade_in_another_quote_is_converted(rate, pnl, fees):
    ledger = a_ledger()
    if rate is not None:
        ledger.mark(BTC, Decimal(rate), NOON)
    _, closed = booked(
        a_fill(1, "100", "0.01", symbol=CROSS, fee="0.5", fee_asset="BTC"),
        a_fill(2, "-100", "0.02", symbol=CROSS, fee="3", fee_asset="USDT"),
        ledger=ledger,
    )
    assert closed[1].pnl == (Decimal(pnl) if pnl else None)
    assert closed[1].fees == (Decimal(fees) if fees else None)


def test_a_fee_in_base_makes_the_position_smaller():
    ledger, _ = booked(a_fill(1, "1", "100", fee="0.01", fee_asset="BTC"))
    assert ledger.held(BTC) == ledger.balances["BTC"] == Decimal("0.99")
    assert ledger.cost(BTC) == 99
    assert ledger.fees == {"USDT": 1}


def test_a_fee_in_a_third_asset_is_paid_from_it():
    ledger, _ = booked(a_fill(1, "1", "100", fee="2", fee_asset="XRP"))
    assert ledger.cash == {"USDT": 9900, "XRP": -2}
    ledger.mark(BTC, Decimal(100), NOON)
    assert ledger.equity is None
    ledger.mark(XRP, Decimal("0.5"), NOON)
    assert ledger.equity == 9999


def test_what_nobody_marked_has_no_mark():
    ledger = a_ledger()
    assert ledger.last_mark(BTC) is None
    assert ledger.rate("BTC") is None
    ledger.mark(BTC, Decimal(7), NOON)
    assert ledger.last_mark(BTC).price == ledger.rate("BTC") == 7
    assert ledger.last_mark(BTC).at == NOON
    assert ledger.rate("USDT") == 1
    assert ledger.rate("EUR") is None

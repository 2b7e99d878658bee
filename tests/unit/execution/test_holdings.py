"""What is kept beside the trading book: whose fill is whose, and what is left of each asset."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from data.account import Holding
from data.instrument import Price
from execution.holdings import Bag, HoldingsBook, SetAside
from execution.ledger import Ledger, UnbookableFill
from tests.builders_venue import BTC, NOON, a_fill, instruments

OPENING = {"USDT": Decimal(10_000), "BTC": Decimal(1), "XRP": Decimal(0)}
KEPT = {"USDT": Decimal(4_000), "BTC": Decimal(1)}


def a_ledger(**terms):
    ledger = Ledger("USDT", OPENING, instruments(), portfolio=KEPT, **terms)
    ledger.mark(BTC, Price(Decimal(40_000)), NOON)
    return ledger


def bought(quantity="0.1", fee="16", asset="USDT", number=1):
    return a_fill(number, quantity, "40000", fee=fee, fee_asset=asset)


@pytest.mark.req("S0-2")
def test_what_is_kept_is_in_neither_cash_nor_equity():
    ledger = a_ledger()
    assert ledger.cash["USDT"] == ledger.equity == 6_000
    assert ledger.cash["BTC"] == 0
    assert ledger.balances == OPENING
    account = ledger.account(as_of=NOON)
    assert account.holdings == (
        Holding(asset="BTC", quantity=Decimal(1), value=Decimal(40_000)),
        Holding(asset="USDT", quantity=Decimal(4_000), value=Decimal(4_000)),
    )
    assert (account.kept, account.whole) == (44_000, 50_000)


def test_where_nothing_is_kept_there_is_no_whole():
    ledger = Ledger("USDT", OPENING, instruments())
    assert ledger.whole is None
    account = ledger.account(as_of=NOON)
    assert (account.whole, account.kept, account.holdings) == (None, 0, ())


@pytest.mark.req("S0-1", "S0-2")
@pytest.mark.parametrize(
    ("fill", "portfolio"),
    [
        pytest.param(bought(), {"BTC": "1.1", "USDT": "-16"}, id="a buy, fee in quote"),
        pytest.param(
            bought(fee="0.001", asset="BTC"), {"BTC": "1.099", "USDT": "0"}, id="fee in base"
        ),
        pytest.param(bought("-0.1"), {"BTC": "0.9", "USDT": "7984"}, id="a sale, fee in quote"),
        pytest.param(
            bought(fee="3", asset="XRP"),
            {"BTC": "1.1", "USDT": "0", "XRP": "-3"},
            id="fee in a third asset",
        ),
    ],
)
def test_an_exchange_moves_the_portfolio_alone(fill, portfolio):
    ledger = a_ledger()
    ledger.exchange(fill, for_bag=False)
    assert ledger.holdings.portfolio == {a: Decimal(q) for a, q in portfolio.items()}
    assert (ledger.equity, ledger.cash["USDT"], ledger.held(BTC)) == (6_000, 6_000, 0)
    assert ledger.account(as_of=NOON).positions == {}
    before = ledger.balances
    ledger.exchange(fill, for_bag=False)  # twice told is once booked
    assert ledger.balances == before


@pytest.mark.req("S0-36")
@pytest.mark.parametrize(
    ("fill", "bag", "cash"),
    [
        pytest.param(bought(), ("0.1", "4016"), "1984", id="fee in quote"),
        pytest.param(bought(fee="0.001", asset="BTC"), ("0.099", "4000"), "2000", id="in base"),
        pytest.param(bought(fee="3", asset="XRP"), ("0.1", "4000"), "2000", id="in another"),
    ],
)
def test_the_trading_book_pays_for_a_bag(fill, bag, cash):
    ledger = a_ledger()
    ledger.exchange(fill, for_bag=True)
    quantity, cost = map(Decimal, bag)
    assert ledger.holdings.bags == {"BTC": Bag(quantity=quantity, cost=cost)}
    assert ledger.holdings.spent == cost
    assert ledger.holdings.portfolio == KEPT
    assert ledger.cash["USDT"] == Decimal(cash)
    assert ledger.balances["BTC"] == 1 + quantity


def test_currency_set_aside_leaves_the_trading_book():
    ledger = a_ledger()
    ledger.set_aside(SetAside(at=NOON, asset="USDT", amount=Decimal("2.5")))
    assert ledger.holdings.bags["USDT"] == Bag(quantity=Decimal("2.5"), cost=Decimal("2.5"))
    assert ledger.equity == Decimal("5997.5")
    assert ledger.earned == 6_000  # it is no loss of the desks'
    assert ledger.balances == OPENING  # at the venue nothing has moved


def test_a_position_and_a_holding_of_one_asset_do_not_mix():
    ledger = a_ledger()
    ledger.book(bought())
    ledger.exchange(bought("-0.1", number=2), for_bag=False)
    assert ledger.held(BTC) == Decimal("0.1")
    assert ledger.holdings.quantity("BTC") == Decimal("0.9")
    assert ledger.balances["BTC"] == 1
    assert ledger.account(as_of=NOON).positions[BTC].quantity == Decimal("0.1")


def test_no_holding_is_of_what_is_not_traded_here():
    fill = replace(bought(), symbol="ETH/USDT")
    with pytest.raises(UnbookableFill):
        a_ledger().exchange(fill, for_bag=False)


@pytest.mark.parametrize(
    "ledger",
    [
        pytest.param(
            Ledger("USDT", OPENING, instruments(), portfolio=KEPT), id="never had a price"
        ),
        pytest.param(a_ledger(stale_after=timedelta(minutes=1)), id="a stale price"),
    ],
)
def test_where_what_is_kept_cannot_be_valued_equity_is_unknown(ledger):
    """So nothing is entered: fail closed."""
    account = ledger.account(as_of=NOON + timedelta(hours=1))
    assert account.equity is None
    assert account.whole is None


def test_an_empty_book_is_worth_nothing():
    book = HoldingsBook({"BTC": Decimal(0)})
    assert (book.worth(lambda asset: None), book.assets) == (0, frozenset())

"""What people are told of holdings and bags."""

from decimal import Decimal

import pytest

from agents.hodl import HodlBag, HodlState
from data.instrument import Price
from execution.ledger import Ledger
from sextant.evaluation.kept import kept_in_words, kept_of
from tests.builders_allocation import ASSETS
from tests.builders_venue import BTC, NOON, XRP, a_fill, instruments

OPENING = {"USDT": Decimal(3000), "BTC": Decimal("0.05"), "XRP": Decimal(0)}


def a_ledger(*marks):
    ledger = Ledger("USDT", OPENING | {"USDT": Decimal(9000)}, instruments(), portfolio=OPENING)
    for symbol, price in marks:
        ledger.mark(symbol, Price(Decimal(price)), NOON)
    return ledger


@pytest.mark.req("S0-2", "S0-36")
def test_shares_targets_drift_and_bags_are_told():
    ledger = a_ledger((BTC, "40000"), (XRP, "0.5"))
    ledger.exchange(a_fill(1, "0.001", "40000", fee="0.1"), for_bag=True)
    hodl = HodlState(bags={"XRP": HodlBag(waiting=Decimal("12.5"))})
    assert kept_in_words(kept_of(ledger, ASSETS, hodl), "USDT") == [
        "BTC: 0.05, 2,000.00 USDT, 40.0% of 33.33%, drift +6.7%; bag 0.001, cost 40.10 USDT",
        "XRP: 0, 0.00 USDT, 0.0% of 33.33%, drift -33.3%; bag 0, cost 0.00 USDT, "
        "12.50 USDT waits for it",
        "USDT: 3,000, 3,000.00 USDT, 60.0% of 33.34%, drift +26.7%; bag 0, cost 0.00 USDT",
    ]


def test_without_prices_no_share_is_made_up():
    kept = kept_of(a_ledger(), ASSETS, HodlState())
    assert [(each.share, each.drift) for each in kept] == [(None, None)] * 3
    assert kept_in_words(kept, "USDT")[0] == "BTC: 0.05, of unknown worth; bag 0, cost 0.00 USDT"

"""Funding, borrowing and liquidation, on the venues' own worked examples."""

import csv
from datetime import timedelta
from decimal import Decimal

import pytest

from data.funding import FundingRate
from data.instrument import Symbol
from execution.paper_costs import (
    LIQUIDATION_LEVEL,
    MARGIN_CALL_LEVEL,
    MarginRates,
    funding_paid,
    lent,
    maintenance_margin,
    maintenance_share,
    margin_level,
    margin_liquidation_price,
    opening_fee,
    perpetual_liquidation_price,
    rollover_fee,
    rollovers,
    used_margin,
)
from tests.builders_venue import NOON

HOUR = timedelta(hours=1)
RATES = MarginRates(opening=Decimal("0.0002"), rollover=Decimal("0.0001"))


def a_rate(rate, *, seen_at=NOON):
    return FundingRate(
        symbol=Symbol("BTC/USDC"), at=NOON, seen_at=seen_at, rate=Decimal(rate), interval=HOUR
    )


@pytest.mark.parametrize(
    ("rate", "position", "paid"),
    [
        pytest.param("0.0001", "2", "10", id="a long pays"),
        pytest.param("0.0001", "-2", "-10", id="a short receives"),
        pytest.param("-0.0001", "2", "-10", id="a long receives where the rate is below zero"),
        pytest.param("0.0001", "0", "0", id="who holds nothing pays nothing"),
    ],
)
def test_funding_is_notional_times_rate(rate, position, paid):
    assert funding_paid(a_rate(rate), Decimal(position), Decimal(50_000)) == Decimal(paid)


def test_a_forecast_of_funding_is_paid_by_nobody():
    with pytest.raises(ValueError, match="not settled"):
        funding_paid(a_rate("0.0001", seen_at=NOON - HOUR), Decimal(1), Decimal(1))


def test_a_recorded_month_of_funding_adds_up_exactly(shared_data):
    path = shared_data / "hyperliquid_info" / "btc_funding_1h.csv"
    with path.open() as file:
        rates = [Decimal(row["rate"]) for row in csv.DictReader(file)]
    paid = [funding_paid(a_rate(rate), Decimal("0.5"), Decimal(30_000)) for rate in rates]
    assert sum(paid) == sum(rates) * 15_000


@pytest.mark.parametrize(
    ("position", "amount"),
    [
        pytest.param("2", "100", id="a long owes what it cost, whatever it is worth"),
        pytest.param("-2", "140", id="a short owes what base is worth"),
    ],
)
def test_what_is_lent(position, amount):
    assert lent(Decimal(position), Decimal(100), Decimal(70)) == Decimal(amount)


def test_fees_are_shares_of_what_is_lent():
    assert opening_fee(Decimal(10_000), RATES) == 2
    assert rollover_fee(Decimal(10_000), RATES, 3) == 3


@pytest.mark.parametrize(
    ("since", "until", "times"),
    [
        pytest.param(0, 3.99, 0, id="not yet"),
        pytest.param(0, 4, 1, id="after four hours"),
        pytest.param(4, 8, 1, id="the one before was counted"),
        pytest.param(4, 7.9, 0, id="between two"),
        pytest.param(0, 24, 6, id="a day"),
        pytest.param(-10, 5, 1, id="before it was opened nothing rolls"),
        pytest.param(9, 2, 0, id="backwards"),
    ],
)
def test_a_position_rolls_over_each_four_hours(since, until, times):
    assert rollovers(NOON, NOON + since * HOUR, NOON + until * HOUR) == times


@pytest.mark.parametrize(
    ("position", "entry", "balance", "level", "price"),
    [
        pytest.param("1", "20000", "10000", "0.8", "13200", id="Kraken's long: its margin call"),
        pytest.param("1", "20000", "10000", "0.4", "11600", id="and its liquidation"),
        pytest.param("1.5", "30000", "10000", "0.8", "28133.33", id="Kraken's other long"),
        pytest.param("-0.2", "50000", "5000", "0.7515", "65200", id="Kraken's short, at 75 %"),
        pytest.param("0.1", "20000", "10000", "0.4", None, id="a long that is paid for"),
    ],
)
def test_krakens_examples_of_margin(position, entry, balance, level, price):
    found = margin_liquidation_price(
        Decimal(position),
        Decimal(entry),
        leverage=Decimal(5),
        balance=Decimal(balance),
        level=Decimal(level),
    )
    if price is None:
        assert found is None
    else:
        assert found == pytest.approx(Decimal(price), rel=Decimal("1e-4"))


@pytest.mark.parametrize(
    ("position", "price", "level"),
    [
        pytest.param("-0.2", "50000", "2.5", id="opened"),
        pytest.param("-0.2", "65200", "0.7515", id="at a loss, with more margin used"),
        pytest.param("0.2", "50000", "2.5", id="a long"),
    ],
)
def test_krakens_margin_level(position, price, level):
    size, now = Decimal(position), Decimal(price)
    equity = 5_000 + size * (now - 50_000)
    used = used_margin(lent(size, Decimal(10_000), now), Decimal(5))
    assert margin_level(equity, used) == pytest.approx(Decimal(level), rel=Decimal("1e-4"))
    assert LIQUIDATION_LEVEL < MARGIN_CALL_LEVEL


def test_without_a_position_there_is_no_margin_level():
    assert margin_level(Decimal(5_000), Decimal(0)) is None


@pytest.mark.parametrize(
    ("max_leverage", "share"),
    [pytest.param(50, "0.01", id="1 %"), pytest.param(3, "0.1667", id="16.7 %")],
)
def test_hyperliquids_maintenance_margin(max_leverage, share):
    assert round(maintenance_share(Decimal(max_leverage)), 4) == Decimal(share)


@pytest.mark.parametrize("position", ["1.5", "-1.5"])
@pytest.mark.parametrize("elsewhere", ["0", "300"])
def test_at_its_liquidation_price_a_perpetual_has_its_maintenance_margin_left(position, elsewhere):
    size, mark, share = Decimal(position), Decimal(2_000), Decimal("0.01")
    price = perpetual_liquidation_price(
        size, mark, equity=Decimal(1_000), share=share, elsewhere=Decimal(elsewhere)
    )
    left = 1_000 + size * (price - mark)
    needed = maintenance_margin([(size * Decimal(round(price, 18)), share)]) + Decimal(elsewhere)
    assert left == pytest.approx(needed, rel=Decimal("1e-12"))


def test_a_long_perpetual_with_all_its_value_behind_it_is_never_liquidated():
    price = perpetual_liquidation_price(
        Decimal(1), Decimal(2_000), equity=Decimal(2_000), share=Decimal("0.01")
    )
    assert price is None


def test_what_is_flat_cannot_be_liquidated():
    with pytest.raises(ValueError, match="flat"):
        perpetual_liquidation_price(
            Decimal(0), Decimal(1), equity=Decimal(1), share=Decimal("0.01")
        )
    with pytest.raises(ValueError, match="flat"):
        margin_liquidation_price(Decimal(0), Decimal(1), leverage=Decimal(5), balance=Decimal(1))

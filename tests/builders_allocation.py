"""Holdings, targets and settings of PARAMETERS 1.8, to be varied by a test."""

from datetime import timedelta
from decimal import Decimal

from agents.allocation import AllocationSettings, Holdings, equal_targets
from agents.hodl import HodlSettings
from data.account import ClosedTrade
from tests.builders_venue import BTC, NOON, instruments

ASSETS = ("BTC", "XRP", "USDT")
TARGETS = equal_targets(ASSETS)
PRICES = {"BTC": Decimal(40000), "XRP": Decimal("0.5"), "USDT": Decimal(1)}
INSTRUMENTS = instruments()
HOUR = timedelta(hours=1)


def settings_with(**changes):
    numbers = {
        "assets": ASSETS,
        "trigger": "0.05",
        "warn": "0.08",
        "critical": "0.15",
        "min_interval": "PT24H",
        "min_trade": "10",
        "batch_above": "500",
        "batches": 6,
        "batch_interval": "PT4H",
        "max_slippage": "0.005",
    }
    return AllocationSettings.model_validate(numbers | changes)


def hodl_settings(**changes):
    numbers = {
        "currency": "USDT",
        "share": "0.1",
        "min_profit": "1",
        "split": {"XRP": "0.3333", "BTC": "0.3333", "USDT": "0.3334"},
        "thresholds": {"XRP": "25", "BTC": "15", "USDT": "1"},
        "max_at_once": "1000",
        "max_a_day": "5000",
        "max_slippage": "0.005",
        "retries": 3,
        "retry_after": "PT30S",
    }
    return HodlSettings.model_validate(numbers | changes)


def holdings_worth(btc="0", xrp="0", usdt="0", prices=PRICES):
    """Holdings of so much value of each."""
    values = {"BTC": Decimal(btc), "XRP": Decimal(xrp), "USDT": Decimal(usdt)}
    return Holdings(
        quantities={asset: value / prices[asset] for asset, value in values.items()}, prices=prices
    )


def a_profit(pnl, at=NOON):
    return ClosedTrade(
        symbol=BTC,
        quantity=Decimal(1),
        pnl=Decimal(pnl) if pnl is not None else None,
        fees=Decimal(0),
        opened_at=at - HOUR,
        closed_at=at,
    )

"""Which adapter speaks to which exchange, for the commands."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from data.clock import Clock
from data.feeds.rate_budget import Allowance, RateBudget
from data.feeds.source import MarketSource


class Exchange(StrEnum):
    """The venues whose market is collected, by their name in the store."""

    KRAKEN = "kraken"
    BINANCE = "binanceusdm"
    BINANCE_TESTNET = "binanceusdm_testnet"
    HYPERLIQUID = "hyperliquid"


def rate_budget(exchange: Exchange, clock: Clock) -> RateBudget:
    """What one address may ask of the venue; whoever asks from it spends from one budget."""
    match exchange:
        case Exchange.KRAKEN:
            from data.feeds import kraken

            return kraken.rate_budget(clock)
        case Exchange.BINANCE | Exchange.BINANCE_TESTNET:
            from data.feeds import binance

            return binance.rate_budget(clock)
        case Exchange.HYPERLIQUID:
            from data.feeds import hyperliquid

            return hyperliquid.rate_budget(clock)


def open_source(
    exchange: Exchange,
    clock: Clock,
    *,
    budget: Allowance | None = None,
    urls: Mapping[str, Any] | None = None,
) -> MarketSource:
    """The venue's public data; the caller closes it.

    Args:
        budget: Shared with whoever else asks the venue; without it, the source has its own.
        urls: Addresses in place of the venue's own, as ccxt names them.
    """
    budget = budget or rate_budget(exchange, clock)
    match exchange:  # the libraries take a second to import
        case Exchange.KRAKEN:
            from data.feeds import kraken

            return kraken.KrakenSource(clock=clock, budget=budget, urls=urls)
        case Exchange.BINANCE | Exchange.BINANCE_TESTNET:
            from data.feeds import binance

            return binance.BinanceSource(
                clock=clock,
                budget=budget,
                testnet=exchange is Exchange.BINANCE_TESTNET,
                urls=urls,
            )
        case Exchange.HYPERLIQUID:
            from data.feeds import hyperliquid

            return hyperliquid.HyperliquidSource(clock=clock, budget=budget, urls=urls)

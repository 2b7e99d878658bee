"""Which adapter speaks to which exchange, for the commands."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from data.clock import Clock
from data.feeds.source import MarketSource


class Exchange(StrEnum):
    """The venues whose market is collected, by their name in the store."""

    KRAKEN = "kraken"
    BINANCE = "binanceusdm"
    BINANCE_TESTNET = "binanceusdm_testnet"
    HYPERLIQUID = "hyperliquid"


def open_source(
    exchange: Exchange, clock: Clock, *, urls: Mapping[str, Any] | None = None
) -> MarketSource:
    """The venue's public data with a rate budget of its own; the caller closes it.

    Args:
        urls: Addresses in place of the venue's own, as ccxt names them.
    """
    match exchange:  # the libraries take a second to import
        case Exchange.KRAKEN:
            from data.feeds import kraken

            return kraken.KrakenSource(clock=clock, budget=kraken.rate_budget(clock), urls=urls)
        case Exchange.BINANCE | Exchange.BINANCE_TESTNET:
            from data.feeds import binance

            return binance.BinanceSource(
                clock=clock,
                budget=binance.rate_budget(clock),
                testnet=exchange is Exchange.BINANCE_TESTNET,
                urls=urls,
            )
        case Exchange.HYPERLIQUID:
            from data.feeds import hyperliquid

            return hyperliquid.HyperliquidSource(
                clock=clock, budget=hyperliquid.rate_budget(clock), urls=urls
            )

"""Which adapter speaks to which exchange, for the commands."""

from enum import StrEnum

from data.clock import Clock
from data.feeds.source import MarketSource


class Exchange(StrEnum):
    """The venues whose market is collected, by their name in the store."""

    KRAKEN = "kraken"
    BINANCE = "binanceusdm"
    BINANCE_TESTNET = "binanceusdm_testnet"
    HYPERLIQUID = "hyperliquid"


def open_source(exchange: Exchange, clock: Clock) -> MarketSource:
    """The venue's public data with a rate budget of its own; the caller closes it."""
    match exchange:  # the libraries take a second to import
        case Exchange.KRAKEN:
            from data.feeds import kraken

            return kraken.KrakenSource(clock=clock, budget=kraken.rate_budget(clock))
        case Exchange.BINANCE | Exchange.BINANCE_TESTNET:
            from data.feeds import binance

            return binance.BinanceSource(
                clock=clock,
                budget=binance.rate_budget(clock),
                testnet=exchange is Exchange.BINANCE_TESTNET,
            )
        case Exchange.HYPERLIQUID:
            from data.feeds import hyperliquid

            return hyperliquid.HyperliquidSource(clock=clock, budget=hyperliquid.rate_budget(clock))

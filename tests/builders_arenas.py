"""Every real exchange that has an adapter; a new one adds its arena, and has all these tests.

`tests/contract/test_venue.py` holds for these as for the paper venues, `test_venue_abroad.py` for
these alone.
"""

from tests.builders_binance_venue import BinanceArena
from tests.builders_hyperliquid_venue import HyperliquidArena
from tests.builders_kraken_venue import KrakenArena
from tests.builders_venue import approved

EXCHANGES = {"kraken": KrakenArena, "binance": BinanceArena, "hyperliquid": HyperliquidArena}


def a_stop(name, trigger, *, replaces=None, quantity="-1"):
    return approved(name, quantity, trigger=trigger, reduce_only=True, replaces=replaces)

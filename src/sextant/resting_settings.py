"""How long entries may rest, by our own word and by the venue's: ours has to come first."""

from collections.abc import Iterator
from datetime import timedelta

from execution.passive import PassiveSettings
from execution.venues.binance_settings import BinanceVenueSettings
from execution.venues.hyperliquid_settings import HyperliquidVenueSettings
from execution.venues.kraken_settings import KrakenVenueSettings
from sextant.allocator_settings import AllocatorSettings

OutlivingVenue = KrakenVenueSettings | BinanceVenueSettings | HyperliquidVenueSettings
"""Where an order may outlive us."""


def resting_problems(
    venue: OutlivingVenue, passive: PassiveSettings, allocation: AllocatorSettings | None
) -> Iterator[str]:
    """Whatever we wait for would be over before: an entry's end at the venue is in `[venue]`."""
    waits = {}
    if passive.entries:
        waits["passive.cross_after"] = passive.cross_after
    if allocation is not None and allocation.enabled:
        waits["allocation.patience"] = allocation.patience
    for key, wait in waits.items():
        for end, span in _ends(venue).items():
            if wait >= span:
                yield (
                    f"{key}: {wait} is no shorter than {end}, {span}, after which the venue ends "
                    f"what rests; set {key} below it, or raise {end}"
                )


def _ends(venue: OutlivingVenue) -> dict[str, timedelta]:
    ends = {"venue.dead_man.deadline": venue.dead_man.deadline}
    if not isinstance(venue, HyperliquidVenueSettings) and venue.entries_rest is not None:
        ends["venue.entries_rest"] = venue.entries_rest
    return ends

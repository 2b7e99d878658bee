"""A private stream that is open and tells nothing: noticed, opened again, made up for by asking."""

import asyncio
from datetime import timedelta

from execution.fill import Fill
from execution.venues.ccxt_venue import CcxtVenueSettings
from sextant.rehearsal.faults import Faults
from tests import builders_hyperliquid_venue as hyperliquid
from tests import builders_kraken_venue as kraken
from tests.builders_exchange_venue import AheadClock
from tests.builders_rehearsal import until
from tests.builders_venue import an_id, approved

HASTY = CcxtVenueSettings(
    look_every=timedelta(hours=1),
    first_redial=timedelta(milliseconds=10),
    last_redial=timedelta(milliseconds=10),
    stream_quiet=timedelta(seconds=3),
)


async def test_one_that_has_lost_its_heartbeat_is_opened_again(monkeypatch):
    monkeypatch.setattr(kraken, "OFTEN", HASTY)
    async with kraken.a_site() as site:
        await until(lambda: site.venue._heard_at is not None)
        site.control.silence()
        await site.venue.submit(approved("order", "1"))
        await until(lambda: site.venue.faults)
        assert "silent" in str(site.venue.last_fault)
        site.control.silence(on=False)
        async with asyncio.timeout(60):
            await site.venue.wait()
        events = site.venue.drain()
        assert [e.client_order_id for e in events if isinstance(e, Fill)] == [an_id("order")]
        await until(lambda: site.control.listeners)


async def test_one_that_only_beats_is_not_given_up(monkeypatch):
    """The heart of a stream beats once a second; nothing else happens for a while."""
    monkeypatch.setattr(kraken, "OFTEN", HASTY)
    async with kraken.a_site() as site:
        since = None

        def has_beaten():
            nonlocal since
            since = since or site.venue._heard_at
            return since is not None and site.venue._heard_at - since > 2 * HASTY.stream_quiet

        await until(has_beaten)
        assert site.venue.faults == 0


async def test_one_that_does_not_tell_what_questions_do_is_opened_again():
    """Where no heart beats, what it should have said long ago gives it away."""
    clock = AheadClock()
    async with hyperliquid.a_site(clock=clock) as site:
        await site.venue.submit(hyperliquid.usdc("heard", "1", limit="80"))
        async with asyncio.timeout(60):
            await site.venue.wait()
        site.venue.drain()
        site.server.mischief.change(Faults(dropped=1.0))
        await site.venue.submit(hyperliquid.usdc("order", "1"))
        site.server.mischief.change(Faults())
        clock.ahead += timedelta(minutes=1)
        await site.venue.look()
        assert [e for e in site.venue.drain() if isinstance(e, Fill)]
        await until(lambda: "has not told" in str(site.venue.last_fault))
        await until(lambda: site.server.is_heard)

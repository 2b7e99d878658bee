"""A recorded answer to what role an address has, before the check of the key."""

import orjson
import pytest

from execution.venues.answers import KeyRefused
from tests.builders_hyperliquid_venue import a_site


@pytest.fixture
def recorded(shared_data):
    """A question after an address's role, and Hyperliquid's answer."""
    return orjson.loads((shared_data / "hyperliquid_info" / "userRole.json").read_bytes())


@pytest.mark.req("S1-139")
async def test_a_vaults_role_as_recorded_is_refused(recorded):
    """We ask as was asked then, and what was answered is no agent."""
    async with a_site(running=False) as site:
        site.server.roles[site.server.agent] = recorded["response"]
        with pytest.raises(KeyRefused, match="no agent: its role is vault"):
            await site.exchange.require_safe_key()
        (asked,) = (body for _, body in site.server.requests if body["type"] == "userRole")
        assert site.server.signers == []
    assert asked == recorded["request"] | {"user": site.server.agent}

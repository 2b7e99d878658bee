"""Where a store may keep what it is given: the same suite runs on all.

A `conftest.py` takes the fixtures by importing them, with those of the two servers.
"""

import pytest

from tests.builders_timescale import TIMESCALE

POOLS = {"postgres": "pool", "timescale": "timescale_pool"}
ON_TIMESCALE = pytest.param("timescale", marks=TIMESCALE)


@pytest.fixture(params=["memory", "postgres", ON_TIMESCALE])
def kept_in(request):
    """A pool over a database of the test's own; None for memory."""
    return request.getfixturevalue(POOLS[request.param]) if request.param in POOLS else None


@pytest.fixture(params=["postgres", ON_TIMESCALE])
def any_pool(request):
    """A pool over a database of the test's own."""
    return request.getfixturevalue(POOLS[request.param])

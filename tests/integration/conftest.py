"""What the integration tests share."""

import pytest

from tests.builders_postgres import (  # noqa: F401 - fixtures
    pool,
    postgres,
    postgres_server,
    server_folder,
)
from tests.builders_stores import any_pool, kept_in  # noqa: F401 - fixtures
from tests.builders_timescale import (  # noqa: F401 - fixtures
    empty_timescale,
    timescale_pool,
    timescale_server,
)


@pytest.fixture(autouse=True)
def _markets_held(held_clock: None) -> None:
    """No test of a daemon depends on how many bars of a made-up market it sees a second."""

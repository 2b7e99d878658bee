"""What the contract suites share."""

from tests.builders_postgres import (  # noqa: F401 - fixtures
    pool,
    postgres,
    postgres_server,
    server_folder,
)

"""PostgreSQL and TimescaleDB through asyncpg: server, migrations, stores, upkeep.

Only `sextant` and the collectors import it.
"""

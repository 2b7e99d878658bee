"""PostgreSQL and TimescaleDB through asyncpg: server, migrations, queries.

Only `sextant` imports it.
"""

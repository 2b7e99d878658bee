"""Collectors: what is kept of a venue's market is made whole, and stays so.

Owns finding what is missing, fetching it and counting what came of it; `data.kraken_db` is the
same for Kraken, with what only Kraken has. Promises that any of it may be killed at any point and
run again, and that what is whole is left as it is. Works on the ports of `data`; only commands
here know `data.feeds` and `data.postgres`.
"""

"""Headlines kept in PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import asyncpg

from data.news import NewsItem, NewsStream
from data.postgres.pool import Pool, unavailable

_PUT: Final = """
    INSERT INTO news (source, stream, url, title, published_at, first_seen_at)
    SELECT DISTINCT ON (source, url, title) source, stream, url, title, published_at, first_seen_at
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[],
                $6::timestamptz[])
         WITH ORDINALITY AS given (source, stream, url, title, published_at, first_seen_at, place)
    ORDER BY source, url, title, place
    ON CONFLICT (source, md5(url), md5(title)) DO NOTHING
"""
_KNOWN: Final = """
    SELECT source, stream, url, title, published_at, first_seen_at FROM news
    WHERE known_at BETWEEN $1 AND $2
    ORDER BY known_at, source COLLATE "C", url COLLATE "C", title COLLATE "C"
"""


class PostgresNewsStore:
    """Headlines of all sources; what was seen before stays what it was."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def put(self, items: Sequence[NewsItem]) -> None:
        """Keep `items` in one statement; of two with the same key the earlier one counts.

        Raises:
            StoreUnavailable: nothing was kept, or, where the connection broke during the commit,
                all were; to put them again is right either way.
        """
        with unavailable():
            await self._pool.execute(
                _PUT,
                [item.source for item in items],
                [item.stream.value for item in items],
                [item.url for item in items],
                [item.title for item in items],
                [item.published_at for item in items],
                [item.first_seen_at for item in items],
            )

    async def known(self, *, since: datetime, until: datetime) -> list[NewsItem]:
        """What became known in [since, until], by that time, then by its key.

        Raises:
            StoreUnavailable: the store cannot be reached now.
        """
        with unavailable():
            rows = await self._pool.fetch(_KNOWN, since, until)
        return [_item(row) for row in rows]


def _item(row: asyncpg.Record) -> NewsItem:
    return NewsItem(
        source=row["source"],
        stream=NewsStream(row["stream"]),
        url=row["url"],
        title=row["title"],
        published_at=row["published_at"],
        first_seen_at=row["first_seen_at"],
    )

"""Headlines, feeds of them, and a server that serves feeds well and badly."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from aiohttp import web

from data.headlines import Draft, Terms
from data.news import NewsItem, NewsStream

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
MICRO, MACRO = NewsStream.MICRO, NewsStream.MACRO


def an_item(
    title="Bitcoin moves",
    *,
    published=0.0,
    seen=None,
    source="wire",
    url=None,
    stream=MICRO,
):
    """Times are minutes before noon; an item is seen at once if not said."""
    return NewsItem(
        source=source,
        stream=stream,
        title=title,
        url=f"https://news.example/{title}".replace(" ", "-") if url is None else url,
        published_at=NOON - timedelta(minutes=published),
        first_seen_at=NOON - timedelta(minutes=published if seen is None else seen),
    )


def a_draft(title="Bitcoin moves", published="2026-01-05T11:00:00Z", **changes):
    return Draft(title=title, published=published, **{"url": "https://news.example/1"} | changes)


def terms(**changes):
    return Terms(**{"source": "wire", "stream": MICRO} | changes)


def an_rss(*entries):
    """RSS of (title, pubDate) pairs; a date that is a time is written as RFC 822 has it."""
    items = "".join(
        f"<item><title>{title}</title><link>https://news.example/{title.replace(' ', '-')}</link>"
        + (f"<pubDate>{_written(date)}</pubDate>" if date is not None else "")
        + "</item>"
        for title, date in entries
    )
    return f'<?xml version="1.0"?><rss version="2.0"><channel>{items}</channel></rss>'.encode()


def _written(date):
    return format_datetime(date, usegmt=True) if isinstance(date, datetime) else date


@dataclass(kw_only=True)
class Page:
    """What the server answers at a path."""

    body: bytes = b""
    status: int = 200
    content_type: str = "application/rss+xml"
    headers: dict[str, str] = field(default_factory=dict)
    etag: str | None = None
    delay: asyncio.Event | None = None  # no answer before it


class FeedServer:
    """Pages by path on loopback; what was asked is on record."""

    def __init__(self):
        self.pages: dict[str, Page] = {}
        self.asked: list[tuple[str, int]] = []  # path, status
        self._runner = None
        self.port = 0

    def url(self, path):
        return f"http://127.0.0.1:{self.port}{path}"

    async def __aenter__(self):
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_):
        for page in self.pages.values():
            if page.delay is not None:
                page.delay.set()
        await self._runner.cleanup()

    async def _answer(self, request):
        page = self.pages[request.path]
        if page.delay is not None:
            await page.delay.wait()
        headers = dict(page.headers)
        if page.etag is not None:
            headers["ETag"] = page.etag
            if request.headers.get("If-None-Match") == page.etag:
                self.asked.append((request.path, 304))
                return web.Response(status=304, headers=headers)
        self.asked.append((request.path, page.status))
        headers["Content-Type"] = page.content_type
        return web.Response(status=page.status, body=page.body, headers=headers)

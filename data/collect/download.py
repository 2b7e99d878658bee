"""One document from an address that is not ours: bounded in size, time and hops."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import aiohttp

from data.feeds.source import RateLimited, SourceUnavailable
from data.headline_documents import DocumentKind

_HOPS: Final = 3
_LONGEST_ASK: Final = timedelta(days=1)  # whoever asks for more patience gets this much
_HEADER: Final = 500  # characters of a validator that are sent back
_TYPES: Final = {
    DocumentKind.XML: ("xml",),  # application/rss+xml, text/xml, ...
    DocumentKind.JSON: ("json",),  # application/feed+json, ...
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Validators:
    """By what a server knows which state of a document we have."""

    etag: str | None = None
    last_modified: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        asked = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        return {name: value for name, value in asked.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What a server sent."""

    body: bytes
    validators: Validators


@dataclass(frozen=True, slots=True, kw_only=True)
class Unchanged:
    """It is what we had before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadLimits:
    """What a server may take of our time and memory."""

    timeout: timedelta
    max_bytes: int


def open_session() -> aiohttp.ClientSession:
    """For all downloads of a task: no cookies, no proxies or passwords of the surroundings."""
    return aiohttp.ClientSession(
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        headers={"Accept-Encoding": "identity", "User-Agent": "sextant"},
    )


async def download(
    session: aiohttp.ClientSession,
    url: str,
    kind: DocumentKind,
    validators: Validators,
    limits: DownloadLimits,
) -> Document | Unchanged:
    """The document at `url`, unless it is what `validators` say.

    Raises:
        SourceUnavailable: it cannot be had, or is no such document, or breaks a limit.
        RateLimited: the server asks for patience.
    """
    try:
        async with session.get(
            url,
            headers=validators.headers,
            max_redirects=_HOPS,
            timeout=aiohttp.ClientTimeout(total=limits.timeout.total_seconds()),
        ) as response:
            if response.status == 304 and validators.headers:
                return Unchanged()
            _require_document(response, kind)
            body = await _body(response, limits.max_bytes)
            return Document(body=body, validators=_validators(response))
    except aiohttp.TooManyRedirects as error:
        raise SourceUnavailable(f"more than {_HOPS} redirects") from error
    except TimeoutError as error:
        raise SourceUnavailable(f"no answer in {limits.timeout.total_seconds():g} s") from error
    except (aiohttp.ClientError, OSError) as error:
        raise SourceUnavailable(f"{type(error).__name__}: {error}"[:300]) from error


def _require_document(response: aiohttp.ClientResponse, kind: DocumentKind) -> None:
    if response.status in {429, 503}:
        raise RateLimited(f"status {response.status}", retry_after=_retry_after(response))
    if response.status != 200:
        raise SourceUnavailable(f"status {response.status}")
    if not response.content_type.endswith(_TYPES[kind]):
        raise SourceUnavailable(f"it sends {response.content_type!r}, not {kind}"[:200])
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise SourceUnavailable("it sends compressed what was asked for as it is")


def _retry_after(response: aiohttp.ClientResponse) -> timedelta | None:
    seconds = response.headers.get("Retry-After", "")
    if not seconds.isdecimal() or len(seconds) > 9:
        return None
    return min(timedelta(seconds=int(seconds)), _LONGEST_ASK)


async def _body(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(65_536):
        body += chunk
        if len(body) > max_bytes:
            raise SourceUnavailable(f"more than {max_bytes:,} bytes")
    return bytes(body)


def _validators(response: aiohttp.ClientResponse) -> Validators:
    etag, modified = response.headers.get("ETag"), response.headers.get("Last-Modified")
    return Validators(
        etag=etag if etag and len(etag) <= _HEADER else None,
        last_modified=modified if modified and len(modified) <= _HEADER else None,
    )

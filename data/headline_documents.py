"""Feeds and files of headlines, parsed into drafts; nothing here reaches out.

feedparser is given streams of bytes only: of a text it would make a request, of a path a file.
"""

import codecs
import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import IO, Final

import feedparser  # type: ignore[import-untyped]  # it has no stubs
from pydantic import BaseModel, ConfigDict, JsonValue

from data.faults import Malformed
from data.headlines import Draft, Stated


class DocumentUnreadable(Malformed):
    """It is not the kind of document that it was said to be, or is broken."""


class DocumentKind(StrEnum):
    """How a feed is written."""

    XML = "xml"  # RSS or Atom, whichever it says
    JSON = "json"  # a JSON Feed, or a list of objects


class FieldNames(BaseModel):
    """Under which names a JSON object or a line of CSV tells what; those of JSON Feed 1.1."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str = "title"
    url: str = "url"
    published: str = "date_published"


JSON_FEED: Final = FieldNames()


def parse_document(body: bytes, kind: DocumentKind, names: FieldNames = JSON_FEED) -> list[Draft]:
    """What the feed in `body` tells, in its order.

    Raises:
        DocumentUnreadable: it is no feed of this kind.
    """
    match kind:
        case DocumentKind.XML:
            return _from_xml(body)
        case DocumentKind.JSON:
            return [_draft(entry, names) for entry in _json_entries(body)]


_ENCODING: Final = re.compile(rb"<\?xml[^>]{0,100}?encoding\s*=\s*[\"']([^\"'>]{0,40})")
_ENCODINGS: Final = re.compile(rb"utf-?8|us-ascii|iso-8859-\d{1,2}|windows-125\d", re.IGNORECASE)


def _require_harmless(body: bytes) -> None:
    """Entities of its own can make a small document huge; in a rare encoding, they could hide."""
    text = body.removeprefix(codecs.BOM_UTF8).lstrip()
    if not text.startswith(b"<") or b"\0" in text:
        raise DocumentUnreadable("no XML in an encoding that is read here")
    encoding = _ENCODING.match(text)
    if encoding is not None and not _ENCODINGS.fullmatch(encoding[1]):
        raise DocumentUnreadable(f"encoding {encoding[1]!r} is not read here")
    if b"<!entity" in text.lower():
        raise DocumentUnreadable("it defines entities of its own, which no feed needs")


def _from_xml(body: bytes) -> list[Draft]:
    """RSS and Atom; what tells no publication but a last change is dated by that, later, one."""
    _require_harmless(body)
    try:
        parsed = feedparser.parse(
            io.BytesIO(body), resolve_relative_uris=False, sanitize_html=False
        )
    except Exception as error:
        raise DocumentUnreadable(
            f"feedparser fails: {type(error).__name__}: {error}"[:200]
        ) from error
    fault = parsed.get("bozo_exception")
    if fault is not None and not isinstance(fault, feedparser.CharacterEncodingOverride):
        raise DocumentUnreadable(f"broken XML: {fault}"[:200])
    if not parsed.get("version"):
        raise DocumentUnreadable("neither RSS nor Atom")
    return [
        Draft(
            title=_text(entry, "title"),
            url=_text(entry, "link"),
            published=_text(entry, "published") or _text(entry, "updated"),
        )
        for entry in parsed.entries
    ]


def _text(entry: dict[str, object], name: str) -> str | None:
    value = dict.get(entry, name)  # its own `get` answers `updated` with `published`, and warns
    return value if isinstance(value, str) else None


def _json_entries(body: bytes | str) -> list[JsonValue]:
    try:
        document: JsonValue = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise DocumentUnreadable(f"broken JSON: {error}"[:200]) from error
    entries = document.get("items") if isinstance(document, dict) else document
    if not isinstance(entries, list):
        raise DocumentUnreadable('JSON, but neither a list nor an object with a list "items"')
    return entries


def _draft(entry: JsonValue, names: FieldNames, first_seen: str | None = None) -> Draft:
    """What is no object is a draft without anything, which is refused and counted like others."""
    told: Mapping[str, JsonValue] = entry if isinstance(entry, dict) else {}
    title, url = told.get(names.title), told.get(names.url)
    return Draft(
        title=title if isinstance(title, str) else None,
        url=url if isinstance(url, str) else None,
        published=_stated(told.get(names.published)),
        first_seen=None if first_seen is None else _stated(told.get(first_seen)) or "",
    )


def _stated(value: JsonValue) -> Stated:
    return value if isinstance(value, str | int | float) else None


def read_file(path: Path, names: FieldNames, *, first_seen: str | None = None) -> Iterator[Draft]:
    """The headlines of a file, by its suffix: csv, jsonl or json, each also gzipped.

    CSV and JSONL are streamed. Entries that tell too little make drafts that are refused.

    Args:
        first_seen: Where an archive tells when it saw each; None if it does not.

    Raises:
        DocumentUnreadable: it has another suffix, or is broken, and where.
        OSError: it cannot be opened.
    """
    try:
        for entry in _entries(path):
            yield _draft(entry, names, first_seen)
    except (DocumentUnreadable, csv.Error, UnicodeDecodeError, *_BROKEN_GZIP) as error:
        raise DocumentUnreadable(f"{path.name}: {error}") from error


_BROKEN_GZIP: Final = (EOFError, gzip.BadGzipFile, zlib.error)


def _entries(path: Path) -> Iterator[JsonValue]:
    suffix = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
    with _opened(path) as file:
        match suffix:
            case ".csv":
                yield from map(dict, csv.DictReader(file))
            case ".jsonl":
                yield from (_json_line(line, place) for place, line in enumerate(file, start=1))
            case ".json":
                yield from _json_entries(file.read())
            case _:
                raise DocumentUnreadable("neither csv nor jsonl nor json, by its name")


def _opened(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    return path.open(encoding="utf-8", newline="")


def _json_line(line: str, number: int) -> JsonValue:
    try:
        value: JsonValue = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DocumentUnreadable(f"line {number}: {error}"[:200]) from error
    return value

"""Feeds and files of headlines, good and bad."""

import gzip
import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from data.headline_documents import (
    DocumentKind,
    DocumentUnreadable,
    FieldNames,
    parse_document,
    read_file,
)
from data.headlines import Refusal, read_drafts
from tests.builders_news import NOON, an_rss, terms

XML, JSON = DocumentKind.XML, DocumentKind.JSON
ATOM = (
    b'<feed xmlns="http://www.w3.org/2005/Atom"><entry><title>Both</title>'
    b'<link href="https://a.example/1"/><published>2026-01-05T09:00:00Z</published>'
    b"<updated>2026-01-05T11:00:00Z</updated></entry><entry><title>Changed</title>"
    b'<link href="https://a.example/2"/><updated>2026-01-05T10:00:00Z</updated></entry></feed>'
)
RDF = (
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
    b' xmlns="http://purl.org/rss/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/">'
    b"<channel/><item><title>Old way</title><link>https://a.example/3</link>"
    b"<dc:date>2026-01-05T10:00:00+01:00</dc:date></item></rdf:RDF>"
)
LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in pairwise("abcdefghi"))
    + ']><rss version="2.0"><channel><item><title>&i;</title></item></channel></rss>'
)


def told(body, kind=XML, names=None):
    drafts = parse_document(body, kind, *([] if names is None else [names]))
    return [(draft.title, draft.url, draft.published) for draft in drafts]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(
            an_rss(("One", NOON), ("Two", None)),
            [
                ("One", "https://news.example/One", "Mon, 05 Jan 2026 12:00:00 GMT"),
                ("Two", "https://news.example/Two", None),
            ],
            id="RSS 2.0",
        ),
        pytest.param(
            ATOM,
            [
                ("Both", "https://a.example/1", "2026-01-05T09:00:00Z"),
                ("Changed", "https://a.example/2", "2026-01-05T10:00:00Z"),
            ],
            id="Atom: publication before change",
        ),
        pytest.param(
            RDF, [("Old way", "https://a.example/3", "2026-01-05T10:00:00+01:00")], id="RSS 1.0"
        ),
        pytest.param(
            '<?xml version="1.0" encoding="iso-8859-1"?><rss version="2.0"><channel><item>'
            "<title>Café</title></item></channel></rss>".encode("latin1"),
            [("Café", None, None)],
            id="not in UTF-8, and says so",
        ),
        pytest.param(an_rss(), [], id="no news"),
    ],
)
def test_feeds_in_xml(body, expected):
    assert told(body) == expected


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"<html><body><h1>Just a moment</h1></body></html>", id="HTML"),
        pytest.param(b"<note>hello</note>", id="other XML"),
        pytest.param(an_rss(("One", NOON))[:-30], id="cut off"),
        pytest.param(b"\x00\xff\xfe\x80" * 50, id="bytes"),
        pytest.param(LAUGHS.encode(), id="entities without end"),
        pytest.param(LAUGHS.replace("?>", ' encoding="utf-16"?>', 1).encode("utf-16"), id="hidden"),
        pytest.param(
            b'<?xml version="1.0" encoding="utf-7"?>' + LAUGHS[21:].encode("utf-7"), id="in UTF-7"
        ),
        pytest.param(b"/etc/passwd", id="a path"),
        pytest.param(b"http://127.0.0.1:9/", id="an address"),
    ],
)
def test_what_is_no_feed_says_so(body):
    with pytest.raises(DocumentUnreadable):
        parse_document(body, XML)


ENTRY = {"title": "One", "url": "https://a.example/1", "date_published": "2026-01-05T11:00:00Z"}
ONE = [("One", "https://a.example/1", "2026-01-05T11:00:00Z")]


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        pytest.param({"version": "1.1", "items": [ENTRY]}, ONE, id="JSON Feed"),
        pytest.param([ENTRY], ONE, id="a list"),
        pytest.param([5, None, []], [(None, None, None)] * 3, id="no objects"),
        pytest.param([{"title": 5, "date_published": {}}], [(None, None, None)], id="odd values"),
    ],
)
def test_feeds_in_json(document, expected):
    assert told(json.dumps(document).encode(), JSON) == expected


def test_a_list_of_objects_may_name_its_fields_otherwise():
    names = FieldNames(title="headline", url="link", published="ts")
    body = json.dumps([{"headline": "One", "link": "x", "ts": 1767610800}]).encode()
    assert told(body, JSON, names) == [("One", "x", 1767610800)]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b'{"items": 5}', id="no list"),
        pytest.param(b'"text"', id="a text"),
        pytest.param(b"[" * 200_000, id="deep"),
        pytest.param(b"[" + b"1" * 5_000 + b"]", id="a number without end"),
        pytest.param(b"<rss/>", id="XML"),
        pytest.param(b"\xff\xfe", id="bytes"),
    ],
)
def test_what_is_no_json_feed_says_so(body):
    with pytest.raises(DocumentUnreadable):
        parse_document(body, JSON)


CSV_TEXT = "ts,title,url\n1767610800,One,https://a.example/1\n,Two\n"
JSONL_TEXT = '{"ts": 1767610800, "title": "One", "url": "https://a.example/1"}\n{"title": "Two"}\n'


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param("n.csv", CSV_TEXT, id="csv"),
        pytest.param("n.csv.gz", CSV_TEXT, id="csv, gzipped"),
        pytest.param("n.jsonl", JSONL_TEXT, id="jsonl"),
        pytest.param("n.json", f"[{JSONL_TEXT.strip().replace(chr(10), ',')}]", id="json"),
    ],
)
def test_files_are_read_by_their_suffix(tmp_path, name, text):
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
    reading = read_drafts(read_file(path, FieldNames(published="ts")), terms(), now=NOON)
    assert [(item.title, item.published_at) for item in reading.items] == [
        ("One", datetime(2026, 1, 5, 11, tzinfo=UTC))
    ]
    assert reading.refused == {Refusal.UNDATED: 1}


@pytest.mark.parametrize(
    ("name", "body"),
    [
        pytest.param("n.txt", b"One", id="another kind"),
        pytest.param("n", b"One", id="no suffix"),
        pytest.param("n.jsonl", b'{"title": "One"}\n{"half": ', id="half a line"),
        pytest.param("n.csv", b"title\n\xff\xfe\n", id="not UTF-8"),
        pytest.param("n.csv.gz", gzip.compress(b"title\n" * 9_999)[:-9], id="cut off"),
        pytest.param("n.csv.gz", b"title\nOne\n", id="not gzipped"),
        pytest.param("n.csv", b'title\n"' + b"x" * 200_000, id="a field without end"),
    ],
)
def test_broken_files_say_so(tmp_path, name, body):
    path = tmp_path / name
    path.write_bytes(body)
    with pytest.raises(DocumentUnreadable, match=name):
        list(read_file(path, FieldNames()))


def test_the_recorded_headlines_are_all_dated(shared_data):
    path = shared_data / "news" / "cryptonews_20211012_20220331.csv.gz"
    lag = timedelta(hours=6)  # what the audit of such feeds found
    drafts = read_file(path, FieldNames(published="ts"))
    reading = read_drafts(drafts, terms(assumed_lag=lag), now=NOON)
    assert len(reading.items) + reading.duplicates == 3_491
    assert not reading.refused
    assert all(item.url and item.known_at - item.published_at == lag for item in reading.items)
    assert min(item.published_at for item in reading.items) == datetime(
        2021, 10, 12, 20, tzinfo=UTC
    )


def test_labelled_headlines_without_a_date_never_become_news(shared_data):
    drafts = read_file(shared_data / "news" / "headline_labels.csv", FieldNames())
    reading = read_drafts(drafts, terms(assumed_lag=timedelta(0)), now=NOON)
    assert (len(reading.items), reading.refused) == (0, {Refusal.UNDATED: 44})

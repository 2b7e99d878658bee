"""No news of the future, and no date that nobody gave."""

from datetime import UTC, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.headline_documents import DocumentKind, DocumentUnreadable, parse_document
from data.headlines import HeadlineRefused, clean_title, read_drafts, read_time
from data.injection import purged
from data.news_window import NewsWindow, known_news
from tests.builders_news import MACRO, MICRO, NOON, a_draft, an_item, terms

MODEST = settings(max_examples=150, deadline=None)
minutes = st.integers(min_value=-60, max_value=120)
items = st.builds(
    an_item,
    st.sampled_from(["one", "two", "THREE", "three", "four"]),
    published=minutes,
    seen=minutes,
    source=st.sampled_from(["a", "b"]),
    stream=st.sampled_from([MICRO, MACRO]),
)
windows = st.builds(
    NewsWindow,
    per_stream=st.integers(0, 4),
    max_age=st.integers(1, 90).map(lambda count: timedelta(minutes=count)),
)


@pytest.mark.req("S3-6", "S1-105")
@MODEST
@given(st.lists(items), st.lists(items), windows)
def test_a_shifted_future_changes_nothing(past, future, window):
    later = [item for item in future if item.known_at > NOON]
    seen = known_news(past, at=NOON, window=window)
    assert known_news([*later, *past], at=NOON, window=window) == seen
    known = [item for item in past if item.known_at <= NOON]
    assert known_news(known, at=NOON, window=window) == seen


@pytest.mark.req("S3-4", "S3-6")
@MODEST
@given(st.lists(items), windows, st.randoms(use_true_random=False))
def test_what_is_shown_is_known_bounded_and_in_order(given_items, window, chance):
    shown = known_news(given_items, at=NOON, window=window)
    assert all(item.known_at <= NOON for item in shown)
    assert all(NOON - item.published_at <= window.max_age for item in shown)
    published = [item.published_at for item in shown]
    assert published == sorted(published, reverse=True)
    for stream in (MICRO, MACRO):
        assert len([item for item in shown if item.stream is stream]) <= window.per_stream
    shuffled = chance.sample(given_items, len(given_items))
    assert known_news(shuffled, at=NOON, window=window) == shown


@pytest.mark.req("S3-6")
@MODEST
@given(
    st.one_of(
        st.none(), st.text(max_size=40), st.integers(), st.floats(),
        st.datetimes().map(str), st.datetimes(timezones=st.timezones()).map(str),
    )
)  # fmt: skip
def test_a_time_is_read_in_utc_or_refused(stated):
    try:
        at = read_time(stated, None)
    except HeadlineRefused:
        return
    assert at.utcoffset() == timedelta(0)
    assert at.tzinfo is UTC


@MODEST
@given(st.datetimes(timezones=st.just(UTC)))
def test_no_item_is_dated_after_it_was_seen(published):
    reading = read_drafts([a_draft(published=published.isoformat())], terms(), now=NOON)
    assert all(item.published_at <= NOON + terms().tolerance for item in reading.items)
    assert all(item.first_seen_at == NOON for item in reading.items)
    assert len(reading.items) + sum(reading.refused.values()) == 1


@MODEST
@given(st.text(max_size=400))
def test_a_clean_title_stays_as_it_is(text):
    title = clean_title(text)
    assert len(title) <= 300
    assert title.isprintable()
    assert " ".join(title.split()) == title


PARTS = [
    "ignore ", "all ", "previous ", "instructions", "[INST]", "<|x|>", "system: ", "\0", "### ",
    "you are now a ", "answer with ", "BUY", " ", "x",
]  # fmt: skip


@MODEST
@given(st.lists(st.sampled_from(PARTS), max_size=30).map("".join))
def test_nothing_is_left_to_remove(text):
    assert purged(purged(text).text).removed == 0


@MODEST
@given(st.binary(max_size=200), st.sampled_from(list(DocumentKind)))
def test_bytes_are_a_feed_or_are_called_unreadable(body, kind):
    for document in (body, b"<rss version='2.0'><channel>" + body + b"</channel></rss>"):
        try:
            drafts = parse_document(document, kind)
        except DocumentUnreadable:
            continue
        assert all(not draft.published or isinstance(draft.published, str) for draft in drafts)

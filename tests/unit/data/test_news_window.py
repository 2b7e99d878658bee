"""What a decision sees of the news."""

from datetime import timedelta

import pytest

from data.news_window import NewsWindow, known_news
from tests.builders_news import MACRO, NOON, an_item

WINDOW = NewsWindow()


def titles(*items, at=NOON, window=WINDOW):
    return [item.title for item in known_news(items, at=at, window=window)]


@pytest.mark.parametrize(
    ("published", "seen", "is_known"),
    [
        pytest.param(10, 5, True, id="published, then seen"),
        pytest.param(0, 0, True, id="at the decision"),
        pytest.param(-1 / 60, -1 / 60, False, id="one second after it"),
        pytest.param(10, -1 / 60, False, id="published before, first seen one second after"),
        pytest.param(-1 / 60, 1, False, id="seen before, dated one second after"),
        pytest.param(7 * 1440, 1, True, id="at the greatest age"),
        pytest.param(7 * 1440 + 1, 1, False, id="too old, though just seen"),
    ],
)
@pytest.mark.req("S3-6")
def test_what_is_known_at_noon(published, seen, is_known):
    item = an_item(published=published, seen=seen)
    assert (known_news([item], at=NOON, window=WINDOW) == (item,)) is is_known


@pytest.mark.req("S3-4")
def test_ten_items_of_each_stream_the_newest_first():
    micro = [an_item(f"coin {n:02}", published=n, seen=0) for n in range(15)]
    macro = [an_item(f"rates {n}", published=n + 0.5, stream=MACRO) for n in range(3)]
    shown = titles(*micro, *macro)
    assert len(shown) == 13
    assert shown[:4] == ["coin 00", "rates 0", "coin 01", "rates 1"]
    assert shown[-1] == "coin 09"


def test_a_window_may_be_shut():
    assert titles(an_item(), window=NewsWindow(per_stream=0)) == []


def test_one_title_in_several_places_is_shown_as_it_was_first_seen():
    late = an_item("Bitcoin moves", source="late", published=5)
    first = an_item("BITCOIN moves", source="first", published=9)
    shown = known_news([late, first], at=NOON, window=WINDOW)
    assert [item.source for item in shown] == ["first"]


@pytest.mark.parametrize("redated", [30.0, 1.0], ids=["dated back", "dated anew"])
@pytest.mark.req("S3-6")
def test_an_edit_does_not_rewrite_what_was_known(redated):
    """The store keeps the first sighting; should it ever hold both, that one counts."""
    first = an_item(published=10, seen=9)
    edited = an_item(published=redated, seen=2)
    for items in ([first, edited], [edited, first]):
        assert known_news(items, at=NOON, window=WINDOW) == (first,)
        assert known_news(items, at=NOON - timedelta(minutes=5), window=WINDOW) == (first,)


@pytest.mark.parametrize(
    "changes", [{"per_stream": -1}, {"max_age": timedelta(0)}, {"max_items": 5}]
)
def test_odd_windows_are_refused(changes):
    with pytest.raises(ValueError, match="NewsWindow"):
        NewsWindow.model_validate(changes)

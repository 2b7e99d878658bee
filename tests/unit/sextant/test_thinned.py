"""A series in bounded memory."""

import pytest

from sextant.evaluation.thinned import Thinned


@pytest.mark.parametrize(
    ("limit", "count", "items"),
    [
        pytest.param(4, 0, [], id="nothing"),
        pytest.param(4, 1, [0], id="the first"),
        pytest.param(4, 3, [0, 1, 2], id="all that came"),
        pytest.param(4, 4, [0, 2, 3], id="full: every second goes, the newest stays"),
        pytest.param(4, 5, [0, 2, 4], id="the next that is kept"),
        pytest.param(4, 6, [0, 2, 4, 5], id="the newest beside what is kept"),
        pytest.param(4, 9, [0, 4, 8], id="full twice"),
        pytest.param(2, 5, [0, 4], id="the least limit"),
    ],
)
def test_what_is_kept(limit, count, items):
    series = Thinned(limit)
    for item in range(count):
        series.add(item)
    assert series.items == items
    assert len(series) == count
    assert (series.first, series.newest) == ((0, count - 1) if count else (None, None))


def test_what_is_shown_cannot_be_spoilt():
    series = Thinned(4)
    series.add(1)
    series.items.append(2)
    assert series.items == [1]


@pytest.mark.parametrize("limit", [0, 1, 3, -2])
def test_a_limit_that_cannot_be_halved_is_refused(limit):
    with pytest.raises(ValueError, match="even"):
        Thinned(limit)

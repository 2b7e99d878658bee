"""A snapshot may hold the news and the funding rate, never those of later."""

from datetime import timedelta
from decimal import Decimal

import pytest

from data.bar import Timeframe
from data.funding import FundingRate
from data.indicators import Sma
from data.news import NewsItem, NewsStream
from data.snapshot import LookAhead, MarketHistory, take_snapshot
from tests.builders_market import BTC, a_bar, an_account, an_instrument, at

TAKEN = at("12:05")
SECOND = timedelta(seconds=1)


def taken(**world):
    history = MarketHistory(an_instrument(), Timeframe.M5, {Timeframe.M5: (Sma(1),)}, capacity=2)
    history.add(a_bar(TAKEN))
    return take_snapshot(history, an_account(TAKEN), taken_at=TAKEN, **world)


def news(published, seen):
    return NewsItem(
        source="wire",
        stream=NewsStream.MACRO,
        title="Rates rise",
        url="",
        published_at=published,
        first_seen_at=seen,
    )


def funding(paid, told):
    return FundingRate(
        symbol=BTC, at=paid, seen_at=told, rate=Decimal("0.0001"), interval=timedelta(hours=8)
    )


def test_without_either_it_is_as_before():
    snapshot = taken()
    assert (snapshot.headlines, snapshot.funding) == ((), None)


@pytest.mark.req("S1-214", "S3-4")
def test_what_was_known_is_held():
    item, rate = news(TAKEN - SECOND, TAKEN), funding(TAKEN + timedelta(hours=3), TAKEN)
    snapshot = taken(headlines=[item], funding=rate)
    assert (snapshot.headlines, snapshot.funding) == ((item,), rate)


@pytest.mark.parametrize(
    "world",
    [
        pytest.param({"headlines": [news(TAKEN + SECOND, TAKEN)]}, id="dated one second after"),
        pytest.param({"headlines": [news(TAKEN, TAKEN + SECOND)]}, id="seen one second after"),
        pytest.param(
            {"headlines": [news(TAKEN, TAKEN), news(TAKEN, TAKEN + SECOND)]}, id="one of two"
        ),
        pytest.param({"funding": funding(TAKEN, TAKEN + SECOND)}, id="funding told after"),
    ],
)
@pytest.mark.req("S3-6", "S1-105")
def test_what_became_known_later_is_refused(world):
    with pytest.raises(LookAhead):
        taken(**world)

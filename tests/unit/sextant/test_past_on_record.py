"""The bars that runs begin with: on record once, and whole, or the run cannot be made again."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from data.bar import Bar, Timeframe
from data.instrument import Price, Quantity, Symbol
from sextant.facts import RunStarted
from sextant.history import MarketPast, PastMissing, PastOnRecord

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
BTC = Symbol("BTC/USDT")
M1, M5 = Timeframe.M1, Timeframe.M5


def a_bar(number, *, size=M1, price="100.0"):
    price = Price(Decimal(price))
    return Bar(
        symbol=BTC,
        timeframe=size,
        closed_at=NOON + number * size.delta,
        open=price,
        high=price,
        low=price,
        close=price,
        volume=Quantity(Decimal(1)),
    )


def a_past(minutes, fives=()):
    sizes = {M1: tuple(minutes), M5: tuple(fives)}
    return MarketPast(base=M1, bars={BTC: {size: bars for size, bars in sizes.items() if bars}})


def a_run(past):
    return RunStarted(
        at=NOON + timedelta(hours=1),
        version="0",
        mode="paper",
        market="kraken",
        venue="paper",
        attaches_stops=True,
        settings={},
        settings_digest="",
        prompts={},
        stand_ins={},
        warmed_up_to={},
        past=past.counts,
        resumed=False,
    )


MINUTES = [a_bar(1), a_bar(2)]
FIVES = [a_bar(1, size=M5)]


@pytest.mark.parametrize(
    ("then", "lacking"),
    [
        pytest.param(a_past(MINUTES, FIVES), [], id="the same"),
        pytest.param(a_past([*MINUTES, a_bar(3)], FIVES), [M1], id="a minute later"),
        pytest.param(a_past([a_bar(1), a_bar(2, price="100.1")], FIVES), [M1], id="corrected"),
        pytest.param(a_past([a_bar(1), a_bar(2, price="100")], FIVES), [M1], id="fewer digits"),
        pytest.param(a_past(MINUTES, [a_bar(2, size=M5)]), [M5], id="another of one size"),
    ],
)
def test_what_is_on_record_is_not_put_there_again(then, lacking):
    record = PastOnRecord()
    for past in (a_past(MINUTES, FIVES), then):
        missing = record.lacks(past)
        for known in missing:
            record.take(known)
        assert record.of(a_run(past), M1) == past
    assert [known.bars[-1].timeframe for known in missing] == lacking


def test_a_run_whose_past_is_not_on_record_cannot_be_made_again():
    record = PastOnRecord()
    for known in record.lacks(a_past(MINUTES)):
        record.take(known)
    with pytest.raises(PastMissing, match="began with 3 bars"):
        record.of(a_run(a_past(MINUTES, FIVES)), M1)


def test_a_run_of_one_size_takes_no_other_that_is_on_record():
    record = PastOnRecord()
    for known in record.lacks(a_past(MINUTES, FIVES)):
        record.take(known)
    past = a_past(MINUTES)
    assert record.of(a_run(past), M1) == past

"""Whatever the market does, a stop only tightens, on its grid, and short of the mark."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.account import Position
from data.instrument import Side
from execution.tightening import CareSettings, stop_due
from tests.builders_venue import BTC, NOON, XRP, instruments

prices = st.decimals("0.001", "1000000", places=3)
coarse = st.decimals("1000", "1000000", places=2)  # every distance is a tick, at least
shares = st.decimals("0", "0.5", places=4)


@st.composite
def care(draw):
    buffer = draw(shares)
    return CareSettings(
        break_even_from=draw(
            st.just(Decimal(0)) | shares.map(lambda s: s + buffer + Decimal("1e-4"))
        ),
        break_even_buffer=buffer,
        trail_from=draw(shares),
        trail_distance=draw(shares),
        trail_atr=draw(st.sampled_from([0.0, 0.5, 1.5])),
        min_move=draw(shares),
    )


def a_position(symbol, side, entry, mark):
    return Position(
        symbol=symbol,
        quantity=Decimal(side.sign),
        entry_price=entry,
        mark=mark,
        notional=mark,
        opened_at=NOON,
    )


@pytest.mark.req("S0-26")
@given(
    symbol=st.sampled_from([BTC, XRP]),
    side=st.sampled_from(Side),
    entry=prices,
    standing=prices,
    marks=st.lists(prices, min_size=1, max_size=8),
    wanted=care(),
    atr=st.none() | st.floats(),
)
@settings(max_examples=150, deadline=None)
def test_along_any_path_of_marks_the_stop_only_tightens(
    symbol, side, entry, standing, marks, wanted, atr
):
    instrument = instruments()[symbol]
    for mark in marks:
        position = a_position(symbol, side, entry, mark)
        due = stop_due(standing, position, instrument, wanted, atr=atr)
        if due != standing:
            assert (due - standing) * side.sign >= wanted.min_move * mark
            assert (due - standing) * side.sign > 0
            assert (mark - due) * side.sign > 0
            assert due % instrument.tick == 0
        standing = due


@given(side=st.sampled_from(Side), entry=coarse, marks=st.lists(coarse, min_size=1), wanted=care())
@settings(max_examples=100, deadline=None)
def test_the_stop_that_stands_remembers_the_best_mark(side, entry, marks, wanted):
    """Where no move is too small, the path is told by its best mark: nothing else is kept."""
    exact = wanted.model_copy(update={"min_move": Decimal(0)})
    instrument = instruments()[BTC]
    first = Decimal("0.0001") if side is Side.BUY else Decimal("1e12")
    stop = first
    for mark in marks:
        stop = stop_due(stop, a_position(BTC, side, entry, mark), instrument, exact)
    best = max(marks) if side is Side.BUY else min(marks)
    assert stop == stop_due(first, a_position(BTC, side, entry, best), instrument, exact)

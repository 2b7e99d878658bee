"""What votes are worth once their horizon has come."""

import pytest

from agents.vote import AbstentionReason
from risk.intent import Direction
from sextant.evaluation.deciles import Deciles
from sextant.evaluation.seats import SeatScores
from tests.builders_evaluation import BTC, XRP, a_bar, a_vote, an_abstention

LONG, SHORT, HOLD, CLOSE = Direction.LONG, Direction.SHORT, Direction.HOLD, Direction.CLOSE


def scored(direction, close, *, confidence=0.6, horizon=1):
    """The seat that voted at 100 and then saw the price go to `close`."""
    scores = SeatScores(horizon=horizon, hold_band=0.02)
    scores.count(BTC, 100.0, [a_vote(direction, confidence)])
    for index in range(horizon):
        scores.see(a_bar(index, close))
    return scores.by_voter["gpt"]


@pytest.mark.req("S0-42", "S1-190")
@pytest.mark.parametrize(
    ("direction", "close", "accuracy"),
    [
        pytest.param(LONG, "100.01", 1.0, id="long, and up"),
        pytest.param(LONG, "100", 0.0, id="long, and nowhere"),
        pytest.param(LONG, "99", 0.0, id="long, and down"),
        pytest.param(SHORT, "99", 1.0, id="short, and down"),
        pytest.param(SHORT, "101", 0.0, id="short, and up"),
        pytest.param(HOLD, "101.9", 1.0, id="hold, and inside the band"),
        pytest.param(HOLD, "102", 0.0, id="hold, and at the band"),
        pytest.param(HOLD, "97", 0.0, id="hold, and below the band"),
        pytest.param(CLOSE, "90", None, id="close is not scored"),
    ],
)
def test_a_vote_is_right_or_wrong(direction, close, accuracy):
    seat = scored(direction, close)
    assert seat.accuracy == accuracy
    assert seat.votes[direction] == 1


@pytest.mark.req("S1-195")
@pytest.mark.parametrize(
    ("direction", "close", "confidence", "brier"),
    [
        pytest.param(LONG, "101", 1.0, 0.0, id="sure and right"),
        pytest.param(LONG, "99", 1.0, 1.0, id="sure and wrong"),
        pytest.param(LONG, "99", 0.5, 0.25, id="a coin"),
        pytest.param(SHORT, "99", 0.8, 0.04, id="short: p_up is 0.2, and it was not up"),
        pytest.param(CLOSE, "99", 0.8, None, id="nothing scored"),
    ],
)
def test_brier_score(direction, close, confidence, brier):
    assert scored(direction, close, confidence=confidence).brier == pytest.approx(brier)


def test_a_vote_waits_for_its_horizon():
    scores = SeatScores(horizon=3, hold_band=0.02)
    scores.see(a_bar(0, "50"))
    scores.count(BTC, 100.0, [a_vote(LONG)])
    for index, close in enumerate(["90", "90", "110"]):
        assert scores.by_voter["gpt"].scored == 0
        scores.see(a_bar(index + 1, close))
    assert scores.by_voter["gpt"].right == 1


def test_each_symbol_has_its_own_bars():
    scores = SeatScores(horizon=1, hold_band=0.02)
    scores.count(BTC, 100.0, [a_vote(LONG)])
    scores.see(a_bar(0, "200", symbol=XRP))
    assert scores.by_voter["gpt"].scored == 0


@pytest.mark.req("S2-47")
def test_passes_are_counted_by_reason_and_holds_are_scored():
    scores = SeatScores(horizon=1, hold_band=0.02)
    ballots = [
        an_abstention(AbstentionReason.LATE),
        an_abstention(AbstentionReason.LATE),
        an_abstention(AbstentionReason.MALFORMED),
        a_vote(HOLD),
    ]
    for ballot in ballots:
        scores.count(BTC, 100.0, [ballot])
    scores.see(a_bar(0, "100"))
    seat = scores.by_voter["gpt"]
    assert seat.abstentions == {"late": 2, "malformed": 1}
    assert (seat.scored, seat.right) == (1, 1)


def test_a_stand_in_stays_one():
    scores = SeatScores(horizon=1, hold_band=0.02)
    scores.count(BTC, 100.0, [a_vote(stand_in=True)])
    assert scores.by_voter["gpt"].stand_in
    assert scores.by_voter["gpt"].model == "baseline:ema_cross"


@pytest.mark.req("S1-190", "S1-225")
@pytest.mark.parametrize(
    ("confidence", "cell"),
    [
        pytest.param(0.0, 0, id="none"),
        pytest.param(0.0999, 0, id="below the first edge"),
        pytest.param(0.1, 1, id="an edge belongs to the upper"),
        pytest.param(0.85, 8, id="high"),
        pytest.param(1.0, 9, id="certainty is of the last"),
    ],
)
def test_the_decile_of_a_confidence(confidence, cell):
    deciles = Deciles()
    deciles.add(confidence, 0.01)
    assert [c.count for c in deciles.cells] == [int(i == cell) for i in range(10)]


@pytest.mark.req("S1-225")
def test_a_decile_in_numbers():
    deciles = Deciles()
    for earned in (0.03, 0.01, -0.01):
        deciles.add(0.65, earned)
    cell = deciles.cells[6]
    assert cell.hit_rate == pytest.approx(2 / 3)
    assert cell.mean_return == pytest.approx(0.01)
    assert cell.sharpe == pytest.approx(0.5)  # 0.01 over a deviation of 0.02


@pytest.mark.parametrize("outcomes", [[], [0.01], [0.01, 0.01, 0.01]])
def test_a_decile_without_variance_has_no_sharpe(outcomes):
    deciles = Deciles()
    for earned in outcomes:
        deciles.add(0.65, earned)
    assert deciles.cells[6].sharpe is None


def test_deciles_take_long_and_short_votes_alone():
    scores = SeatScores(horizon=1, hold_band=0.02)
    scores.count(BTC, 100.0, [a_vote(d, 0.75) for d in (LONG, SHORT, HOLD, CLOSE)])
    scores.see(a_bar(0, "101"))
    cell = scores.deciles.cells[7]
    assert (cell.count, cell.right) == (2, 1)
    assert cell.mean_return == pytest.approx(0.0)

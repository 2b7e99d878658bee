"""What no verdict may ever do, whatever it is asked."""

from dataclasses import replace
from decimal import ROUND_UP, Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from data.instrument import Instrument, Notional, Price, Quantity, Side, Symbol
from data.regime import Regime
from risk import approval, rules
from risk.approval import ApprovedOrder, Rejection, judge
from risk.breaker import TradingState
from risk.intent import Direction, Purpose
from tests.builders_risk import (
    BTC,
    LIMITS,
    NOW,
    XRP,
    a_market,
    a_position,
    a_state,
    an_account,
    an_entry,
    an_exit,
    in_flight,
    judged,
    limits_with,
)

OTHERS = (XRP, Symbol("XRP/BTC"), Symbol("ETH/USDT"))
NO_NUMBERS = [Decimal(text) for text in ("NaN", "sNaN", "Infinity", "-Infinity", "0", "-1")]
NO_PROBABILITIES = [float("nan"), float("inf"), float("-inf"), -0.1, 1.1]

shares = st.sampled_from(("0.05", "0.3", "0.611")).map(Decimal)
instruments = st.builds(
    Instrument,
    symbol=st.just(BTC),
    tick=st.sampled_from(("0.01", "0.00001")).map(Decimal),
    lot=st.sampled_from(("0.001", "0.0001", "0.00000001")).map(Decimal),
    min_quantity=st.sampled_from(("0.001", "0.0001")).map(lambda text: Quantity(Decimal(text))),
    min_notional=st.sampled_from(("0", "5")).map(lambda text: Notional(Decimal(text))),
    max_leverage=st.just(Decimal(5)),
)


@st.composite
def situations(draw):
    """A plausible entry and all it is judged by, as the keywords of `judge`."""
    instrument, direction = draw(instruments), draw(st.sampled_from(("long", "short")))
    equity = draw(
        st.sampled_from((2100, 2100, 2100, 20)).map(Decimal)
        | st.decimals("2000", "1000000", places=2)
    )
    price = Price(draw(st.decimals("10", "1000", places=2)))
    rate = draw(st.sampled_from(("1", "0.9713", "6.137")).map(Decimal))
    sign = Direction(direction).sign
    away = price * draw(
        st.sampled_from(("0.01", "0.0173", "0.0299", "0.005", "0.03", "0.032")).map(Decimal)
    )
    wish = draw(st.sampled_from((None, None, "0.1", "1.7", "0.001")))
    intent = replace(
        an_entry(
            direction=Direction(direction),
            confidence=draw(st.sampled_from((0.9, 0.75, 0.8, 0.65, 1.0, 0.59))),
        ),
        stop=instrument.stop_price(price - sign * away, Side.of(Decimal(sign))),
        quantity=None if wish is None else Quantity(Decimal(wish) * equity / (price * rate) * sign),
        target=draw(st.none() | st.just(Price(price + sign * away * 10))),
    )
    account = an_account(
        str(equity),
        *(
            a_position("1", symbol=symbol, notional=str(equity * draw(shares)))
            for symbol in draw(st.sets(st.sampled_from(OTHERS)))
        ),
        in_flight=tuple(
            in_flight("1", symbol=symbol, notional=str(equity * draw(shares)))
            for symbol in draw(st.sets(st.sampled_from(OTHERS), max_size=1))
        ),
    )
    return {
        "intent": intent,
        "account": account,
        "market": a_market(
            instrument=instrument,
            price=price,
            rate=rate,
            atr=float(price) * draw(st.sampled_from((0.001, 0.001, 0.005))),
            regime=draw(st.sampled_from(Regime)),
        ),
        "state": a_state(
            str(equity),
            peak_equity=Notional(equity * draw(st.decimals("1", "1.25", places=2))),
            loss_streak=draw(st.sampled_from((0, 0, 2, 3, 5))),
        ),
        "limits": LIMITS,
        "now": NOW,
    }


def asked(situation):
    verdict = judge(situation["intent"], **{k: v for k, v in situation.items() if k != "intent"})
    event(type(verdict).__name__)
    return verdict


def size(verdict):
    return abs(verdict.quantity) if isinstance(verdict, ApprovedOrder) else Decimal(0)


def exact(number):
    return Fraction(*number.as_integer_ratio())


@pytest.mark.req("S0-19", "S0-22", "S0-23", "S0-24", "S0-25", "S0-26")
@given(situations())
def test_no_approval_breaks_a_limit(situation):
    """Reckoned in fractions, and not by the rules' own arithmetic."""
    verdict = asked(situation)
    if not isinstance(verdict, ApprovedOrder):
        return
    intent, account, market = situation["intent"], situation["account"], situation["market"]
    quantity, equity = exact(verdict.quantity), exact(account.equity)
    price, rate, stop = exact(market.price), exact(market.rate), exact(intent.stop)
    regime = LIMITS.regimes[market.regime]
    notional = abs(quantity) * price * rate
    others = sum(exact(p.notional) for p in account.positions.values())
    exposure = notional + others + sum(exact(o.notional) for o in account.in_flight)
    distance = (price - stop) * intent.direction.sign

    assert quantity * intent.direction.sign > 0
    assert (quantity / exact(market.instrument.lot)).denominator == 1
    assert abs(quantity) >= exact(market.instrument.min_quantity)
    assert abs(quantity) * price >= exact(market.instrument.min_notional)
    assert intent.quantity is None or abs(quantity) <= abs(exact(intent.quantity))
    assert Fraction(5, 1000) * price <= distance <= Fraction(3, 100) * price
    assert float(distance) >= 1.5 * market.atr
    assert abs(quantity) * distance * rate <= Fraction(2, 100) * equity
    assert notional <= Fraction(20, 100) * equity
    assert exposure <= Fraction(80, 100) * equity
    assert exposure <= min(5, exact(regime.max_leverage)) * equity
    assert intent.confidence >= max(regime.min_confidence, 0.60)
    assert equity > Fraction(80, 100) * exact(situation["state"].peak_equity)


@pytest.mark.req("S0-19")
@given(situations(), st.randoms(use_true_random=False))
def test_a_verdict_rests_on_its_arguments_alone(situation, random):
    verdict = asked(situation)
    shuffled = random.sample(rules.RULES_FOR_ENTRIES, len(rules.RULES_FOR_ENTRIES))
    with localcontext(prec=6, rounding=ROUND_UP), pytest.MonkeyPatch.context() as patch:
        assert repr(asked(situation)) == repr(verdict)
        patch.setattr(approval, "in_force", lambda off: shuffled)
        reordered = asked(situation)
    match verdict, reordered:
        case ApprovedOrder(), ApprovedOrder():
            assert (reordered.quantity, set(reordered.reductions)) == (
                verdict.quantity,
                set(verdict.reductions),
            )
        case Rejection(), Rejection():
            assert set(reordered.objections) == set(verdict.objections)
        case _:
            pytest.fail(f"{verdict} became {reordered}")


@given(situations())
def test_what_was_approved_is_approved_again_as_it_is(situation):
    verdict = asked(situation)
    if isinstance(verdict, ApprovedOrder):
        wish = replace(verdict.intent, quantity=verdict.quantity)
        again = asked(situation | {"intent": wish})
        assert (again.quantity, again.reductions) == (verdict.quantity, ())


TIGHTER = [
    {"max_position": "0.1"},
    {"max_risk_per_trade": "0.001"},
    {"max_exposure": "0.5"},
    {"max_leverage": "0.5"},
    {"max_drawdown": "0.1"},
    {"derisk_drawdown": "0.05"},
    {"derisk_size": "0.25"},
    {"max_open_positions": 2},
    {"min_stop_distance": "0.01"},
    {"max_stop_distance": "0.02"},
    {"min_stop_atr": 3.0},
    {"min_reward_risk": "4"},
    {"taker_fee": "0.01"},
    {"tiers": [{"min_confidence": 0.8, "size": "0.5", "max_leverage": 1000}]},
    {
        "loss_streaks": [
            {
                "losses": 1,
                "cool_down": "PT1H",
                "size": "0.1",
                "min_confidence": 0.9,
                "max_leverage": 5,
            }
        ]
    },
]


@given(situations(), st.sampled_from(TIGHTER))
def test_a_tighter_limit_never_gives_more(situation, change):
    tighter = asked(situation | {"limits": limits_with(**change)})
    assert size(tighter) <= size(asked(situation))


@given(situations(), st.floats(0, 1))
def test_less_confidence_never_gives_more(situation, share):
    intent = situation["intent"]
    unsure = replace(intent, confidence=intent.confidence * share)
    assert size(asked(situation | {"intent": unsure})) <= size(asked(situation))


@given(situations(), st.decimals("1", "2", places=2), st.integers(0, 9))
def test_a_deeper_drawdown_or_a_longer_streak_never_gives_more(situation, rise, losses):
    state = situation["state"]
    worse = replace(
        state,
        peak_equity=Notional(state.peak_equity * rise),
        loss_streak=state.loss_streak + losses,
    )
    assert size(asked(situation | {"state": worse})) <= size(asked(situation))


@given(situations(), st.sampled_from((TradingState.HALTED, TradingState.REDUCING)))
def test_nothing_is_entered_unless_trading_is_active(situation, trading):
    state = replace(
        situation["state"],
        trading=trading,
        reason="a test",
        halted_until=NOW.replace(hour=23),
        halted_for="a test",
    )
    assert isinstance(asked(situation | {"state": state}), Rejection)


@pytest.mark.req("S0-19")
@given(situations(), st.data())
def test_an_input_that_is_no_number_never_passes(situation, data):
    part, field, values = data.draw(
        st.sampled_from(
            [
                ("account", "equity", [*NO_NUMBERS, None]),
                ("market", "price", [*NO_NUMBERS, None]),
                ("market", "rate", [*NO_NUMBERS, None]),
                ("market", "priced_at", [None]),
                ("market", "spread_bps", [None, float("nan"), float("inf"), -1.0]),
                ("market", "atr", [None, float("nan"), float("inf"), 0.0, -1.0]),
                ("intent", "stop", [*NO_NUMBERS, None]),
                ("intent", "target", NO_NUMBERS),
                ("intent", "limit", NO_NUMBERS),
                ("intent", "trigger", NO_NUMBERS),
                ("intent", "quantity", NO_NUMBERS[:-1]),
                ("intent", "confidence", NO_PROBABILITIES),
            ]
        )
    )
    value = data.draw(st.sampled_from(values))
    spoilt = situation | {part: replace(situation[part], **{field: value})}
    assert isinstance(asked(spoilt), Rejection)


quantities = st.decimals("-20", "20", places=5).map(Quantity)


@given(
    held=quantities,
    wish=st.none() | quantities | st.sampled_from(NO_NUMBERS).map(Quantity),
    intent=st.sampled_from(
        (
            an_exit(),
            an_exit(purpose=Purpose.FLATTEN, reduce_only=False),
            an_exit(purpose=Purpose.PROTECTION, trigger=Price(Decimal(98))),
            an_exit(direction=Direction.LONG),
            an_exit(direction=Direction.SHORT),
        )
    ),
    situation=situations(),
    equity=st.sampled_from([*NO_NUMBERS, None, Decimal(1000)]),
    trading=st.sampled_from(TradingState),
)
def test_a_reducing_order_never_flips_and_is_never_trapped(
    held, wish, intent, situation, equity, trading
):
    lot = situation["market"].instrument.lot
    verdict = judged(
        replace(intent, quantity=wish),
        account=replace(an_account("1000", a_position(str(held)), reconciled=False), equity=equity),
        market=replace(situation["market"], price=None, rate=None, atr=None),
        state=replace(situation["state"], trading=trading, equity_known=False),
    )
    closing = -held if wish is None else wish
    fits = closing.is_finite() and closing * held < 0 and min(abs(closing), abs(held)) >= lot
    assert isinstance(verdict, ApprovedOrder) == fits
    if isinstance(verdict, ApprovedOrder):
        after = held + verdict.quantity
        assert after * held >= 0
        assert abs(after) < abs(held)
        assert abs(verdict.quantity) > min(abs(closing), abs(held)) - lot
        assert verdict.intent.reduce_only

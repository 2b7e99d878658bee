"""Situations in which the whole rule book is on, drawn so that many of them end in an order."""

from dataclasses import replace
from decimal import Decimal

from hypothesis import strategies as st

from data.bar import Timeframe
from data.instrument import Notional, Price, Quantity, Side, Symbol
from data.regime import Regime
from risk.approval import ApprovedOrder, judge
from risk.intent import Direction
from risk.market import Overlay
from risk.referral import Referral
from tests.builders_risk import (
    FULL,
    INSTRUMENT,
    NOW,
    XRP,
    a_full_market,
    a_position,
    a_state,
    an_account,
    an_entry,
    in_flight,
)

ETH = Symbol("ETH/USDT")
SOL = Symbol("SOL/USDT")
CALM = (Regime.RANGING, Regime.BREAKOUT_POTENTIAL, Regime.UNKNOWN)
WITH = {1: Regime.TRENDING_BULL, -1: Regime.TRENDING_BEAR}
shares = st.sampled_from(("0.02", "0.1", "0.25")).map(Decimal)


def of(*values):
    return st.sampled_from(values)


@st.composite
def markets(draw, sign, price):
    trends = draw(st.lists(of(0.01, 0.002, 0.0, -0.001), max_size=2))
    return a_full_market(
        price=price,
        atr=float(price) * draw(of(0.001, 0.005)),
        mean_atr=float(price) * 0.004,
        regime=draw(of(WITH[sign], WITH[sign], *CALM)),
        spread_bps=draw(of(0.0, 2.0, 9.9)),
        overlays=tuple(
            Overlay(timeframe=Timeframe.H1, trend=trend * sign, updated_at=NOW) for trend in trends
        ),
        realised_volatility=draw(of(0.05, 0.2, 0.4, 1.0, 1.7)),
        bar_volatility=draw(of(0.0005, 0.02, 0.1)),
        depth=Quantity(Decimal(draw(of(10_000, 5_000))) / price * 10),
        adv=Quantity(Decimal(draw(of(1_000_000, 20_000))) / price),
        calibration_error=draw(of(0.05, 0.05, 0.3)),
        expected_move=sign * draw(of(0.03, 0.2)),
        win_probability=draw(of(0.5, 0.7, 0.95)),
        liquidation_price=Price(price * (1 - sign * Decimal("0.3"))),
    )


@st.composite
def accounts(draw, equity):
    held = draw(st.dictionaries(of(XRP, ETH, SOL), st.tuples(shares, of("1", "-1")), max_size=2))
    pending = draw(st.sets(of(XRP, SOL), max_size=1))
    return an_account(
        str(equity),
        *(
            a_position(side, symbol=symbol, notional=str(equity * share))
            for symbol, (share, side) in held.items()
        ),
        in_flight=tuple(
            in_flight("1", symbol=symbol, notional=str(equity * draw(shares))) for symbol in pending
        ),
    )


@st.composite
def full_situations(draw):
    """An entry and all that it is judged by, as the keywords of `judge`."""
    direction = draw(of(Direction.LONG, Direction.SHORT))
    sign = direction.sign
    equity = draw(of(Decimal(2100), Decimal(100_000)) | st.decimals("2000", "50000", places=2))
    price = Price(draw(st.decimals("10", "1000", places=2)))
    away = price * draw(of("0.02", "0.0299", "0.0173").map(Decimal))
    wish = draw(of(None, None, "0.05", "1.7"))
    intent = replace(
        an_entry(direction=direction, confidence=draw(of(0.9, 0.9, 0.8, 0.7, 0.61))),
        stop=INSTRUMENT.stop_price(price - sign * away, Side.of(Decimal(sign))),
        quantity=None if wish is None else Quantity(Decimal(wish) * equity / price * sign),
        target=Price(price + sign * away * draw(of(4, 8))),
        alpha=draw(of(1.0, 1.0, 0.5)),
    )
    return {
        "intent": intent,
        "account": draw(accounts(equity)),
        "market": draw(markets(sign, price)),
        "state": a_state(
            str(equity),
            peak_equity=Notional(equity * draw(of("1", "1", "1.06", "1.12", "1.2").map(Decimal))),
            loss_streak=draw(of(0, 0, 0, 3, 5)),
        ),
        "limits": FULL,
        "now": NOW,
    }


def asked(situation, **changes):
    """The verdict on `situation`, but for `changes` of its keywords."""
    given = situation | changes
    intent = given.pop("intent")
    return judge(intent, **given)


def size(verdict):
    """How large an order would be, a person's consent given."""
    passed = isinstance(verdict, ApprovedOrder | Referral)
    return abs(verdict.quantity) if passed else Decimal(0)

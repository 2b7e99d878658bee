"""How much: quantity from stop distance, inside the cap on a position."""

from decimal import Decimal

from data.instrument import Quantity
from risk.case import Case

_NOTHING = Quantity(Decimal(0))


def sized(case: Case) -> Quantity:
    """The signed quantity to judge, on the lot grid and never above the wish.

    Zero where no size can be found, because something that it rests on is unknown; which rule
    then rejects says what.
    """
    wish = case.intent.quantity
    if wish is not None and not wish.is_finite():
        return _NOTHING
    if case.intent.reduces:
        everything = -case.account.held(case.intent.symbol)
        return case.market.instrument.quantity(everything if wish is None else wish)
    affordable = affordable_quantity(case)
    if wish is None or abs(wish) > affordable:
        # A wish of the wrong sign keeps it, so that it is rejected and not turned round.
        sign = case.sign if wish is None else (1 if wish > 0 else -1)
        return case.market.instrument.quantity(affordable * sign)
    return case.market.instrument.quantity(wish)


def affordable_quantity(case: Case) -> Decimal:
    """What the risk of a trade and the cap on a position give an entry, in base currency.

        min(equity * max_risk_per_trade / loss at the stop of one unit,
            equity * max_position / notional of one unit) * size_share

    Both are scaled: with stops of a few percent the cap binds, and a tier, regime or drawdown
    that scaled the risk alone would change nothing (REQUIREMENTS section 7, rows 6 and 8).

    Source:
        (equity x risk share) / stop distance: PARAMETERS 1.6, "Size formula".
    """
    value, distance, rate = case.unit_value, case.stop_distance, case.rate
    if value is None or distance is None or rate is None:
        return Decimal(0)
    by_risk = case.equity * case.limits.max_risk_per_trade / (distance * rate)
    by_notional = case.equity * case.limits.max_position / value
    return min(by_risk, by_notional) * size_share(case)


def size_share(case: Case) -> Decimal:
    """The share of the full size that confidence, regime, drawdown and losing streak leave."""
    limits = case.limits
    share = limits.tier_size(case.intent.confidence) * limits.regimes[case.market.regime].size
    if case.drawdown >= limits.derisk_drawdown:
        share *= limits.derisk_size
    step = limits.streak_step(case.state.loss_streak)
    return share * step.size if step is not None else share

"""How much: quantity from stop distance, inside the cap on a position."""

from decimal import Decimal

from data.instrument import Quantity
from risk.case import Case, as_decimal, readable
from risk.objection import Objection, Scale, plain
from risk.volatility import guard_scale, targeted

_NOTHING = Quantity(Decimal(0))
_FLAT = Decimal(0)
_SCALES = frozenset({"overlay_trend", "volatility_guard", "volatility_target"})


def sized(case: Case, made: tuple[Scale, ...] | None = None) -> Quantity:
    """The signed quantity to judge, on the lot grid and never above the wish.

    Zero where no size can be found, because something that it rests on is unknown; which rule
    then rejects says what. `made` are its scales, where they are reckoned already.
    """
    wish = case.intent.quantity
    if wish is not None and not wish.is_finite():
        return _NOTHING
    if not case.is_entry:
        everything = -case.account.held(case.intent.symbol) if case.intent.reduces else _NOTHING
        return case.market.instrument.quantity(everything if wish is None else wish)
    affordable = affordable_quantity(case, scales(case) if made is None else made)
    if wish is None or abs(wish) > affordable:
        # A wish of the wrong sign keeps it, so that it is rejected and not turned round.
        sign = case.sign if wish is None else (1 if wish > 0 else -1)
        return case.market.instrument.quantity(affordable * sign)
    return case.market.instrument.quantity(wish)


def affordable_quantity(case: Case, made: tuple[Scale, ...]) -> Decimal:
    """What the risk of a trade and the cap on a position give an entry, in base currency.

        min(equity * max_risk_per_trade / loss at the stop of one unit,
            equity * max_position / notional of one unit) * the product of all scales

    where what bags are about to take of equity is gone already (`Case.stake`).
    Both are scaled: with stops of a few percent the cap binds, and a tier, regime or drawdown
    that scaled the risk alone would change nothing (REQUIREMENTS section 7, rows 6 and 8).

    Source:
        (equity x risk share) / stop distance: PARAMETERS 1.6, "Size formula".
    """
    value, distance, rate = case.unit_value, case.stop_distance, case.rate
    if value is None or distance is None or rate is None:
        return Decimal(0)
    by_risk = case.stake * case.limits.max_risk_per_trade / (distance * rate)
    size = min(by_risk, case.stake * case.limits.max_position / value)
    for scale in made:
        if scale.rule != "volatility_guard":  # it is in the signal's share
            size *= scale.share
    return size


def scales(case: Case) -> tuple[Scale, ...]:
    """What makes an entry smaller than its full size; the guard's share is part of the signal's."""
    found = _plain_scales(case)
    guard = guard_share(case, case.volatility_guard)
    if guard != 1:
        found.append(Scale(rule="volatility_guard", share=as_decimal(guard)))
    if (signal := _signal(case, case.volatility_target, guard)) != 1:
        found.append(Scale(rule="signal", share=signal))
    return tuple(found)


def shadowed_scales(case: Case) -> tuple[Objection, ...]:
    """What would have made an entry smaller, were it not only tried."""
    shadow, limits = case.limits.shadow, case.limits
    if not shadow & _SCALES:
        return ()
    tried = []
    if "overlay_trend" in shadow and limits.overlay_size > 0 and case.overlays_against:
        tried.append(("overlay_trend", limits.overlay_size))
    if "volatility_guard" in shadow:
        guard = guard_share(case, limits.volatility_guard)
        tried.append(("volatility_guard", as_decimal(guard)))
    if "volatility_target" in shadow:
        guard = guard_share(case, case.volatility_guard)
        tried.append(("volatility_target", _signal(case, limits.volatility_target, guard)))
    return tuple(
        Objection(rule=rule, observed="1", limit=plain(share), unit="of size")
        for rule, share in tried
        if share != 1
    )


def _plain_scales(case: Case) -> list[Scale]:
    """Every share of the full size that does not rest on how volatile the market is."""
    limits, state = case.limits, case.state
    tier = case.tier
    shares = [("tier", tier.size if tier is not None else _FLAT), ("regime", case.regime.size)]
    if case.drawdown >= limits.derisk_drawdown:
        shares.append(("derisk", limits.derisk_size))
    if case.streak is not None:
        shares.append(("loss_streak", case.streak.size))
    spike = state.spike_until.get(case.intent.symbol)
    if spike is not None and case.now < spike:
        shares.append(("volatility_spike", limits.spike_size))
    if limits.overlay_size > 0 and case.overlays_against and "overlay_trend" not in limits.shadow:
        shares.append(("overlay_trend", limits.overlay_size))
    return [Scale(rule=rule, share=share) for rule, share in shares if share != 1]


def _signal(case: Case, target: float, guard: float) -> Decimal:
    """The position, in full sizes, that the signal makes in a market of this volatility.

    Zero where the signal is no share, or volatility unknown that it rests on.
    """
    alpha, cap = case.intent.alpha, case.limits.volatility_cap
    if not 0 <= alpha <= 1:
        return _FLAT
    if not (target or case.volatility_guard):
        return min(cap, as_decimal(alpha)) if alpha != 1 else cap
    seen = readable(case.market.realised_volatility)
    if seen is None:
        return _FLAT
    return as_decimal(targeted(alpha * guard, seen, target=target, cap=float(cap)))


def guard_share(case: Case, cap: float) -> float:
    """What the guard leaves of the signal; 1 where volatility is unknown, which rejects."""
    seen = readable(case.market.realised_volatility)
    if cap == 0 or seen is None:
        return 1.0
    return guard_scale(seen, cap=cap, floor=case.limits.volatility_guard_floor)

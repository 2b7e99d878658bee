"""The verdict: size, then every rule on the sized order.

ApprovedOrder  passes, perhaps smaller than wished
Referral       passes, and a person must consent first
Revision       nothing is wrong but its stop or target, and its strategy may ask once more
Rejection      everything else, halts included
"""

from collections.abc import Sequence
from dataclasses import InitVar, dataclass, replace
from datetime import datetime
from decimal import (
    ROUND_DOWN,
    Context,
    Decimal,
    DivisionByZero,
    InvalidOperation,
    Overflow,
    localcontext,
)

from data.account import AccountState
from data.instrument import Quantity
from risk.breaker import MarketSeen, RiskState, marked, next_state
from risk.case import Case, DeskAccount
from risk.completion import without
from risk.envelope import nearest_target, probe, stop_range
from risk.intent import Direction, Envelope, OrderIntent
from risk.limits import RiskLimits
from risk.market import Market
from risk.objection import Adjustable, Finding, Referable, Scale, TooLarge, objection_of, plain
from risk.objection import Objection as Objection
from risk.referral import Consent, Referral
from risk.rules import (
    RULES_FOR_DESKS,
    RULES_FOR_EXCHANGES,
    RULES_FOR_REDUCTIONS,
    Rule,
    in_force,
)
from risk.sizing import scales, shadowed_scales, sized

_SEAL = object()
_NOTHING = Quantity(Decimal(0))

# The verdict may not depend on a context that somebody else has set; a quotient is a size.
_ARITHMETIC = Context(
    prec=28, rounding=ROUND_DOWN, traps=[DivisionByZero, InvalidOperation, Overflow]
)


class Unsealed(TypeError):
    """Somebody other than `judge` tried to make an `ApprovedOrder`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovedOrder:
    """An intent that passed every rule. Only `judge` can make one."""

    intent: OrderIntent
    quantity: Quantity  # signed, final, never above the intent's wish
    approved_at: datetime
    reductions: tuple[Objection, ...]  # what cut the size, if anything did
    scales: tuple[Scale, ...]  # what made it smaller from the start
    shadowed: tuple[Objection, ...]  # of rules that are only tried
    seal: InitVar[object]

    def __post_init__(self, seal: object) -> None:
        if seal is not _SEAL:
            raise Unsealed("an ApprovedOrder comes only from risk.approval.judge")


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """An intent whose strategy may ask once more, inside `envelope`."""

    intent: OrderIntent
    objections: tuple[Objection, ...]
    envelope: Envelope
    shadowed: tuple[Objection, ...]
    revised_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """An intent that may not pass, and everything that is wrong with it."""

    intent: OrderIntent
    objections: tuple[Objection, ...]
    shadowed: tuple[Objection, ...]
    rejected_at: datetime


Verdict = ApprovedOrder | Revision | Referral | Rejection


def judge(
    intent: OrderIntent,
    *,
    account: AccountState,
    market: Market,
    state: RiskState,
    limits: RiskLimits,
    now: datetime,
    desk: DeskAccount | None = None,
    consent: Consent | None = None,
    can_revise: bool = False,
    filled: Quantity = _NOTHING,
) -> Verdict:
    """Approve `intent`, perhaps smaller than wished, or say everything that is wrong with it.

    `state` is told the account's equity and the market's volatility first, so that a breaker which
    nobody has told yet acts too. What closes is made reduce-only, whether or not its intent says
    so. An entry of a `desk` with an account of its own is held to that one's limits as well, whose
    objections are named `desk.<rule>`.

    Args:
        consent: A person's, to this intent; it lifts a referral and nothing else.
        can_revise: Whether the intent's strategy can ask again. One that cannot, or has, is
            rejected where a `Revision` would be the answer.
        filled: What of this very entry has been filled under an approval before, signed. The entry
            is judged as a whole, as if nothing of it were held, and approved for the rest; what a
            person would have to consent to is rejected.

    Raises:
        ValueError: a HOLD intent; who wishes for nothing asks nobody.
    """
    if intent.direction is Direction.HOLD:
        raise ValueError(f"{intent.intent_id}: a HOLD is not an order, so nobody can judge it")
    if intent.reduces and not intent.reduce_only:
        intent = replace(intent, reduce_only=True)
    if filled:
        account = without(account, intent.symbol, filled)
        if desk is not None:
            desk = replace(desk, account=without(desk.account, intent.symbol, filled))
    with localcontext(_ARITHMETIC):
        case = Case(
            intent=intent,
            quantity=_NOTHING,
            account=account,
            market=market,
            state=_told(state, account, market, limits, now),
            limits=limits,
            now=now,
            consent=consent,
        )
        if not case.is_entry:
            return _verdict((case,), can_revise=False)
        if intent.completes is not None:
            return _rest(_verdict(_cases(case, desk), can_revise=False), case, filled)
        return _verdict(_cases(case, desk), can_revise=can_revise and intent.attempt == 0)


def _rest(verdict: Verdict, case: Case, filled: Quantity) -> Verdict:
    """What of an approved whole is still to be had; one that a person must consent to is over."""
    match verdict:
        case ApprovedOrder():
            left = Quantity(verdict.quantity - filled)
            price = case.price
            if (
                left * case.sign <= 0
                or price is None
                or case.market.instrument.is_dust(left, price)
            ):
                return _rejected(case, (_too_little(case, left),), verdict.shadowed)
            return replace(verdict, quantity=left, seal=_SEAL)
        case Referral() | Revision():
            return _rejected(case, verdict.objections, verdict.shadowed)
        case Rejection():
            return verdict


def _too_little(case: Case, left: Quantity) -> Objection:
    least = plain(case.market.instrument.min_quantity)
    return Objection(rule="minimum_order", observed=plain(left), limit=least, unit="base")


def _told(
    state: RiskState, account: AccountState, market: Market, limits: RiskLimits, now: datetime
) -> RiskState:
    state = marked(state, account.equity, now, limits, whole=account.whole)
    if market.mean_atr is None and market.move is None:
        return state
    seen = MarketSeen(
        symbol=market.instrument.symbol,
        atr=market.atr,
        mean_atr=market.mean_atr,
        move=market.move,
        at=now,
    )
    return next_state(state, seen, limits)


def _cases(case: Case, desk: DeskAccount | None) -> tuple[Case, ...]:
    """The order against the account, and against the desk's own part of it."""
    if desk is None:
        return (case,)
    state = _told(desk.state, desk.account, case.market, desk.limits, case.now)
    return case, replace(case, account=desk.account, state=state, limits=desk.limits)


def _verdict(cases: Sequence[Case], *, can_revise: bool) -> Verdict:
    """Size, judge, and where nothing but the size is wrong, cut it and judge everything again."""
    case = cases[0]
    try:
        made = scales(case) if case.is_entry else ()
        size = sized(case, made)
        for desk in cases[1:]:
            size = min(size, sized(desk), key=abs)
        cases = _resized(cases, size)
    except Exception as error:  # noqa: BLE001 - reported as an objection, and nothing passes
        _, findings = _sifted(case, _findings(cases))
        return _rejected(case, (_failure("sizing", error), *map(objection_of, findings)))
    case = cases[0]
    shadowed, findings = _sifted(case, _findings(cases))
    if not findings:
        return _approved(case, _size_cut(case), made, shadowed)
    objections = tuple(map(objection_of, findings))
    if any(isinstance(finding, Objection) for finding in findings):
        return _rejected(case, objections, shadowed)
    if any(isinstance(finding, Adjustable) for finding in findings):
        envelope = _envelope(cases) if can_revise else None
        if envelope is None:
            return _rejected(case, objections, shadowed)
        return _revised(case, objections, envelope, shadowed)
    return _cut_verdict(cases, findings, made)


def _cut_verdict(
    cases: Sequence[Case], findings: Sequence[Finding], made: tuple[Scale, ...]
) -> Verdict:
    """Judge once more at the largest size that fits; what then is not a person's to lift stays."""
    largest = [finding.largest for finding in findings if isinstance(finding, TooLarge)]
    smaller = _resized(cases, _cut(cases[0], min(largest))) if largest else cases
    case = smaller[0]
    shadowed, left = _sifted(case, _findings(smaller))
    cut = tuple(f.objection for f in findings if isinstance(f, TooLarge))
    remaining = tuple(map(objection_of, left))
    if any(not isinstance(finding, Referable) for finding in left):
        return _rejected(case, cut + remaining, shadowed)
    reductions = _size_cut(cases[0]) + cut
    if left:
        return _referred(case, remaining, reductions, made, shadowed)
    return _approved(case, reductions, made, shadowed)


def _envelope(cases: Sequence[Case]) -> Envelope | None:
    """The stops and targets that would pass, tried at both ends; None where there are none."""
    case = cases[0]
    try:
        stops = stop_range(case)
        target = nearest_target(case, stops[1]) if stops is not None else None
    except Exception:  # noqa: BLE001 - no envelope, so the intent is rejected
        return None
    if stops is None or (target is not None and target <= 0):
        return None
    largest = _tried(cases, probe(case.intent, stops[1], target))
    if largest is None:
        return None
    nearest = probe(replace(case.intent, quantity=largest), stops[0], target)
    if _tried(cases, nearest) != largest:
        return None
    return Envelope(
        nearest_stop=stops[0],
        farthest_stop=stops[1],
        nearest_target=target,
        max_quantity=Quantity(abs(largest)),
    )


def _tried(cases: Sequence[Case], intent: OrderIntent) -> Quantity | None:
    """How much of `intent` would pass, a person's consent aside."""
    verdict = _verdict([replace(case, intent=intent) for case in cases], can_revise=False)
    return verdict.quantity if isinstance(verdict, ApprovedOrder | Referral) else None


def _findings(cases: Sequence[Case]) -> list[Finding]:
    case = cases[0]
    found = _asked(case, _rules_for(case))
    for desk in cases[1:]:
        found.extend(_of_desk(finding) for finding in _asked(desk, RULES_FOR_DESKS))
    return found


def _rules_for(case: Case) -> Sequence[Rule]:
    if case.is_entry:
        return in_force(case.limits.off)
    return RULES_FOR_EXCHANGES if case.intent.purpose.exchanges else RULES_FOR_REDUCTIONS


def _asked(case: Case, rules: Sequence[Rule]) -> list[Finding]:
    findings: list[Finding] = []
    for rule in rules:
        try:
            finding = rule(case)
        except Exception as error:  # noqa: BLE001 - reported as an objection, and nothing passes
            finding = _failure(rule.__name__, error)
        if finding is not None:
            findings.append(finding)
    return findings


def _of_desk(finding: Finding) -> Finding:
    objection = objection_of(finding)
    named = replace(objection, rule=f"desk.{objection.rule}")
    return named if isinstance(finding, Objection) else replace(finding, objection=named)


def _sifted(case: Case, findings: list[Finding]) -> tuple[tuple[Objection, ...], Sequence[Finding]]:
    """What is only tried, and what acts."""
    shadow = case.limits.shadow
    if not shadow:
        return (), findings
    acting: list[Finding] = []
    tried: list[Finding] = []
    for finding in findings:
        objection = objection_of(finding)
        (tried if objection.rule in shadow else acting).append(finding)
    sizes = shadowed_scales(case) if case.is_entry else ()
    return (*map(objection_of, tried), *sizes), acting


def _failure(rule: str, error: Exception) -> Objection:
    """A rule that cannot tell objects; the error's kind only, so that verdicts stay comparable."""
    return Objection(rule=rule, observed=type(error).__name__, limit="no error", unit="error")


def _resized(cases: Sequence[Case], quantity: Quantity) -> tuple[Case, ...]:
    return tuple([case.of_size(quantity) for case in cases])


def _cut(case: Case, largest: Quantity) -> Quantity:
    signed = largest if case.quantity > 0 else -largest
    return case.market.instrument.quantity(signed)


def _size_cut(case: Case) -> tuple[Objection, ...]:
    """What sizing and the lot grid have left off the wish."""
    wish = case.intent.quantity
    if wish is None or abs(case.quantity) >= abs(wish):
        return ()
    observed, limit = plain(abs(wish)), plain(abs(case.quantity))
    return (Objection(rule="sizing", observed=observed, limit=limit, unit="base"),)


def _approved(
    case: Case,
    reductions: tuple[Objection, ...],
    made: tuple[Scale, ...],
    shadowed: tuple[Objection, ...],
) -> ApprovedOrder:
    return ApprovedOrder(
        intent=case.intent,
        quantity=case.quantity,
        approved_at=case.now,
        reductions=reductions,
        scales=made,
        shadowed=shadowed,
        seal=_SEAL,
    )


def _referred(
    case: Case,
    objections: tuple[Objection, ...],
    reductions: tuple[Objection, ...],
    made: tuple[Scale, ...],
    shadowed: tuple[Objection, ...],
) -> Referral:
    return Referral(
        intent=case.intent,
        quantity=case.quantity,
        objections=objections,
        reductions=reductions,
        scales=made,
        shadowed=shadowed,
        referred_at=case.now,
        expires_at=case.now + case.limits.referral_span,
    )


def _revised(
    case: Case,
    objections: tuple[Objection, ...],
    envelope: Envelope,
    shadowed: tuple[Objection, ...],
) -> Revision:
    return Revision(
        intent=case.intent,
        objections=objections,
        envelope=envelope,
        shadowed=shadowed,
        revised_at=case.now,
    )


def _rejected(
    case: Case, objections: tuple[Objection, ...], shadowed: tuple[Objection, ...] = ()
) -> Rejection:
    return Rejection(
        intent=case.intent, objections=objections, shadowed=shadowed, rejected_at=case.now
    )

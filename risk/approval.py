"""The verdict: size, then every rule on the sized order."""

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
from risk.breaker import Marked, RiskState, next_state
from risk.case import Case
from risk.intent import Direction, OrderIntent
from risk.limits import RiskLimits
from risk.market import Market
from risk.objection import Finding, TooLarge, plain
from risk.objection import Objection as Objection
from risk.rules import RULES_FOR_ENTRIES, RULES_FOR_REDUCTIONS, Rule
from risk.sizing import sized

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
    seal: InitVar[object]

    def __post_init__(self, seal: object) -> None:
        if seal is not _SEAL:
            raise Unsealed("an ApprovedOrder comes only from risk.approval.judge")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """An intent that may not pass, and everything that is wrong with it."""

    intent: OrderIntent
    objections: tuple[Objection, ...]
    rejected_at: datetime


Verdict = ApprovedOrder | Rejection


def judge(
    intent: OrderIntent,
    *,
    account: AccountState,
    market: Market,
    state: RiskState,
    limits: RiskLimits,
    now: datetime,
) -> Verdict:
    """Approve `intent`, perhaps smaller than wished, or say everything that is wrong with it.

    `state` is marked with the account's equity first, so that a breaker which nobody has told yet
    acts too. What closes is made reduce-only, whether or not its intent says so.

    Raises:
        ValueError: a HOLD intent; who wishes for nothing asks nobody.
    """
    if intent.direction is Direction.HOLD:
        raise ValueError(f"{intent.intent_id}: a HOLD is not an order, so nobody can judge it")
    if intent.reduces and not intent.reduce_only:
        intent = replace(intent, reduce_only=True)
    with localcontext(_ARITHMETIC):
        case = Case(
            intent=intent,
            quantity=_NOTHING,
            account=account,
            market=market,
            state=next_state(state, Marked(equity=account.equity, at=now), limits),
            limits=limits,
            now=now,
        )
        return _verdict(case, RULES_FOR_REDUCTIONS if intent.reduces else RULES_FOR_ENTRIES)


def _verdict(case: Case, rules: Sequence[Rule]) -> Verdict:
    """Size, judge, and where nothing but the size is wrong, cut it and judge everything again."""
    try:
        case = replace(case, quantity=sized(case))
    except Exception as error:  # noqa: BLE001 - reported as an objection, and nothing passes
        return _rejected(case, (_failure("sizing", error), *_objections(_findings(case, rules))))
    findings = _findings(case, rules)
    if not findings:
        return _approved(case, _size_cut(case))
    objections = _objections(findings)
    largest = [finding.largest for finding in findings if isinstance(finding, TooLarge)]
    if len(largest) < len(findings):
        return _rejected(case, objections)
    smaller = _cut(case, min(largest))
    remaining = _objections(_findings(smaller, rules))
    if remaining:
        return _rejected(smaller, objections + remaining)
    return _approved(smaller, _size_cut(case) + objections)


def _findings(case: Case, rules: Sequence[Rule]) -> tuple[Finding, ...]:
    findings: list[Finding] = []
    for rule in rules:
        try:
            finding = rule(case)
        except Exception as error:  # noqa: BLE001 - reported as an objection, and nothing passes
            finding = _failure(rule.__name__, error)
        if finding is not None:
            findings.append(finding)
    return tuple(findings)


def _failure(rule: str, error: Exception) -> Objection:
    """A rule that cannot tell objects; the error's kind only, so that verdicts stay comparable."""
    return Objection(rule=rule, observed=type(error).__name__, limit="no error", unit="error")


def _objections(findings: Sequence[Finding]) -> tuple[Objection, ...]:
    return tuple(f.objection if isinstance(f, TooLarge) else f for f in findings)


def _cut(case: Case, largest: Quantity) -> Case:
    signed = largest if case.quantity > 0 else -largest
    return replace(case, quantity=case.market.instrument.quantity(signed))


def _size_cut(case: Case) -> tuple[Objection, ...]:
    """What sizing and the lot grid have left off the wish."""
    wish = case.intent.quantity
    if wish is None or abs(case.quantity) >= abs(wish):
        return ()
    observed, limit = plain(abs(wish)), plain(abs(case.quantity))
    return (Objection(rule="sizing", observed=observed, limit=limit, unit="base"),)


def _approved(case: Case, reductions: tuple[Objection, ...]) -> ApprovedOrder:
    return ApprovedOrder(
        intent=case.intent,
        quantity=case.quantity,
        approved_at=case.now,
        reductions=reductions,
        seal=_SEAL,
    )


def _rejected(case: Case, objections: tuple[Objection, ...]) -> Rejection:
    return Rejection(intent=case.intent, objections=objections, rejected_at=case.now)

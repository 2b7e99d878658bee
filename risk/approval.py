"""The verdict: size, then every rule on the sized order."""

from dataclasses import InitVar, dataclass
from datetime import datetime

from data.instrument import Quantity
from risk.intent import OrderIntent

_SEAL = object()


class Unsealed(TypeError):
    """Somebody other than `judge` tried to make an `ApprovedOrder`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Objection:
    """A rule's no: what it saw, what it allows, in `unit`."""

    rule: str
    observed: str
    limit: str
    unit: str


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

"""Orders that wait for a person, as long as they may."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from data.regime import Regime
from execution.journal import OrderJournal
from risk.referral import Referral, is_open
from sextant.command import CannotObey
from sextant.cycle import Ruling
from sextant.desk import Desk
from sextant.evaluation.verdicts import Verdicts


class End(StrEnum):
    """How a referral ended; none of them but a consent brings an order."""

    CONSENTED = "consented"  # and was judged again
    DENIED = "denied"
    EXPIRED = "expired"
    STOPPED = "stopped"  # the daemon ended meanwhile: whoever still wants it asks anew


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferralEnded:
    """What became of an order that waited."""

    at: datetime
    intent_id: str
    end: End
    ruling: Ruling | None = None  # of the second judgement, after a consent


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """An order that waits, whose it is, and the regime that it was wished in."""

    referral: Referral
    desk: Desk
    regime: Regime


class Referrals:
    """The orders of one account that wait for a person; forgotten when the process ends."""

    def __init__(self, journal: OrderJournal, verdicts: Verdicts) -> None:
        self._journal = journal
        self._verdicts = verdicts
        self._waiting: dict[str, Waiting] = {}

    def __iter__(self) -> Iterator[Referral]:
        return (waiting.referral for waiting in self._waiting.values())

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, desk: Desk, regime: Regime, referral: Referral) -> None:
        """Let `referral` wait."""
        waiting = Waiting(referral=referral, desk=desk, regime=regime)
        self._waiting[referral.intent.intent_id] = waiting

    def take(self, intent_id: str, now: datetime) -> Waiting:
        """The order that waits under this id, or under one that begins so; it waits no more.

        Raises:
            CannotObey: none does, more than one does, or its time is over.
        """
        found = [key for key in self._waiting if key.startswith(intent_id)] if intent_id else []
        if len(found) != 1:
            what = "no order waits" if not found else f"{len(found)} orders wait"
            raise CannotObey(f"{what} under {intent_id!r}; `sextant waiting` lists them")
        if not is_open(self._waiting[found[0]].referral, now):
            raise CannotObey(f"the order {found[0]} has waited too long; its desk may ask anew")
        return self._waiting.pop(found[0])

    def expire(self, now: datetime) -> None:
        """Those whose time is over wait no more."""
        over = [key for key, w in self._waiting.items() if not is_open(w.referral, now)]
        for intent_id in over:
            del self._waiting[intent_id]
            self.end(intent_id, End.EXPIRED, at=now)

    def end(self, intent_id: str, end: End, ruling: Ruling | None = None, *, at: datetime) -> None:
        """Put on record what became of an order that waited."""
        self._journal.write(ReferralEnded(at=at, intent_id=intent_id, end=end, ruling=ruling))
        self._verdicts.end_referral(end)


def in_words(referral: Referral) -> str:
    """What waits, why, and until when: one line."""
    intent = referral.intent
    why = "; ".join(f"{o.rule}: {o.observed} against {o.limit}" for o in referral.objections)
    return (
        f"{intent.intent_id}  {intent.strategy_id} {referral.quantity:+,f} {intent.symbol}, "
        f"stop {intent.stop}, until {referral.expires_at:%H:%M:%S}: {why}"
    )

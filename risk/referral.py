"""Orders that a person must consent to: what waits, for how long, and what a consent is good for.

A consent lifts the referral and nothing else: the intent is judged again, on the account and the
market as they are then. Without one a referral simply ends.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from data.instrument import Quantity
from data.utc import require_utc
from risk.intent import OrderIntent
from risk.objection import Objection, Scale


class ReferralExpired(ValueError):
    """A consent came too late; whoever still wants the order must ask anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Referral:
    """An intent that passes every rule and yet waits for a person."""

    intent: OrderIntent
    quantity: Quantity  # signed; what would be ordered
    objections: tuple[Objection, ...]  # why a person is asked
    reductions: tuple[Objection, ...]
    scales: tuple[Scale, ...]
    shadowed: tuple[Objection, ...]
    referred_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """A person's yes to one intent, up to `quantity`, until just before `expires_at`."""

    intent_id: str
    quantity: Quantity  # signed
    by: str
    why: str
    at: datetime
    expires_at: datetime

    def __post_init__(self) -> None:
        require_utc(self.at)
        require_utc(self.expires_at)
        if not self.quantity.is_finite():
            raise ValueError(f"{self.intent_id}: a consent to {self.quantity} is none")

    def covers(self, intent: OrderIntent, quantity: Quantity, now: datetime) -> bool:
        """Whether this consent lets `quantity` of `intent` pass at `now`."""
        return (
            self.intent_id == intent.intent_id
            and self.at <= now < self.expires_at
            and quantity * self.quantity > 0
            and abs(quantity) <= abs(self.quantity)
        )


def is_open(referral: Referral, now: datetime) -> bool:
    """Whether a person may still consent."""
    return referral.referred_at <= now < referral.expires_at


def still_open(referrals: Sequence[Referral], now: datetime) -> tuple[Referral, ...]:
    """The referrals that may still be consented to; the others have ended without an order."""
    return tuple(referral for referral in referrals if is_open(referral, now))


def consent(referral: Referral, *, by: str, why: str, now: datetime) -> Consent:
    """A person's yes to `referral`; it holds no longer than the referral.

    Raises:
        ReferralExpired: `now` is not before the end of the referral.
        ValueError: nobody says who it is, or why.
    """
    if not (by.strip() and why.strip()):
        raise ValueError("a consent needs a name and a reason")
    if not is_open(referral, now):
        raise ReferralExpired(f"{referral.intent.intent_id}: open until {referral.expires_at}")
    return Consent(
        intent_id=referral.intent.intent_id,
        quantity=referral.quantity,
        by=by,
        why=why,
        at=now,
        expires_at=referral.expires_at,
    )

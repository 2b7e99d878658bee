"""What goes on record of the venue's answers: to an order that was sent, and to a wish to amend."""

from datetime import datetime
from typing import Final

from execution.order import Amended, Amending, Outcome, Submitted
from execution.venue import VenueOrder
from risk.approval import ApprovedOrder

NEVER_SEEN: Final = "the venue never saw it"


def answered(
    approved: ApprovedOrder, outcome: Outcome, detail: str, *, at: datetime
) -> Submitted | Amended:
    """What came of sending an order, or an amendment."""
    intent = approved.intent
    if intent.amends is None:
        return Submitted(client_order_id=intent.intent_id, outcome=outcome, detail=detail, at=at)
    return Amended(
        amendment_id=intent.intent_id,
        client_order_id=intent.amends,
        outcome=outcome,
        detail=detail,
        at=at,
    )


def intent_of(fact: Submitted | Amended) -> str:
    """The id of the intent that has been answered."""
    return fact.amendment_id if isinstance(fact, Amended) else fact.client_order_id


def learned(
    wish: Amending, found: VenueOrder | None, *, is_lost: bool, at: datetime
) -> Amended | None:
    """What came of a wish, from how the venue holds its order; None while that may still change.

    Args:
        found: The order, if the venue knows it.
        is_lost: Whether a wish that has not arrived by now never will.
    """
    if found is not None and (found.trigger, found.quantity) == (wish.trigger, wish.quantity):
        outcome, detail = Outcome.ACCEPTED, "asked"
    elif found is not None and found.status.is_final:
        outcome, detail = Outcome.REFUSED, "it had ended"
    elif is_lost:
        outcome, detail = Outcome.UNAVAILABLE, NEVER_SEEN
    else:
        return None
    return Amended(
        amendment_id=wish.amendment_id,
        client_order_id=wish.client_order_id,
        outcome=outcome,
        detail=detail,
        at=at,
    )

"""What reconciling finds: each difference between our books and the venue's, by its kind."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class DifferenceKind(StrEnum):
    """What differs; the last three forbid new exposure, the others are settled or not ours."""

    MISSED_FILL = "missed_fill"  # the venue had it, we did not: booked
    LIQUIDATION = "liquidation"  # the venue took a position of ours by force: booked, desk halted
    MISSED_CHANGE = "missed_change"  # the venue knew better where an order stood: taken over
    NEVER_ARRIVED = "never_arrived"  # on our record, never at the venue: rejected, not sent again
    VANISHED = "vanished"  # it worked here, and the venue knows it no more: cancelled
    RISEN = "risen"  # ended here, works at the venue: being cancelled there
    FOREIGN_ORDER = "foreign_order"  # not ours: left alone
    FOREIGN_FILL = "foreign_fill"  # not ours: not booked
    FOREIGN_CHARGE = "foreign_charge"  # for what is not traded here: not booked
    FOREIGN_ASSET = "foreign_asset"  # an asset that is not traded here: left alone
    UNRESOLVED = "unresolved"  # no answer to an order, or none yet that knows it; or fills to come
    BALANCE = "balance"  # an asset of which the venue holds more or less than the ledger
    ASLEEP = "asleep"  # we stood still for too long, and have yet to ask what came of it

    @property
    def forbids_entries(self) -> bool:
        return self in (
            DifferenceKind.UNRESOLVED,
            DifferenceKind.BALANCE,
            DifferenceKind.ASLEEP,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that differed; `subject` names an order, a fill, a charge or an asset."""

    kind: DifferenceKind
    subject: str
    ours: str
    theirs: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """Our books held against the venue's; a fact in the journal.

    `fills_seen` is how many of the venue's fills, from its first, have been looked at: the next
    reconciliation begins after them, and where the books agree, so does the next process.
    """

    at: datetime
    differences: tuple[Difference, ...]
    fills_seen: int

    @property
    def was_asked(self) -> bool:
        """Whether the venue has had its say: else this is a doubt, and no finding."""
        return not any(d.kind is DifferenceKind.ASLEEP for d in self.differences)

    @property
    def reconciled(self) -> bool:
        """Whether the books agree, or have been brought to."""
        return not any(difference.kind.forbids_entries for difference in self.differences)

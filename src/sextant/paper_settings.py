"""On what terms paper fills: the `[paper_venue]` section of config/*.toml."""

from datetime import timedelta
from decimal import Decimal
from typing import Annotated

from pydantic import Field, field_validator

from execution.fee_schedule import FeeSchedule, FeeStep
from execution.live_matching import BookTerms
from execution.paper_costs import MarginRates
from execution.paper_terms import PaperTerms
from execution.queue_position import QueueTerms
from sextant.section import Positive, Section, Share


class FeeTierSettings(Section):
    """An entry of `paper_venue.tiers`: what is paid from a volume on."""

    volume: Positive
    """Traded in 30 days, in the account's currency."""
    maker_fee: Share
    taker_fee: Share

    def step(self) -> FeeStep:
        return FeeStep(volume=self.volume, maker=self.maker_fee, taker=self.taker_fee)


class PaperBookSettings(Section):
    """`[paper_venue.book]`: how it believes the order books and trades of a live exchange."""

    cancelled_ahead: Annotated[Decimal, Field(ge=0, le=1)]
    """Of what is cancelled in a queue, the believed part of our share before us: 0 is none."""
    settling_ms: Annotated[int, Field(ge=0)]
    """A trade and the fall of its level, told so far apart, are the same."""
    max_age: Annotated[timedelta, Field(gt=timedelta(0))]
    """An order may still walk a book so old; where none is, closed bars fill."""

    @property
    def terms(self) -> BookTerms:
        return BookTerms(
            queue=QueueTerms(
                cancelled_ahead=self.cancelled_ahead,
                settling=timedelta(milliseconds=self.settling_ms),
            ),
            max_age=self.max_age,
        )


class PaperVenueSettings(Section):
    """`[paper_venue]`: on what terms the paper venue fills.

    Spread, slippage and participation are of bars alone; a live order book has its own.
    """

    maker_fee: Share
    taker_fee: Share
    tiers: tuple[FeeTierSettings, ...]
    """What volume takes off both fees; empty is none."""
    spread_bps: Annotated[Decimal, Field(ge=0)]
    """Full spread, in basis points of the price; half of it is paid on each side."""
    slippage_bps: Annotated[Decimal, Field(ge=0)]
    latency_ms: Annotated[int, Field(ge=0)]
    participation: Annotated[Decimal, Field(ge=0, le=1)]
    """The most of a bar's volume that one bar may fill, as a share; 0 lifts the bound."""
    opening_fee: Share
    """For margin: a share of what is lent. Spot, an instrument without leverage, pays none."""
    rollover_fee: Share
    """The same, every four hours from then on."""
    book: PaperBookSettings

    @property
    def margin(self) -> MarginRates:
        return MarginRates(opening=self.opening_fee, rollover=self.rollover_fee)

    @field_validator("tiers")
    @classmethod
    def _rising(cls, tiers: tuple[FeeTierSettings, ...]) -> tuple[FeeTierSettings, ...]:
        volumes = [tier.volume for tier in tiers]
        if sorted(set(volumes)) != volumes:
            raise ValueError("volumes rise from tier to tier")
        return tiers

    def terms(self, currency: str) -> PaperTerms:
        """The terms of an account in `currency`."""
        steps = tuple(tier.step() for tier in self.tiers)
        return PaperTerms(
            maker_fee=self.maker_fee,
            taker_fee=self.taker_fee,
            spread_bps=self.spread_bps,
            slippage_bps=self.slippage_bps,
            latency=timedelta(milliseconds=self.latency_ms),
            participation=self.participation or None,
            schedule=FeeSchedule(currency=currency, steps=steps) if steps else None,
        )

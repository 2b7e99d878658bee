"""Trials: orders that a venue looks at as if they were placed, and of which it places none.

They say before the first entry whether the key may trade, the account may trade the symbol, and at
the leverage that is set.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Protocol, runtime_checkable

from data.clock import Clock
from data.collect.patience import Patience
from data.faults import Transient
from data.instrument import Instrument, Price, Quantity, Side, Symbol, Toward, on_grid
from execution.order import Order
from execution.venue import NoFunds, OrderRefused, OutcomeUnknown, VenueUnavailable
from risk.intent import Purpose, intent_id

_TRIAL: Final = "trial"
_BELOW: Final = Decimal("0.9")
"""Of the last price: far enough to rest, and near enough for every price band of a venue."""


@runtime_checkable
class TrialVenue(Protocol):
    """What an exchange may be able to do beside `Venue`."""

    async def last_price(self, symbol: Symbol) -> Price:
        """What was last traded at.

        Raises:
            VenueUnavailable: ask again, later.
            OrderRefused: the symbol is not listed.
        """
        ...

    async def check(self, order: Order) -> None:
        """Look at `order` as it would be placed, and place nothing; so it may be asked again.

        Raises:
            NoFunds: nothing but the money for it is missing.
            OrderRefused: it would be refused.
            VenueUnavailable, OutcomeUnknown: it was not looked at.
        """
        ...

    def remedy(self, refusal: OrderRefused, symbol: Symbol) -> str:
        """What a person can do about a refusal of `check`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What came of a trial; `is_accepted` is False also where nobody could be asked."""

    symbol: Symbol
    is_accepted: bool
    text: str


async def tried(
    venue: TrialVenue, instrument: Instrument, last: Price, patience: Patience
) -> Tried:
    """Have the venue look at the smallest entry in the instrument; silence is asked again.

    An account without the money for it passes: what it holds has to be looked after.
    """
    symbol = instrument.symbol
    order = trial_order(instrument, last, patience.clock)
    try:
        await patience.ask(lambda: _look(venue, order))
    except NoFunds as poor:
        return Tried(symbol=symbol, is_accepted=True, text=f"{symbol}: but for its money: {poor}")
    except OrderRefused as refusal:
        text = f"{symbol}: {refusal}; {venue.remedy(refusal, symbol)}"
        return Tried(symbol=symbol, is_accepted=False, text=text)
    except Transient as error:
        text = f"{symbol}: no answer in {patience.tries} tries: {error}; start again later"
        return Tried(symbol=symbol, is_accepted=False, text=text)
    return Tried(symbol=symbol, is_accepted=True, text=f"{symbol}: the trial order is accepted")


async def _look(venue: TrialVenue, order: Order) -> None:
    try:
        await venue.check(order)
    except OutcomeUnknown as error:  # nothing is placed whatever came of it
        raise VenueUnavailable(str(error)) from error


def trial_order(instrument: Instrument, last: Price, clock: Clock) -> Order:
    """The smallest entry that the instrument's terms allow: it would rest, and never take."""
    limit = instrument.price(last * _BELOW, Toward.LOWER)
    now = clock.now()
    least = max(instrument.min_quantity, instrument.min_notional / limit)
    return Order(
        client_order_id=intent_id(_TRIAL, instrument.symbol, now, Purpose.ENTRY),
        strategy_id=_TRIAL,
        symbol=instrument.symbol,
        side=Side.BUY,
        quantity=Quantity(on_grid(least, instrument.lot, Toward.HIGHER)),
        purpose=Purpose.ENTRY,
        trigger=None,
        limit=limit,
        stop=None,
        reduce_only=False,
        approved_at=now,
        post_only=True,
    )

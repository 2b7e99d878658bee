"""Whether a venue would take our orders: asked at each start that sends any, and by `check`."""

from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import partial

import structlog

from data.collect.patience import Patience
from data.faults import Refused, Transient
from data.instrument import Instrument
from execution.trial import TrialVenue, Tried, tried

NO_TRIAL = "no trial at this venue: it looks at no order without placing it"
_log = structlog.get_logger(__name__)


class TrialRefused(Refused):
    """The venue would not take an order in something that is to be traded there."""


async def try_each(
    exchange: TrialVenue, instruments: Iterable[Instrument], patience: Patience
) -> list[Tried]:
    """A trial of each instrument.

    Raises:
        VenueUnavailable: the exchange cannot be reached.
    """
    trials = []
    for instrument in instruments:
        last = await patience.ask(partial(exchange.last_price, instrument.symbol))
        trials.append(await tried(exchange, instrument, last, patience))
    return trials


async def require_accepted(
    name: str,
    exchange: object,
    instruments: Iterable[Instrument],
    patience: Patience,
    report: Callable[[Transient, int, timedelta], None],
) -> None:
    """Return once the exchange has accepted a trial order of each instrument, or has no trials.

    An exchange that cannot be reached is waited for, and `report` told of it.

    Raises:
        TrialRefused: it has not; every symbol is named, with its words and the remedy. So is one of
            which it says a price, and to no trial anything.
    """
    if not isinstance(exchange, TrialVenue):
        _log.info(NO_TRIAL, venue=name)
        return
    refused = []
    for instrument in instruments:
        last = await patience.insist(partial(exchange.last_price, instrument.symbol), report)
        trial = await tried(exchange, instrument, last, patience)
        if not trial.is_accepted:
            refused.append(trial.text)
    if refused:
        raise TrialRefused(f"{name} would not take our orders: {'; '.join(refused)}")
    _log.info("the venue accepts a trial order of each symbol", venue=name)

"""The venue's grids, minimums and fees, read again: they change while a daemon lives."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog

from data.clock import Clock
from execution.relisted import Relisted
from execution.venue import NotTraded, VenueUnavailable
from sextant.session import Session
from sextant.settings import Settings

_log = structlog.get_logger(__name__)


class Relisting:
    """Reads them every so often, and once the venue has refused an order for its size or price.

    Args:
        ask: The settings as the venue has us trade now.
        refused: Set by whoever hears of such a refusal.
    """

    def __init__(
        self,
        session: Session,
        ask: Callable[[], Awaitable[Settings]],
        *,
        refused: asyncio.Event,
        every: timedelta,
        clock: Clock,
    ) -> None:
        self._session = session
        self._ask = ask
        self._refused = refused
        self._every = every
        self._clock = clock

    async def run(self) -> None:
        """Read until cancelled; what cannot be read now is read the next time."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._remind(), name="relisting-remind")
            tasks.create_task(self._read(), name="relisting-read")

    async def _remind(self) -> None:
        while True:
            await self._clock.sleep(self._every)
            self._refused.set()

    async def _read(self) -> None:
        while True:
            await self._refused.wait()
            self._refused.clear()
            try:
                await self.look()
            except VenueUnavailable as fault:
                _log.warning("the venue's listings could not be read", error=str(fault))
            except NotTraded as missing:  # it refuses what we send there, and we keep what we hold
                _log.warning("the venue lists a symbol no more", error=str(missing))

    async def look(self) -> None:
        """Read them once, and trade by them from then on, if they are others."""
        settings, book = await self._ask(), self._session.book
        found = settings.instruments
        changed = tuple(new for symbol, new in found.items() if new != book.instruments[symbol])
        if changed or settings.risk.taker_fee != book.limits.taker_fee:
            listed = Relisted(
                at=self._clock.now(), instruments=changed, taker_fee=settings.risk.taker_fee
            )
            self._session.relist(listed)
            _log.warning(
                "the venue has changed its terms",
                symbols=[instrument.symbol for instrument in changed],
                taker_fee=str(listed.taker_fee),
            )

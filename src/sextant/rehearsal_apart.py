"""A rehearsal exchange in a process of its own: `sextant rehearse`, whose clock is followed."""

import asyncio
import contextlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import aiohttp
import structlog

from data.clock import FollowedClock, SystemClock
from data.collect.patience import Patience
from data.faults import Refused, Transient
from data.utc import require_utc
from execution.journal import OrderJournal
from sextant.market import Site, waiting_for
from sextant.market_settings import RehearsalMarketSettings
from sextant.rehearsal.server import TIME_PATH, addresses

_WALL = SystemClock()  # how long nobody answers is not for the exchange to say
_ASK_EVERY, _LEASE = timedelta(milliseconds=250), timedelta(seconds=2)
_TIMEOUT = aiohttp.ClientTimeout(total=2)
_LONGEST_WAIT = timedelta(seconds=5)
_log = structlog.get_logger(__name__)


class NoTimeTold(Transient):
    """The exchange does not say what time it is."""


class AnotherExchange(Refused):
    """It is not the one that the configuration and our records are of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the exchange says of itself."""

    now: datetime
    speed: float
    seed: int
    seen: datetime  # our time when it was asked


class ExchangeApart:
    """The exchange that listens at `url`; it outlives us, and may be started again while we run.

    While it does not answer, its time stands for us. Its keys are those in the environment.
    """

    def __init__(self, rehearsal: RehearsalMarketSettings, url: str) -> None:
        self.clock = FollowedClock(rehearsal.start, lease=_LEASE)
        self._rehearsal = rehearsal
        self._url = url

    def begin_after(self, at: datetime) -> None:
        self.clock.stand_at(at)

    async def open(self, books: OrderJournal, running: contextlib.AsyncExitStack) -> Site:
        """Wait until it answers, and follow its time from then on.

        Raises:
            AnotherExchange: its market, its speed or its time is not ours.
        """
        session = await running.enter_async_context(aiohttp.ClientSession(timeout=_TIMEOUT))

        async def ask() -> Told:
            return await self._ask(session)

        told = await Patience(clock=_WALL, longest=_LONGEST_WAIT).insist(
            ask, waiting_for(f"the rehearsal exchange at {self._url}")
        )
        self._require_ours(told)
        self.clock.follow(told.now, speed=told.speed)
        tasks = await running.enter_async_context(asyncio.TaskGroup())
        following = tasks.create_task(self._follow(session), name="rehearsal-time")
        running.callback(following.cancel)
        return Site(urls=addresses(self._url))

    async def _follow(self, session: aiohttp.ClientSession) -> None:
        """Ask for the time again and again; say so when it stands, and when it goes on."""
        answers = True
        while True:
            await _WALL.sleep(_ASK_EVERY)
            try:
                told = await self._ask(session)
                self._require_ours(told)
            except (NoTimeTold, AnotherExchange) as error:
                if answers:
                    _log.error("market time stands until the exchange is back", error=str(error))
                answers = False
                continue
            self.clock.follow(told.now, speed=told.speed)
            if not answers:
                _log.warning("the exchange is back; market time goes on", now=told.now.isoformat())
            answers = True

    async def _ask(self, session: aiohttp.ClientSession) -> Told:
        """Its time, which goes on from ours at the earliest.

        Raises:
            NoTimeTold: it does not answer, or not so.
        """
        seen = self.clock.now()
        query = {"seen": seen.isoformat()}
        try:
            async with session.get(f"{self._url}{TIME_PATH}", params=query) as response:
                response.raise_for_status()
                return _read(await response.json(), seen)
        except (aiohttp.ClientError, OSError, TimeoutError, LookupError, ValueError) as error:
            raise NoTimeTold(
                f"{self._url}: {str(error) or type(error).__name__}; start `sextant rehearse` "
                "there, with the --state that it had"
            ) from error

    def _require_ours(self, told: Told) -> None:
        wanted, found = self._rehearsal, f"the rehearsal exchange at {self._url}"
        if told.seed != wanted.seed:
            raise AnotherExchange(
                f"{found} has --seed {told.seed}, and market.seed is {wanted.seed}: make them equal"
            )
        if told.speed != wanted.speed:
            raise AnotherExchange(
                f"{found} has --speed {told.speed:g}, and market.speed is {wanted.speed:g}: make "
                "them equal"
            )
        if told.now < told.seen:
            raise AnotherExchange(
                f"{found} is at {told.now:%Y-%m-%d %H:%M:%S}, and our records go to "
                f"{told.seen:%Y-%m-%d %H:%M:%S}: start it with the --state that it had, or choose "
                "another storage.folder"
            )


def _read(answer: Any, seen: datetime) -> Told:
    now = datetime.fromisoformat(answer["now"])
    require_utc(now)
    return Told(now=now, speed=float(answer["speed"]), seed=int(answer["seed"]), seen=seen)

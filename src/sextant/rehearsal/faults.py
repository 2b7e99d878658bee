"""How the exchange misbehaves when it is told to: seeded, and the same again from the same seed."""

import random
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final

from data.faults import Malformed


class Accident(StrEnum):
    """What can become of a request."""

    NONE = "none"
    REFUSE_503 = "refuse_503"  # not processed
    REFUSE_429 = "refuse_429"  # not processed
    BUSY = "busy"  # not processed: EService:Busy
    DROP_REQUEST = "drop_request"  # not processed; the connection closes without an answer
    DROP_ANSWER = "drop_answer"  # processed; the connection closes without an answer
    FAIL_AFTER = "fail_after"  # processed, and answered with 502
    HANG = "hang"  # processed; no answer until the control lets it go
    LATE = "late"  # processed after some time, in which whoever asked may have given up


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """Shares in [0, 1] of what goes wrong; `methods` are the private ones that it can strike.

    Delays are of the exchange's clock, and drawn evenly from nothing to the most.
    """

    seed: int = 0
    methods: frozenset[str] = frozenset({"AddOrder", "CancelOrder", "AmendOrder"})
    refused: float = 0.0  # 503, 429 and EService:Busy, a third each
    lost: float = 0.0  # the request never arrives
    unanswered: float = 0.0  # processed, and the answer is lost: half closed, half a 502
    late: float = 0.0  # requests of REST that are processed after some of `lateness_delay`
    lateness_delay: timedelta = timedelta(seconds=30)
    answer_delay: timedelta = timedelta(0)
    event_delay: timedelta = timedelta(0)
    duplicated: float = 0.0  # events of the private channels told twice
    reordered: float = 0.0  # events told after the next one
    dropped: float = 0.0  # events not told at all
    sockets_closed: float = 0.0  # the socket closes after an event
    tokens_expired: float = 0.0  # tokens of the socket that are worth nothing by the time they come


def faults_of(words: Sequence[str], *, seed: int) -> Faults:
    """Faults as `name=value`: shares in [0, 1], and seconds where the name ends in `_delay`.

    Raises:
        Malformed: a name that there is not, or a value that is none.
    """
    values: dict[str, Any] = {}
    for word in words:
        name, _, text = word.partition("=")
        if name not in _SHARES and name not in _DELAYS:
            raise Malformed(f"{name}: there are {', '.join((*_SHARES, *_DELAYS))}")
        try:
            value = float(text)
        except ValueError:
            raise Malformed(f"{word}: {text!r} is no number") from None
        if not 0 <= value <= (1 if name in _SHARES else _LONGEST_DELAY):
            raise Malformed(f"{word}: a share is from 0 to 1, a delay of 0 to 60 seconds")
        values[name] = value if name in _SHARES else timedelta(seconds=value)
    return Faults(seed=seed, **values)


_SHARES: Final = tuple(each.name for each in fields(Faults) if each.type is float)
_DELAYS: Final = tuple(each.name for each in fields(Faults) if each.type is timedelta)
_LONGEST_DELAY: Final = 60.0
UNPROCESSED: Final = frozenset(
    {Accident.REFUSE_503, Accident.REFUSE_429, Accident.BUSY, Accident.DROP_REQUEST}
)
ANSWERED_BADLY: Final = frozenset({Accident.DROP_ANSWER, Accident.FAIL_AFTER})
NO_FAULTS: Final = Faults()
_REFUSALS: Final = (Accident.REFUSE_503, Accident.REFUSE_429, Accident.BUSY)
_AFTERWARDS: Final = (Accident.DROP_ANSWER, Accident.FAIL_AFTER)


class Mischief:
    """Draws accidents; those that were ordered come first, one a request of their method."""

    def __init__(self, faults: Faults = NO_FAULTS) -> None:
        self.faults = faults
        self._random = random.Random(faults.seed)
        self._ordered: defaultdict[str, deque[Accident]] = defaultdict(deque)

    def change(self, faults: Faults) -> None:
        """From now on; the draws begin anew."""
        self.faults = faults
        self._random = random.Random(faults.seed)

    def order(self, method: str, *accidents: Accident) -> None:
        """Have the next requests of `method` meet these."""
        self._ordered[method].extend(accidents)

    def strike(self, method: str) -> Accident:
        """What becomes of the next request of `method`."""
        if self._ordered[method]:
            return self._ordered[method].popleft()
        faults = self.faults
        if method not in faults.methods:
            return Accident.NONE
        draw = self._random.random()
        for share, accidents in (
            (faults.refused, _REFUSALS),
            (faults.lost, (Accident.DROP_REQUEST,)),
            (faults.unanswered, _AFTERWARDS),
            (faults.late, (Accident.LATE,)),
        ):
            if draw < share:
                return self._random.choice(accidents)
            draw -= share
        return Accident.NONE

    def delay(self, most: timedelta) -> timedelta:
        return most * self._random.random() if most else most

    def happens(self, share: float) -> bool:
        return bool(share) and self._random.random() < share


class Shuffle:
    """One socket's private messages on their way out: dropped, doubled, or behind the next."""

    def __init__(self, mischief: Mischief, send: Callable[[Any], None]) -> None:
        self._mischief = mischief
        self._send = send
        self._late: list[Any] = []

    def tell(self, message: Any) -> None:
        faults, late = self._mischief.faults, self._late
        if self._mischief.happens(faults.dropped):
            return
        if not late and self._mischief.happens(faults.reordered):
            late.append(message)
            return
        self._send(message)
        if self._mischief.happens(faults.duplicated):
            self._send(message)
        while late:
            self._send(late.pop())

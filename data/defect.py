"""What can be wrong with a market's live data, and where it stops being believed."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from data.instrument import Symbol


class DefectKind(StrEnum):
    """What can be wrong; `observed` and `limit` of a defect are in the unit said here."""

    STALE_BARS = "stale_bars"  # seconds since the newest bar closed
    INTERRUPTED = "interrupted"  # seconds without a bar; none is allowed
    JUMP = "jump"  # change from close to close a minute, as a fraction
    VOLUME = "volume"  # multiple of the usual volume of a bar
    DEAD = "dead"  # consecutive bars without a move or a trade
    DISAGREEMENT = "disagreement"  # of a pair with the ratio of two others, as a fraction
    MISSING_TRADES = "missing_trades"  # ids between those that came; none is allowed
    STALE_BOOK = "stale_book"  # seconds since the newest book
    CROSSED_BOOK = "crossed_book"  # spread in basis points; it must be above 0
    THIN_BOOK = "thin_book"  # value of the lesser side, in quote currency
    BROKEN_BOOK = "broken_book"  # breaks that no good books came between; none is allowed
    CLOCK_SKEW = "clock_skew"  # seconds that the venue's clock is ahead; either way, so much
    RECONNECTS = "reconnects"  # interruptions in an hour, counted up to one more than allowed

    @property
    def blocks(self) -> bool:
        """Whether nobody decides on the symbol while it lasts."""
        return self is not DefectKind.RECONNECTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Defect:
    """One thing wrong with the data of `symbol` since then: what is seen, what is allowed."""

    kind: DefectKind
    symbol: Symbol
    since: datetime
    observed: float
    limit: float


class BookLimits(BaseModel):
    """Where an order book stops being believed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_age: Annotated[timedelta, Field(gt=timedelta(0))]
    """Largest age of the newest book, by the venue's time of it."""

    min_depth: dict[str, Annotated[Decimal, Field(ge=0)]]
    """By quote currency, the least value of what each side shows; $1000 in PARAMETERS.md 1.9."""

    good_books: Annotated[int, Field(ge=1)]
    """So many books in a row, neither crossed nor thin, cure a bad one."""


class WatchLimits(BaseModel):
    """Where a market's data stops being believed, beside what `QualityLimits` says of its bars."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    good_bars: Annotated[int, Field(ge=1)]
    """So many bars in a row, on time and without a flaw, cure what bars cure."""

    max_volume_ratio: Annotated[Decimal, Field(gt=1)]
    """Largest multiple of a bar's usual volume; 100 in PARAMETERS.md 1.9."""

    max_disagreement: Annotated[Decimal, Field(gt=0, lt=1)]
    """Of XRP/BTC with XRP/USDT over BTC/USDT, say, as a fraction: 99 of 100 minutes of Binance in
    April and May 2021 are within 0.0013."""

    max_skew: Annotated[timedelta, Field(gt=timedelta(0))]
    """Between the venue's clock and ours, either way."""

    max_reconnects_per_hour: Annotated[int, Field(ge=0)]
    """More interruptions in an hour are an alert; 5 in PARAMETERS.md 1.9."""

    book: BookLimits | None = None
    """Without it, no books are expected."""

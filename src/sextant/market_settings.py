"""Which market a daemon trades on: the `[market]` section of config/*.toml."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from data.bar import Timeframe
from data.collect.news import NewsSettings
from data.feeds.live import LiveFeedSettings
from data.feeds.synthetic import ORIGIN
from sextant.section import Section, Utc

_ON_LOOPBACK = r"^http://(127\.0\.0\.1|localhost):[0-9]{1,5}$"


class _Market(Section):
    timeframe: Timeframe
    """Of the bars that come in; a desk decides on these or on longer ones made of them."""


class _MadeUp(_Market):
    """A seeded market, in its own time."""

    seed: Annotated[int, Field(ge=0)]
    start: Utc
    speed: Annotated[float, Field(gt=0)]
    """Market seconds a second: 60 gives a one-minute bar a second."""

    @field_validator("timeframe")
    @classmethod
    def _of_minutes(cls, timeframe: Timeframe) -> Timeframe:
        if timeframe is not Timeframe.M1:
            raise ValueError("the made-up market has bars of 1m only")
        return timeframe

    @field_validator("start")
    @classmethod
    def _after_its_origin(cls, start: datetime) -> datetime:
        if start < ORIGIN:
            raise ValueError(f"the made-up market begins at {ORIGIN:%Y-%m-%dT%H:%M:%SZ}")
        return start


class SyntheticMarketSettings(_MadeUp):
    """`[market]` with source "synthetic": a seeded market; it says everywhere that it is one."""

    source: Literal["synthetic"]


class RecordedMarketSettings(_Market):
    """`[market]` with source "recorded": bars from files, for `sextant replay`."""

    source: Literal["recorded"]


class FollowedMarketSettings(_Market):
    """What an exchange tells as it happens."""

    book_depth: Annotated[int, Field(ge=1, le=100)] | None = None
    """Levels of the order books that are followed; without it, none are."""
    funding: bool = False
    """Whether funding rates are followed and kept; of perpetuals only."""
    keep_trades: bool = True
    """Whether every trade is kept in the store."""
    news: NewsSettings = NewsSettings()
    feed: LiveFeedSettings = LiveFeedSettings()


class LiveMarketSettings(FollowedMarketSettings):
    """`[market]` with the source of a live exchange: S1-17's choice among adapters."""

    source: Literal["kraken", "binanceusdm", "binanceusdm_testnet", "hyperliquid"]
    urls: Mapping[str, Any] | None = None
    """Addresses in place of the venue's own, as ccxt names them: of a local server."""


class RehearsalMarketSettings(FollowedMarketSettings, _MadeUp):
    """`[market]` with source "rehearsal": an exchange on this machine that speaks Kraken's
    protocol, with a seeded market and an account of made-up money.

    With `url` it is a `sextant rehearse` of its own: seed and speed have to be those it was started
    with, and our clock follows its.
    """

    source: Literal["rehearsal"]
    url: Annotated[str, Field(pattern=_ON_LOOPBACK)] | None = None
    """Where it listens, such as "http://127.0.0.1:8880"; without it, the daemon runs it itself."""


MarketSettings = Annotated[
    SyntheticMarketSettings | RecordedMarketSettings | LiveMarketSettings | RehearsalMarketSettings,
    Field(discriminator="source"),
]

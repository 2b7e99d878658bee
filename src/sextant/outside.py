"""What a session has heard of the world beside bars: headlines and funding rates."""

from dataclasses import dataclass
from datetime import datetime

from data.funding import FundingRate
from data.instrument import Symbol
from data.news import NewsItem
from data.news_window import NewsWindow, known_news


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What of it a snapshot may show."""

    headlines: tuple[NewsItem, ...] = ()
    funding: FundingRate | None = None


NOTHING_HEARD = Heard()


class Outside:
    """Headlines as long as they may be shown, and the newest funding rate of each symbol."""

    def __init__(self, window: NewsWindow) -> None:
        self._window = window
        self._news: dict[tuple[str, str, str], NewsItem] = {}
        self._funding: dict[Symbol, FundingRate] = {}

    def learn(self, item: NewsItem) -> bool:
        """Take a headline in; whether it is new: what was seen first stands."""
        if item.key in self._news:
            return False
        self._news[item.key] = item
        return True

    def note(self, rate: FundingRate) -> None:
        """Take in a funding rate as it stands."""
        self._funding[rate.symbol] = rate

    def funding(self, symbol: Symbol, now: datetime) -> FundingRate | None:
        """The newest rate of `symbol`, if the venue's clock has not dated it after ours."""
        rate = self._funding.get(symbol)
        return rate if rate is not None and rate.seen_at <= now else None

    def heard(self, symbol: Symbol, now: datetime) -> Heard:
        """What a snapshot of `symbol` may show at `now`."""
        if not self._news and not self._funding:
            return NOTHING_HEARD
        self._forget(now)
        headlines = known_news(self._news.values(), at=now, window=self._window)
        return Heard(headlines=headlines, funding=self.funding(symbol, now))

    def _forget(self, now: datetime) -> None:
        """What is too old to be shown is too old to be kept."""
        oldest = now - self._window.max_age
        for key in [key for key, item in self._news.items() if item.published_at < oldest]:
            del self._news[key]

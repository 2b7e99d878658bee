"""A market that goes on by the clock, whoever listens: recorded trades, looped, on a Kraken.

REST tells what has happened by now, sockets a moment later; so does the venue.
"""

from collections import deque
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from data.instrument import Symbol
from tests.builders_trades import EPOCH, kraken_trades
from tests.wire.kraken import KrakenServer

BTC = Symbol("BTC/USD")
BEGIN = datetime(2026, 3, 2, 12, tzinfo=UTC)
_HOUR, _MINUTE = timedelta(hours=1), timedelta(minutes=1)
_QUIET = 7  # one minute of so many has no trade
_TOLD_EVERY = timedelta(milliseconds=200)  # of market time


def looped(shared_data, span):
    """The recorded trades as long as `span`: two days laid over each other as one hour, looped.

    Two hundred a minute, nine hundred in one, and none in every seventh; ids and times carry on.
    One more is from before `BEGIN`: without it nobody could know that the first minute is whole.
    """
    recorded = kraken_trades(shared_data)
    places = sorted((trade.traded_at - EPOCH) % _HOUR for trade in recorded)
    hour = [(at, t) for at, t in zip(places, recorded, strict=True) if at // _MINUTE % _QUIET != 3]
    times = -(-span // _HOUR)
    before = [(BEGIN - _MINUTE, recorded[0])]
    again = before + [(BEGIN + n * _HOUR + at, t) for n in range(times) for at, t in hour]
    first = recorded[0].trade_id
    return [
        replace(trade, symbol=BTC, trade_id=first + place, traded_at=at)
        for place, (at, trade) in enumerate(again)
        if at < BEGIN + span
    ]


class MarketByTheClock(KrakenServer):
    """Kraken, on which `trades` happen at their times."""

    def __init__(self, clock, trades):
        super().__init__(clock)
        self._due = deque(trades)
        self._market = self.markets[BTC]
        self._market.next_trade = trades[0].trade_id
        self._told = 0

    async def tell_all(self):
        """Tell what has happened, until cancelled."""
        while True:
            self._happen()
            prints = self._market.prints[self._told :]
            self._told += len(prints)
            if prints:
                await self.tell_trades(BTC, prints)
            await self.clock.sleep(_TOLD_EVERY)

    def _happen(self):
        now = self.clock.now()
        while self._due and self._due[0].traded_at <= now:
            trade = self._due.popleft()
            price, quantity = f"{trade.price:f}", f"{trade.quantity:f}"
            self._market.trade(trade.traded_at, price, quantity, trade.side.value)

    def _trades(self, query):
        self._happen()
        return super()._trades(query)

    def _ohlc(self, query):
        self._happen()
        return super()._ohlc(query)

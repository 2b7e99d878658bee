"""A venue that says what the test wrote down, with the faults of real ones."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from data.bar import Timeframe
from data.feeds.source import Cursor, SourceRefused, Traits
from data.instrument import Side, Symbol
from data.store import StoreUnavailable
from data.trade import Trade
from data.trade_bars import TradeBars

MINUTE = timedelta(minutes=1)
BTC = Symbol("BTC/USDT")
OPENING = datetime(2024, 3, 1, tzinfo=UTC)
KRAKEN = Traits(
    exchange="kraken",
    consecutive_ids=True,
    trades_by_id=False,
    has_funding=False,
    page=1_000,
    bars_kept=720,
)


def traits(**changes):
    return Traits(**{name: changes.get(name, getattr(KRAKEN, name)) for name in KRAKEN.__slots__})


def a_trade(trade_id, at, price="100", quantity="1", *, symbol=BTC, side=Side.BUY):
    """`at` is a time, or seconds after the opening."""
    return Trade(
        symbol=symbol,
        trade_id=trade_id,
        traded_at=at if isinstance(at, datetime) else OPENING + timedelta(seconds=at),
        side=side,
        price=Decimal(price),
        quantity=Decimal(quantity),
    )


def bars_of(trades, until):
    """What an undisturbed builder makes of whole minutes of trades."""
    if not trades:
        return []
    first = min(trade.traded_at for trade in trades)
    since = first.replace(second=0, microsecond=0)
    builder = TradeBars(trades[0].symbol, Timeframe.M1, since=since)
    bars = [bar for trade in sorted(trades, key=_place) for bar in builder.add(trade)]
    bars += builder.close_until(until)
    return [bar for bar in bars if bar.closed_at <= until]


class ScriptedSource:
    """One venue over a list of trades.

    `faults` are raised by the next questions, one each, where None lets one through; ids of
    `swallowed` are left out of the page that would begin with them, once; `trades_from` and
    `bars_from` say how far back it answers (None: it refuses past trades). `live` is what streams
    of trades tell, and `book_stream` those of books, in the same way: each element is told, raised
    if it is an error, or awaited if it is an event; then they are silent for good.
    """

    def __init__(
        self,
        trades: Sequence[Trade] = (),
        *,
        traits=KRAKEN,
        now=None,
        faults: Iterable[Exception | None] = (),
        swallowed: Iterable[int] = (),
        overlap: int = 1,
        trades_from: datetime | None = OPENING - timedelta(days=3650),
        bars=None,
        live: Sequence[object] = (),
        book_stream: Sequence[object] = (),
    ) -> None:
        self.traits = traits
        self.questions = 0
        self.reconnects = 0
        self.closed = False
        self._trades = sorted(trades, key=_place)
        self._now = now or (lambda: OPENING + timedelta(days=1))
        self._faults = iter(faults)
        self._swallowed = set(swallowed)
        self._overlap = overlap
        self._trades_from = trades_from
        self._bars = bars
        self._live = iter(live)
        self._book_stream = iter(book_stream)

    async def instruments(self, symbols):
        raise SourceRefused(f"nobody wrote down the grids of {', '.join(symbols)}")

    async def trades(self, symbol):
        async for batch in _told(self._live):
            yield batch

    async def books(self, symbol, depth):
        async for book in _told(self._book_stream):
            yield book

    async def funding(self, symbol):
        raise SourceRefused("no funding here")
        yield

    async def past_trades(self, symbol, cursor):
        self._ask()
        if self._trades_from is None:
            raise SourceRefused("past trades are not offered")
        answer = [t for t in self._trades if t.symbol == symbol and self._is_from(t, cursor)]
        page = answer[: self.traits.page]
        page += [t for t in answer[len(page) :] if t.traded_at == page[-1].traded_at]
        if not page:
            return [], cursor
        following = self._after(page, answer[len(page) :], cursor)
        if page[0].trade_id in self._swallowed:
            self._swallowed.discard(page[0].trade_id)
            page = page[1:]
        return page, following

    async def past_bars(self, symbol, timeframe, since):
        self._ask()
        kept_from = self._now() - timeframe.delta * self.traits.bars_kept
        told = self._bars if self._bars is not None else bars_of(self._trades, self._now())
        chosen = [b for b in told if b.symbol == symbol and b.opened_at >= max(since, kept_from)]
        return [b for b in chosen if b.closed_at <= self._now()][:720]

    async def past_funding(self, symbol, since):
        raise SourceRefused("no funding here")

    async def server_time(self):
        return self._now()

    async def reconnect(self):
        self.reconnects += 1

    async def close(self):
        self.closed = True

    def _ask(self):
        self.questions += 1
        fault = next(self._faults, None)
        if fault is not None:
            raise fault

    def _is_from(self, trade, cursor):
        if trade.traded_at < self._trades_from:
            return False
        if self.traits.trades_by_id and cursor.trade_id is not None:
            return trade.trade_id >= cursor.trade_id
        return trade.traded_at >= cursor.since

    def _after(self, page, rest, cursor):
        """The next page begins with the last `overlap` trades of this one."""
        if self.traits.trades_by_id:
            return Cursor(since=page[-1].traded_at, trade_id=page[-1].trade_id + 1)
        onwards = [page[-min(self._overlap, len(page))], page[-1], *rest[:1]]
        times = [trade.traded_at for trade in onwards if trade.traded_at > cursor.since]
        return Cursor(since=times[0] if times else cursor.since + timedelta(microseconds=1))


async def _told(script):
    for item in script:
        if isinstance(item, Exception):
            raise item
        if isinstance(item, asyncio.Event):
            await item.wait()
        else:
            yield item
    await asyncio.Event().wait()


def _place(trade):
    return (trade.traded_at, trade.trade_id)


class OutageStore:
    """A store that is away for its next `failures` puts, then like the one behind it."""

    def __init__(self, store, failures=0):
        self._store = store
        self.failures = failures

    async def put(self, items):
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable("database: away")
        await self._store.put(items)

    def __getattr__(self, name):
        return getattr(self._store, name)


async def kept_trades(store, symbol=BTC):
    """Everything in a trade store, in order."""
    far = timedelta(days=3650)
    return [trade async for trade in store.between(symbol, OPENING - far, OPENING + far)]

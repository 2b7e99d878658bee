"""What a rehearsal exchange comes back as from its record: itself, to the last digit."""

import asyncio
import contextlib
import itertools
import random
from datetime import timedelta
from decimal import Decimal
from itertools import islice

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from data.clock import ManualClock
from data.instrument import Price, Quantity, Side
from sextant.facts import rehearsal_codec
from sextant.journal.memory import MemoryJournal
from sextant.rehearsal.market import MarketTrade
from sextant.rehearsal.order_form import Declined
from sextant.rehearsal.rates import Limits
from sextant.rehearsal.record import AccountRecord
from sextant.rehearsal.scenes import Scene, listings_of, synthetic
from sextant.rehearsal.server import RehearsalServer, Terms
from sextant.rehearsal.trading import Trading
from tests.builders_rehearsal import BALANCES, GENEROUS, NOON, PRICES

BTC, XRP = SYMBOLS = ("BTC/USDT", "XRP/USDT")
SECOND = timedelta(seconds=1)
KINDS = (
    "market",
    "limit",
    "stop-loss",
    "take-profit",
    "stop-loss-limit",
    "trailing-stop",
    "trailing-stop-limit",
)


class Life:
    """An exchange from its opening, or its restoring, on."""

    def __init__(self, record, clock, scene):
        self.record, self.clock = record, clock
        self.server = RehearsalServer(
            Terms(balances=BALANCES, listings=scene.listings),
            prices=scene.prices,
            clock=clock,
            tape=scene.tape,
            past=scene.past,
            traded=scene.traded,
            record=record,
        )
        self.exchange = self.server.exchange
        self._trading = Trading(self.exchange, Limits(GENEROUS))

    def do(self, step):
        """Let time pass, and then do as asked; a refusal is an answer, too."""
        self.server.catch_up()
        method, form = step(self.exchange)
        if method is not None:
            with contextlib.suppress(Declined):
                self._trading.methods[method](form)

    @property
    def account(self):
        """All that is true of the account, and what the market will do to it next."""
        exchange, wallet = self.exchange, self.exchange.wallet
        return {
            "orders": list(exchange.orders.items()),
            "trades": list(exchange.trades.items()),
            "open": [order.txid for order in exchange.open_orders()],
            "entries": wallet.entries,
            "balances": wallet.balances,
            "lots": {symbol: lots for symbol, lots in wallet.lots.items() if lots},
            "held": {asset: wallet.held(asset) for asset in ("BTC", "XRP", "USDT")},
            "standing": wallet.standing("USDT", exchange.prices),
            "switch": exchange.cancels_all_at,
            "ids": dict(exchange.ids),
            "prices": exchange.prices,
            "books": [(market.book.bids, market.book.asks) for market in exchange.markets.values()],
            "newest": [list(market.prints)[-20:] for market in exchange.markets.values()],
            "candles": [m.candles(1, exchange.now, most=30) for m in exchange.markets.values()],
        }


def played(_):
    """Half a day of trades, one a minute of each pair."""
    rng, listings = random.Random(5), listings_of(SYMBOLS)
    prices, tape = {each.symbol: PRICES[each.symbol] for each in listings}, []
    last = dict(prices)
    for minute, each in itertools.product(range(720), listings):
        moved = last[each.symbol] * Decimal(10_000 + rng.randrange(-12, 13)) / 10_000
        last[each.symbol] = Price(moved.quantize(each.tick))
        trade = MarketTrade(
            at=NOON + timedelta(minutes=minute, seconds=rng.randrange(60)),
            price=last[each.symbol],
            quantity=Quantity(Decimal(rng.randrange(1, 9)) / (10 if each.symbol == BTC else 1)),
            side=rng.choice(list(Side)),
        )
        tape.append((each.symbol, trade))
    tape.sort(key=lambda told: told[1].at)
    return Scene(start=NOON, listings=listings, prices=prices, past={}, tape=iter(tape))


def made_up(start):
    return synthetic(seed=7, symbols=SYMBOLS, start=start)


async def opened(journal, clock, scene=played):
    record = await AccountRecord.open(journal)
    return Life(record, clock, scene(record.account.at if record.account else clock.now()))


def a_journal(clock):
    return MemoryJournal(codec=rehearsal_codec(), clock=clock)


def nothing(_):
    return None, {}


def at_off(price, off, places):
    return f"{price * (1 + off):.{places}f}"


def an_order(symbol, side, kind, size, off, leverage, extra):
    """An order at a price that is `off` from the last one, in shares of it."""

    def step(exchange):
        places = 1 if symbol == BTC else 5
        last = exchange.prices[symbol]
        form = {"pair": symbol, "type": side, "ordertype": kind, "volume": f"{size}"}
        form |= {"price": at_off(last, off, places)} if kind != "market" else {}
        form |= {"price2": at_off(last, 2 * off, places)} if kind == "stop-loss-limit" else {}
        form |= {"leverage": leverage} if leverage else {}
        if kind.startswith("trailing"):
            form |= {"price": f"+{abs(off) * 100}%", "price2": f"{200 * off:+}%"}
        form |= {name: at_off(last, -off, places) if value == "away" else value
                 for name, value in extra.items()}  # fmt: skip
        return "AddOrder", form

    return step


def of_open(method, pick, **form):
    """A request about one of the open orders."""

    def step(exchange):
        orders = exchange.open_orders()
        txid = orders[pick % len(orders)].txid if orders else "ONONE"
        return method, {"txid": txid} | form

    return step


def plain(method, **form):
    return lambda _: (method, form)


offs = st.sampled_from([Decimal(n) / 10_000 for n in (-30, -8, -2, 2, 8, 30)])
extras = st.sampled_from(
    [
        {},
        {},
        {"close[ordertype]": "stop-loss", "close[price]": "away"},
        {"close[ordertype]": "limit", "close[price]": "away"},
        {"oflags": "post"},
        {"timeinforce": "IOC"},
        {"expiretm": "+600"},
        {"reduce_only": "true"},
        {"validate": "true"},
    ]
)


@st.composite
def orders(draw):
    symbol = draw(st.sampled_from(SYMBOLS))
    size = draw(st.sampled_from(["0.01", "0.25", "0.9"] if symbol == BTC else ["20", "4000"]))
    return an_order(
        symbol,
        draw(st.sampled_from(["buy", "sell"])),
        draw(st.sampled_from(KINDS)),
        size,
        draw(offs),
        draw(st.sampled_from(["", "2", "5"])),
        draw(extras),
    )


steps = st.one_of(
    orders(),
    orders(),
    orders(),
    st.just(nothing),
    st.builds(of_open, st.sampled_from(["CancelOrder", "EditOrder"]), st.integers(0, 9)),
    st.builds(
        of_open,
        st.just("AmendOrder"),
        st.integers(0, 9),
        order_qty=st.sampled_from(["0.02", "0.5", "3000"]),
    ),
    st.builds(plain, st.just("CancelAllOrdersAfter"), timeout=st.sampled_from(["0", "900"])),
    st.just(plain("CancelAll")),
)
waits = st.sampled_from([1, 20, 61, 61, 61, 300, 900, 15_000]).map(lambda n: timedelta(seconds=n))
histories = st.lists(st.tuples(waits, steps), max_size=8)


async def live(life, history, *, keep=True):
    for wait, step in history:
        life.clock.move_to(life.clock.now() + wait)
        life.do(step)
        if keep:
            await life.record.keep()


@settings(max_examples=20, deadline=None)
@given(before=histories, untold=waits, after=histories)
def test_it_comes_back_as_itself_and_goes_on_alike(before, untold, after):
    async def check():
        clock = ManualClock(NOON)
        journal = a_journal(clock)
        one = await opened(journal, clock)
        await live(one, [(SECOND, nothing), *before])
        clock.move_to(clock.now() + untold)
        one.do(nothing)  # what the market did, and nobody was told
        event(f"{min(len(one.exchange.trades), 5)} fills or more")
        event(f"{min(len(one.exchange.open_orders()), 3)} open orders or more")
        other = await opened(journal, ManualClock(clock.now()))
        other.do(nothing)
        assert other.account == one.account
        await live(one, after, keep=False)
        await live(other, after, keep=False)
        assert other.account == one.account

    asyncio.run(check())


@pytest.mark.parametrize("seconds", [0, 1, 37, 60, 640], ids=lambda n: f"{n} s untold")
async def test_a_made_up_market_goes_on_where_it_was(seconds):
    """To the trade and its number, wherever in a minute it was left."""
    clock = ManualClock(NOON)
    journal = a_journal(clock)
    one = await opened(journal, clock, made_up)
    entering = an_order(BTC, "buy", "market", "0.25", Decimal("-0.002"), "2", {})
    guarding = an_order(BTC, "sell", "stop-loss", "0.25", Decimal("-0.0005"), "2", {})
    await live(one, [(timedelta(seconds=83), entering), (timedelta(seconds=91), guarding)])
    clock.move_to(clock.now() + timedelta(seconds=seconds))
    one.do(nothing)
    other = await opened(journal, ManualClock(clock.now()), made_up)
    other.do(nothing)
    for life in (one, other):
        await live(life, [(timedelta(minutes=7), nothing)], keep=False)
    differing = {name for name, value in one.account.items() if other.account[name] != value}
    assert differing <= {"candles"}  # those of the past are known as bars, not trade by trade
    assert one.exchange.trades


class Prefix:
    """A journal of which a crash has left no more than the oldest facts."""

    def __init__(self, journal, count):
        self._journal, self._count = journal, count

    async def facts(self):
        for fact in islice([fact async for fact in self._journal.facts()], self._count):
            yield fact


@settings(max_examples=20, deadline=None)
@given(history=histories, data=st.data())
def test_whatever_a_crash_leaves_is_whole(history, data):
    async def check():
        clock = ManualClock(NOON)
        journal = a_journal(clock)
        await live(await opened(journal, clock), history)
        written = [fact async for fact in journal.facts()]
        count = data.draw(st.integers(0, len(written)))
        exchange = (await opened(Prefix(journal, count), ManualClock(clock.now()))).exchange
        for order in exchange.orders.values():
            fills = [exchange.trades[txid].fill for txid in order.trades]
            assert order.filled == sum(fill.quantity for fill in fills)
            assert order.is_open or order.closed_at is not None
        for asset, balance in exchange.wallet.balances.items():
            changes = [e.amount - e.fee for e in exchange.wallet.entries if e.asset == asset]
            assert balance == sum(changes)
        assert exchange.orders.keys() == {o.txid for fact in written[:count] for o in fact.orders}

    asyncio.run(check())


@pytest.mark.parametrize("way", ["buy", "sell"])
async def test_holdings_are_those_of_an_account_that_paid_for_its_positions(way):
    clock = ManualClock(NOON)
    journal = a_journal(clock)
    life = await opened(journal, clock)
    back = "sell" if way == "buy" else "buy"
    entering = an_order(BTC, way, "market", "0.9", Decimal(0), "3", {})
    leaving = an_order(BTC, back, "market", "0.25", Decimal(0), "3", {})
    await live(life, [(timedelta(minutes=1), entering), (timedelta(minutes=9), leaving)])
    account = (await AccountRecord.open(journal)).account
    fills = [trade.fill for trade in life.exchange.trades.values()]
    base = sum(fill.side.sign * fill.quantity for fill in fills)
    quote = sum(fill.side.sign * fill.quantity * fill.price for fill in fills)
    costs = sum(entry.fee for entry in life.exchange.wallet.entries)
    assert account.holdings["BTC"] == BALANCES["BTC"] + base
    assert account.holdings["USDT"] == BALANCES["USDT"] - quote - costs

"""What others trade: made of bars, each a few trades that give the same bar again."""

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal

from data.bar import Bar
from data.instrument import Price, Quantity, Side, Symbol
from sextant.rehearsal.listing import Listing
from sextant.rehearsal.market import MarketTrade


def trades_of(bar: Bar, listing: Listing, *, seed: int, count: int) -> list[MarketTrade]:
    """`count` trades, at least four, whose bar is `bar` on the pair's grid; none if it was quiet.

    The price goes from the open to both extremes, in an order that the seed gives, and to the
    close, in steps; the volume is spread over them.
    """
    rng = random.Random(f"{seed}:{bar.symbol}:{bar.closed_at}")
    quantities = _parts(bar.volume, listing.instrument.lot, max(count, 4), rng)
    if not quantities:
        return []
    corners = [bar.open, *_extremes(bar, rng), bar.close]
    prices = _path(corners, len(quantities), listing)
    times = _times(bar, len(quantities), rng)
    trades, before = [], bar.open
    for at, price, quantity in zip(times, prices, quantities, strict=True):
        side = Side.BUY if price > before or (price == before and rng.random() < 0.5) else Side.SELL
        trades.append(MarketTrade(at=at, price=price, quantity=quantity, side=side))
        before = price
    return trades


def tape(
    bars: Iterator[Bar], listings: dict[Symbol, Listing], *, seed: int, count: int
) -> Iterator[tuple[Symbol, MarketTrade]]:
    """The trades of `bars`, given minute by minute, of all pairs in the order of time."""
    minute: list[tuple[Symbol, MarketTrade]] = []
    closes_at = None
    for bar in bars:
        if closes_at is not None and bar.closed_at != closes_at:
            yield from sorted(minute, key=lambda each: each[1].at)
            minute = []
        closes_at = bar.closed_at
        listing = listings[bar.symbol]
        minute += [(bar.symbol, t) for t in trades_of(bar, listing, seed=seed, count=count)]
    yield from sorted(minute, key=lambda each: each[1].at)


def _extremes(bar: Bar, rng: random.Random) -> tuple[Price, Price]:
    return (bar.low, bar.high) if rng.random() < 0.5 else (bar.high, bar.low)


def _path(corners: list[Price], count: int, listing: Listing) -> list[Price]:
    """Straight from corner to corner, on the grid; each corner is one of the prices."""
    at = [round(n * (count - 1) / 3) for n in range(4)]
    prices: list[Price] = []
    for n in range(count):
        leg = max(k for k in range(3) if at[k] <= n)
        share = Decimal(n - at[leg]) / Decimal(at[leg + 1] - at[leg])
        price = corners[leg] + (corners[leg + 1] - corners[leg]) * share
        prices.append(Price(round(price / listing.tick) * listing.tick))
    return prices


def _parts(volume: Quantity, lot: Decimal, count: int, rng: random.Random) -> list[Quantity]:
    """`volume` in `count` parts, multiples of the lot above zero; empty if it is too little."""
    lots = int(volume / lot)
    if lots < count:
        return []
    weights = [0.2 + rng.random() for _ in range(count)]
    spare, total = lots - count, sum(weights)
    parts = [1 + int(spare * weight / total) for weight in weights]
    parts[-1] += lots - sum(parts)
    return [Quantity(part * lot) for part in parts]


def _times(bar: Bar, count: int, rng: random.Random) -> list[datetime]:
    """Instants within the bar, rising; the first is at its open."""
    micros = bar.timeframe.delta // timedelta(microseconds=1)
    inside = sorted(rng.sample(range(1, micros), count - 1))
    return [bar.opened_at + timedelta(microseconds=each) for each in [0, *inside]]

"""Bars, series and recorded markets for the tests of data analytics."""

import gzip
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import islice
from pathlib import Path

import numpy as np

from data.account import AccountState
from data.bar import Bar, BarSeries, Timeframe
from data.instrument import Instrument, Symbol

BTC = Symbol("BTC/USDT")
MIDNIGHT = datetime(2026, 1, 5, tzinfo=UTC)  # a Monday
BITCOIN = "ohlcv_1m/binance_perp_BTCUSDT_1m_20250504_20250603.csv.gz"
RIPPLE_IN_BITCOIN = "ohlcv_1m/binance_spot_XRPBTC_1m_20210410_20210520.csv.gz"
DIRTY = "ohlcv_1m_dirty/binance_spot_XRPBTC_1m_20191027_20191126_raw.csv.gz"


def at(clock, *, day=0):
    """14:35 as a time on the first Monday of 2026, or `day` days later."""
    hours, _, minutes = clock.partition(":")
    return MIDNIGHT + timedelta(days=day, hours=int(hours), minutes=int(minutes))


def a_bar(
    closed_at, close="100", *, opened=None, high=None, low=None, volume="1",
    timeframe=Timeframe.M5, symbol=BTC,
):  # fmt: skip
    close = Decimal(close)
    opened = Decimal(opened) if opened is not None else close
    return Bar(
        symbol=symbol,
        timeframe=timeframe,
        closed_at=closed_at,
        open=opened,
        high=Decimal(high) if high is not None else max(opened, close),
        low=Decimal(low) if low is not None else min(opened, close),
        close=close,
        volume=Decimal(volume),
    )


def bars_between(opened, closed, *, timeframe=Timeframe.M5, close="100"):
    """Consecutive bars that cover [opened, closed)."""
    count = (closed - opened) // timeframe.delta
    times = (opened + (index + 1) * timeframe.delta for index in range(count))
    return [a_bar(time, close, timeframe=timeframe) for time in times]


def an_instrument(symbol=BTC):
    return Instrument(
        symbol=symbol,
        tick=Decimal("0.01"),
        lot=Decimal("0.0001"),
        min_quantity=Decimal("0.0001"),
        min_notional=Decimal(5),
    )


def an_account(as_of):
    money = Decimal(2100)
    return AccountState(as_of=as_of, currency="USDT", equity=money, cash=money, positions={})


def recorded_rows(path: Path, count=None):
    """(closed_at, open, high, low, close, volume) of a file of minute bars, shape (n, 6)."""
    with gzip.open(path, "rt") as lines:
        rows = np.loadtxt(lines, delimiter=",", skiprows=1, max_rows=count)
    rows[:, 0] += 60
    return rows


def recorded_bars(path: Path, symbol, count=None):
    with gzip.open(path, "rt") as lines:
        next(lines)
        rows = [line.strip().split(",") for line in islice(lines, count)]
    return [
        a_bar(
            datetime.fromtimestamp(int(opened_at) + 60, UTC), close, opened=opened, high=high,
            low=low, volume=volume, timeframe=Timeframe.M1, symbol=symbol,
        )
        for opened_at, opened, high, low, close, volume in rows
    ]  # fmt: skip


def synthetic_rows(stretches, seed, *, price=100.0):
    """A market of `stretches`, each (kind, bars): walk, trend, jump, still or silent.

    Still bars repeat the close; silent ones trade nothing besides. Off any grid, so that no two
    numbers tie unless the market stands.
    """
    source = random.Random(seed)
    rows, close = [], price
    for kind, bars in stretches:
        for index in range(bars):
            opened = close
            if kind == "jump" and index == 0:
                opened = close = close * source.uniform(0.5, 2.0)
            if kind in ("still", "silent"):
                high = low = close
            else:
                close *= 1.0 + source.gauss(0.003 if kind == "trend" else 0.0, 0.002)
                high = max(opened, close) * (1.0 + 0.001 * source.random())
                low = min(opened, close) * (1.0 - 0.001 * source.random())
            volume = 0.0 if kind == "silent" else source.uniform(0.0, 1000.0)
            rows.append((60.0 * (len(rows) + 1), opened, high, low, close, volume))
    return rows


def a_series(rows):
    return BarSeries.of_rows(rows)

"""Kraken's payloads, as they were recorded, read to the last digit."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import orjson
import pytest

from data.bar import Timeframe
from data.feeds.ccxt_source import exact
from data.feeds.kraken import (
    bar_of_row,
    decimals_of,
    instrument,
    rows_of,
    trade_of_frame,
    trade_of_row,
)
from data.instrument import Side, Symbol
from tests.wire.kraken_market import Market

BTC = Symbol("BTC/USDT")


@pytest.fixture
def recorded(shared_data):
    def answer(name):
        fixtures = json.loads((shared_data / "rest_fixtures" / "kraken.json").read_text())
        return exact(json.dumps(fixtures[name]["http"]))

    return answer


def test_a_recorded_trade(recorded):
    rows, last = rows_of(recorded("Trades_BTCUSDT"))
    trade = trade_of_row(BTC, rows[0])
    assert last == 1710327959173746878
    assert (trade.trade_id, trade.side) == (6324366, Side.BUY)
    assert (trade.price, trade.quantity) == (Decimal("73324.40000"), Decimal("0.01030900"))
    assert trade.traded_at == datetime(2024, 3, 13, 11, 5, 59, 173346, tzinfo=UTC)


def test_recorded_bars(recorded):
    rows, last = rows_of(recorded("OHLC_BTCUSDT_1h"))
    bars = [bar_of_row(BTC, Timeframe.H1, row) for row in rows]
    assert [row[0] <= last for row in rows] == [True] * 5 + [False]  # the last is open still
    assert bars[0].opened_at == datetime(2024, 1, 30, 15, tzinfo=UTC)
    assert bars[0].ohlcv == (43437.5, 43593.7, 43355.5, 43361.1, 18.7543011)
    assert (bars[0].trades, bars[0].turnover) == (162, None)


def test_a_bar_without_a_trade_turns_nothing_over():
    row = [1591475580, "0.02499", "0.02499", "0.02499", "0.02499", "0.00000", "0.00000000", 0]
    assert bar_of_row(BTC, Timeframe.M1, row).turnover == 0


def test_a_trade_of_the_socket():
    text = (
        '{"symbol":"BTC/USDT","side":"sell","price":85600.10,"qty":0.00005000,'
        '"ord_type":"market","trade_id":7,"timestamp":"2026-10-06T08:04:56.153890Z"}'
    )
    trade = trade_of_frame(BTC, exact(text))
    assert (str(trade.price), str(trade.quantity)) == ("85600.10", "0.00005000")
    assert trade.traded_at == datetime(2026, 10, 6, 8, 4, 56, 153890, tzinfo=UTC)


@pytest.mark.parametrize(
    ("changes", "tick"),
    [
        pytest.param({}, "0.1", id="with a tick size"),
        pytest.param({"tick_size": None}, "0.1", id="of old, by its decimals"),
        pytest.param({"tick_size": "0.5"}, "0.5", id="a tick that is no power of ten"),
    ],
)
def test_an_instrument(changes, tick):
    market = Market(symbol=BTC, pair="XBTUSDT", base="XXBT", quote="USDT", price_decimals=1)
    listing = orjson.loads(orjson.dumps(market.listing | changes))
    found = instrument(BTC, listing)
    assert found.tick == Decimal(tick)
    assert found.lot == Decimal("0.00000001")
    assert found.max_leverage == 3
    assert decimals_of(listing) == (1, 8)

"""Real bars end where five public engines end, to the last decimal."""

import gzip
import itertools
from decimal import Decimal
from io import StringIO

import pytest
from rich.console import Console

from sextant.replay import run_replay
from sextant.settings import PROJECT, load_settings

_BARS = 42_986  # ends flat, so that an engine which closes at the end of its data agrees too


@pytest.fixture
def month(shared_data, tmp_path):
    """The first 42,986 bars of a month of BTC/USDT."""
    source = shared_data / "ohlcv_1m" / "binance_perp_BTCUSDT_1m_20250504_20250603.csv.gz"
    path = tmp_path / "real_BTCUSDT_1m.csv"
    with gzip.open(source, "rt", encoding="utf-8") as lines, path.open("w") as file:
        file.writelines(itertools.islice(lines, _BARS + 1))  # and the header
    return path


def test_a_month_of_real_bars_ends_where_five_engines_end(month, tmp_path):
    summary = run_replay(
        load_settings(PROJECT / "bench" / "ema_cross.toml"),
        [month],
        out=tmp_path / "out",
        keep_all=False,
        ask_models=False,
        console=Console(file=StringIO()),
    )
    assert summary.bars == _BARS
    assert (summary.trading.buys, summary.trading.sells) == (426, 426)
    assert summary.equity_end == Decimal("9776316.95356")

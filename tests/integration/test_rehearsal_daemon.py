"""The daemon at the rehearsal exchange, over the adapter that it would trade at Kraken with."""

import textwrap

import pytest
from rich.console import Console

from data.instrument import Side
from execution.fill import Fill
from execution.reconcile import reconcile
from sextant.audit import run_audit
from sextant.daemon import Daemon
from sextant.facts import RunStarted
from sextant.house import open_house
from sextant.settings import BadSettings, load_settings
from tests.builders_daemon import EAGER, ROOT, what_is_left

pytestmark = pytest.mark.xdist_group("daemon")

SPEED = 120.0


@pytest.fixture(autouse=True)
def dsn(monkeypatch, postgres):
    """A database of the test's own is the configured one."""
    monkeypatch.setenv("SEXTANT_DATABASE_URL", postgres)
    return postgres


def a_rehearsal(folder, text=EAGER, **market):
    path = folder / "rehearsal.toml"
    keys = "".join(f"{key} = {value}\n" for key, value in ({"speed": SPEED} | market).items())
    path.write_text(
        f'extends = "{ROOT / "config" / "rehearsal.toml"}"\n'
        + textwrap.dedent(text)
        + f'[market]\n{keys}[storage]\nfolder = "{folder / "state"}"\n'
    )
    return path


def require_stops(exchange):
    """Whatever is held at the exchange has a stop that waits there, of its size."""
    for symbol in exchange.markets:
        for side in Side:
            stops = (
                order.ticket.quantity - order.filled
                for order in exchange.open_orders()
                if order.waits
                and (order.ticket.listing.symbol, order.ticket.side) == (symbol, side)
            )
            assert exchange.wallet.reducible(symbol, side) <= sum(stops)


@pytest.mark.req("S0-33")
async def test_it_trades_there_and_the_books_agree(tmp_path):
    config = a_rehearsal(tmp_path)
    async with open_house(load_settings(config)) as house:
        await Daemon(house, max_bars=90).run(view=False)
        exchange = house.market._server.exchange
        fills = [trade.fill for trade in exchange.trades.values()]
        assert (await reconcile(house.session.book.engine)).reconciled
    left = await what_is_left(config)
    (started,) = left.of(RunStarted)
    assert (started.venue, started.market) == ("kraken", "rehearsal-7")
    booked = {fill.fill_id for fill in left.of(Fill)}
    assert booked and booked <= set(exchange.trades)
    assert {fill.fee_asset for fill in fills} <= {"USDT", "BTC"}
    require_stops(exchange)
    assert await run_audit(load_settings(config), export=None, console=Console())


@pytest.mark.parametrize(
    ("text", "named"),
    [
        pytest.param('[venue]\nkind = "paper"\n', "takes orders", id="paper at an exchange"),
        pytest.param(
            '[market]\nsource = "synthetic"\ntimeframe = "1m"\nseed = 1\nspeed = 60\n'
            "start = 2026-01-05T00:00:00Z\n",
            'needs market.source "rehearsal"',
            id="real orders on made-up prices",
        ),
        pytest.param('mode = "paper"\n', "sends orders", id="orders in paper mode"),
        pytest.param(
            '[venue]\nleverage = { "ADA/USDT" = 2 }\n', "ADA/USDT", id="leverage for nothing"
        ),
    ],
)
def test_made_up_and_real_are_never_mixed(tmp_path, text, named):
    path = tmp_path / "mixed.toml"
    path.write_text(f'extends = "{ROOT / "config" / "rehearsal.toml"}"\n{text}')
    with pytest.raises(BadSettings, match=named):
        load_settings(path)

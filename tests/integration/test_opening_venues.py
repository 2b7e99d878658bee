"""What a venue has to answer before the daemon gets it: the key, the account, then our terms."""

from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from functools import partial

import pytest

from data.clock import SystemClock
from data.instrument import Symbol
from execution.dead_man import DeadManSettings
from execution.venues import binance_line, hyperliquid_line
from execution.venues.answers import KeyRefused
from execution.venues.binance_answers import AccountRefused
from execution.venues.binance_settings import BinanceVenueSettings
from execution.venues.hyperliquid_settings import HyperliquidVenueSettings
from sextant.rehearsal.faults import NO_FAULTS
from sextant.settings import load_settings
from sextant.venues import Surroundings, open_venue
from tests.builders_venue import BTC, KeptFacts
from tests.conftest import ROOT
from tests.fakes_binance import KEY, SECRET, BinanceAccount, BinanceVenueServer
from tests.fakes_hyperliquid_venue import AGENT_KEY, MASTER_KEY, HyperliquidVenueServer

IN_USDC = Symbol("BTC/USDC")
DEAD_MAN = DeadManSettings(deadline=timedelta(minutes=1), renew_every=timedelta(seconds=20))
BINANCE = BinanceVenueSettings(
    kind="binanceusdm",
    leverage={BTC: 2},
    receive_window=timedelta(seconds=5),
    dead_man=DEAD_MAN,
)
HYPERLIQUID = HyperliquidVenueSettings(
    kind="hyperliquid",
    leverage={IN_USDC: 2},
    slippage=Decimal("0.01"),
    stop_slippage=Decimal("0.05"),
    order_deadline=timedelta(seconds=5),
    dead_man=DEAD_MAN,
)


@asynccontextmanager
async def opened(venue, symbol):
    """The venue as the daemon opens it, whose settings trade one symbol there."""
    settings = load_settings(ROOT / "config" / "paper.toml")
    (instrument,) = (each for each in settings.instrument if each.symbol == BTC)
    listed = (instrument.model_copy(update={"symbol": symbol}),)
    settings = settings.model_copy(update={"venue": venue, "instrument": listed})
    clock = SystemClock()
    around = Surroundings(
        clock=clock, since=clock.now() - timedelta(hours=1), site=None, budget=None
    )
    async with open_venue(settings, books=KeptFacts(), around=around) as found:
        yield found


@pytest.fixture
async def binance(monkeypatch):
    """Binance with a key in the environment, where the line finds it."""
    async with BinanceVenueServer(BinanceAccount(SystemClock()), NO_FAULTS) as server:
        line = partial(binance_line.BinanceLine, urls=server.urls)
        monkeypatch.setattr(binance_line, "BinanceLine", line)
        monkeypatch.setenv("BINANCE_API_KEY", KEY)
        monkeypatch.setenv("BINANCE_API_SECRET", SECRET)
        yield server


@pytest.fixture
async def hyperliquid(monkeypatch):
    """Hyperliquid with an agent's key in the environment, where the line finds it."""
    async with HyperliquidVenueServer(SystemClock()) as server:
        line = partial(hyperliquid_line.HyperliquidLine, urls=server.urls)
        monkeypatch.setattr(hyperliquid_line, "HyperliquidLine", line)
        monkeypatch.setenv("HYPERLIQUID_AGENT_KEY", f"0x{AGENT_KEY}")
        monkeypatch.setenv("HYPERLIQUID_ACCOUNT", server.master)
        yield server


def asked_of_binance(server):
    return [what for what, _ in server.requests]


def asked_of_hyperliquid(server):
    """The kinds of questions, and of signed actions."""
    return [body.get("action", body)["type"] for _, body in server.requests]


# Binance


@pytest.mark.req("S1-139")
@pytest.mark.parametrize(
    ("restrictions", "named"),
    [
        pytest.param(
            {"enableWithdrawals": True, "enableFutures": True}, "can withdraw", id="can withdraw"
        ),
        pytest.param({"enableFutures": True}, "may be able", id="does not say"),
        pytest.param(
            {"enableWithdrawals": False, "enableFutures": False}, "futures", id="cannot trade"
        ),
    ],
)
async def test_binance_is_not_opened_with_an_unsafe_key(binance, restrictions, named):
    """Nothing is asked, set or sent beside the one question."""
    before = [*binance.account.settings["BTCUSDT"]]
    binance.account.restrictions = restrictions
    with pytest.raises(KeyRefused, match=named):
        async with opened(BINANCE, BTC):
            pytest.fail("it was opened")
    assert asked_of_binance(binance) == ["GET sapi/account/apiRestrictions"]
    assert binance.account.settings["BTCUSDT"] == before


async def test_binance_is_not_opened_in_hedge_mode(binance):
    """The key is known to be safe by then, and no market has been set."""
    binance.account.is_hedged = True
    with pytest.raises(AccountRefused, match="one-way"):
        async with opened(BINANCE, BTC):
            pytest.fail("it was opened")
    assert asked_of_binance(binance) == [
        "GET sapi/account/apiRestrictions",
        "GET positionSide/dual",
    ]


@pytest.mark.req("S0-22", "S1-139")
async def test_binance_is_asked_for_its_key_and_mode_before_it_is_set_to_our_terms(binance):
    assert binance.account.settings["BTCUSDT"] == ["CROSSED", 20]
    async with opened(BINANCE, BTC) as found:
        asked = asked_of_binance(binance)
        assert binance.account.settings["BTCUSDT"] == ["ISOLATED", 2]
        assert found.settings.instruments[BTC].max_leverage == 2
        assert found.settings.risk.taker_fee == binance.account.taker
    assert asked[:6] == [
        "GET sapi/account/apiRestrictions",
        "GET positionSide/dual",
        "GET symbolConfig",
        "GET exchangeInfo",
        "POST marginType",
        "POST leverage",
    ]
    assert not any(what.startswith(("POST", "DELETE")) for what in asked[6:])


# Hyperliquid


@pytest.mark.req("S1-139")
@pytest.mark.parametrize(
    ("role", "named"),
    [
        pytest.param({"role": "user"}, "no agent", id="a master's, which can withdraw"),
        pytest.param({"role": "missing"}, "no agent", id="nobody's"),
        pytest.param(
            {"role": "agent", "data": {"user": "0x" + "3" * 40}}, "another account", id="another's"
        ),
    ],
)
async def test_hyperliquid_is_not_opened_with_an_unsafe_key(hyperliquid, role, named):
    """Nothing is asked or signed beside the one question."""
    hyperliquid.roles[hyperliquid.agent] = role
    with pytest.raises(KeyRefused, match=named):
        async with opened(HYPERLIQUID, IN_USDC):
            pytest.fail("it was opened")
    assert asked_of_hyperliquid(hyperliquid) == ["userRole"]


@pytest.mark.req("S1-139")
async def test_hyperliquid_is_not_opened_with_the_accounts_own_key(hyperliquid, monkeypatch):
    monkeypatch.setenv("HYPERLIQUID_AGENT_KEY", f"0x{MASTER_KEY}")
    with pytest.raises(KeyRefused, match="can withdraw"):
        async with opened(HYPERLIQUID, IN_USDC):
            pytest.fail("it was opened")
    assert asked_of_hyperliquid(hyperliquid) == []


async def test_hyperliquid_is_not_opened_on_pooled_balances(hyperliquid):
    hyperliquid.abstraction = "unifiedAccount"
    with pytest.raises(KeyRefused, match="unifiedAccount"):
        async with opened(HYPERLIQUID, IN_USDC):
            pytest.fail("it was opened")
    assert asked_of_hyperliquid(hyperliquid) == ["userRole", "userAbstraction"]


@pytest.mark.req("S0-22", "S1-139")
async def test_hyperliquid_is_asked_for_its_key_before_its_leverage_is_set(hyperliquid):
    async with opened(HYPERLIQUID, IN_USDC) as found:
        asked, actions = asked_of_hyperliquid(hyperliquid), [*hyperliquid.actions]
        assert found.settings.instruments[IN_USDC].max_leverage == 2
        assert found.settings.risk.taker_fee == Decimal("0.00045")
    assert asked[:3] == ["userRole", "userAbstraction", "metaAndAssetCtxs"]
    assert actions == [{"type": "updateLeverage", "asset": 0, "isCross": True, "leverage": 2}]
    assert hyperliquid.wrongs == []

"""The exchange takes a position from a running daemon: booked once, told, and halted for a person.

No stop of ours leaves it anything to take: here it takes what it likes, in place of what is due.
"""

import asyncio
import os
import signal

import pytest
from rich.console import Console

from data.instrument import Symbol
from execution.difference import Reconciliation
from execution.fill import Fill
from execution.order import Submitting
from risk.breaker import TradingState
from sextant.alerts import Alert, AlertKind
from sextant.audit import run_audit
from sextant.command import Command, Verb, send
from sextant.daemon import Daemon
from sextant.house import open_house
from sextant.rehearsal import liquidation
from sextant.report_command import Window, run_report
from sextant.settings import load_settings
from sextant.subaccount import DeskRiskState
from tests.builders_daemon import EAGER, what_is_left
from tests.builders_rehearsal_left import SPEED, a_rehearsal, account_of, rehearsal_flaws
from tests.builders_safety import ONLY_LIQUIDATED, calls_noted, safety_functions

pytestmark = pytest.mark.xdist_group("daemon")

BTC, DESK = Symbol("BTC/USDT"), "chance-btc"
OWN = EAGER.replace(f'strategy_id = "{DESK}"', f'strategy_id = "{DESK}"\n    capital = 3000')


async def came(condition, *, within=300):
    """Return once `condition` holds, whatever time that takes, within reason."""
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)  # noqa: TID251 - for what the daemon does meanwhile


def taken_from(exchange):
    return [trade for trade in exchange.trades.values() if trade.fill.forced]


def entries(facts, symbol):
    orders = (fact.order for fact in facts if isinstance(fact, Submitting))
    return [order for order in orders if order.symbol == symbol and not order.reduce_only]


def decided(house):
    return house.session.scorecard.verdicts.desks[DESK].decisions


@pytest.mark.req("S0-33")
async def test_what_the_exchange_takes_is_booked_and_halts_its_desk_until_a_person_resumes(
    tmp_path, monkeypatch, postgres
):
    monkeypatch.setenv("SEXTANT_DATABASE_URL", postgres)
    config = a_rehearsal(tmp_path, OWN, speed=SPEED)
    with calls_noted() as called:
        async with open_house(load_settings(config)) as house, asyncio.TaskGroup() as tasks:
            book, exchange = house.session.book, house.market._exchange.server.exchange
            work = tasks.create_task(Daemon(house).run(view=False))
            await came(lambda: BTC in book.account(house.clock.now()).positions)
            with monkeypatch.context() as greedy:
                greedy.setattr(
                    liquidation, "due", lambda wallet, prices: next(iter(wallet.lots[BTC]), None)
                )
                await came(lambda: taken_from(exchange) and not exchange.wallet.lots[BTC])
            await came(lambda: book.risks.desk_states[DESK].trading is TradingState.HALTED)
            await came(lambda: BTC not in book.account(house.clock.now()).positions)
            before = decided(house)
            await came(lambda: decided(house) > before + 3)
            assert book.state.trading is TradingState.ACTIVE
            resume = Command(verb=Verb.RESUME, by="Ada", why="understood")
            assert "liquidation of BTC/USDT" in await send(house.settings.state_folder, resume)
            await came(lambda: BTC in book.account(house.clock.now()).positions)
            os.kill(os.getpid(), signal.SIGINT)
            await work
    left = await what_is_left(config)
    assert rehearsal_flaws(left) == []
    taken = [fill for fill in left.of(Fill) if fill.forced]
    assert [fill.fill_id for fill in taken] == [
        trade.txid for trade in account_of(left).trades.values() if trade.fill.forced
    ]
    told = [alert.subject for alert in left.of(Alert) if alert.kind is AlertKind.LIQUIDATION]
    assert sorted(told) == sorted({f"{BTC} {fill.client_order_id}" for fill in taken})
    assert left.of(Reconciliation)[-1].reconciled
    at = left.facts.index(taken[0])
    lifted = next(
        index
        for index, fact in enumerate(left.facts[at:], start=at)
        if isinstance(fact, DeskRiskState) and fact.state.trading is TradingState.ACTIVE
    )
    assert entries(left.facts[at:lifted], BTC) == []
    assert entries(left.facts[lifted:], BTC) != []
    console = Console(record=True, width=120)
    settings = load_settings(config)
    assert await run_audit(settings, export=None, console=console)
    report = await run_report(settings, Window(), out=None, console=console)
    assert report.summary.trading.liquidations == {BTC: len(taken)}
    assert "liquidations" in console.export_text()
    silent = {name for name, code in safety_functions() if code not in called}
    assert not silent & ONLY_LIQUIDATED.keys()

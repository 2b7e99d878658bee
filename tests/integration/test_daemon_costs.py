"""What holding costs on paper, in the real daemon: margin's opening and rollover, and funding."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from rich.console import Console

from data.funding import FundingRate
from data.instrument import Symbol
from execution.charge import Charge, ChargeKind
from execution.fill import Fill
from sextant.audit import run_audit
from sextant.daemon import Daemon
from sextant.house import open_house
from sextant.settings import load_settings
from tests.builders_daemon import EAGER, a_config, flaws, what_is_left

pytestmark = pytest.mark.xdist_group("daemon")

BTC = Symbol("BTC/USDT")
RATE = Decimal("0.0001")
HOLDS = (
    EAGER[: EAGER.index("[[desk]]")]
    + """
    [protection]
    take_profit = false
    break_even_from = 0
    break_even_buffer = 0
    trail_from = 0
    trail_distance = 0
    max_age = "PT0S"

    [[desk]]
    strategy_id = "holds"
    instruments = ["BTC/USDT"]
    timeframe = "1m"
    strategy = { kind = "hold", quantity = 0.01, stop_distance = 0.03, confidence = 0.9 }
"""
)


class WithFunding:
    """The house's market, in which funding is told once, for half an hour after the start."""

    def __init__(self, house):
        self._house = house

    async def events(self):
        begun = self._house.clock.now()
        yield FundingRate(
            symbol=BTC,
            at=begun + timedelta(minutes=30),
            seen_at=begun,
            rate=RATE,
            interval=timedelta(hours=1),
            mark_price=Decimal(50_000),
        )
        async for event in self._house.feed.events():
            yield event


async def test_a_position_pays_for_its_opening_its_rollover_and_its_funding(
    tmp_path, monkeypatch, postgres
):
    monkeypatch.setenv("SEXTANT_DATABASE_URL", postgres)
    config = a_config(tmp_path, HOLDS)
    async with open_house(load_settings(config)) as house:
        await Daemon(replace(house, feed=WithFunding(house)), max_bars=3 * 260).run(view=False)
    assert await run_audit(load_settings(config), export=None, console=Console())
    left = await what_is_left(config)
    assert flaws(left) == []
    (bought,) = left.of(Fill)
    terms, cost = left.settings.paper_venue, bought.quantity * bought.price
    assert {(charge.kind, charge.amount) for charge in left.of(Charge)} == {
        (ChargeKind.OPENING, cost * terms.opening_fee),
        (ChargeKind.ROLLOVER, cost * terms.rollover_fee),
        (ChargeKind.FUNDING, bought.quantity * 50_000 * RATE),
    }

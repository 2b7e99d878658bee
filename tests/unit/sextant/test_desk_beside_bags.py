"""What goes into a bag is the account's: a desk's own part has neither the cash nor the loss."""

from decimal import Decimal

import pytest

from execution.holdings import SetAside
from risk.breaker import TradingState
from tests.builders_passive import Floor, some_settings

CAPITAL = Decimal(3000)
HALF = Decimal(5000)  # of the account


def with_capital(settings):
    """The first desk has a part of its own, in which a loss of a thousandth halts it."""
    first, *others = settings.desk
    limits = {"max_drawdown": "0.001", "derisk_drawdown": "0.001"}
    own = first.model_copy(update={"capital": CAPITAL, "limits": limits})
    return settings.model_copy(update={"desk": (own, *others)})


@pytest.mark.req("S0-36", "S1-15")
async def test_what_is_set_aside_moves_the_accounts_anchors_and_no_desks(tmp_path):
    floor = await Floor(with_capital(some_settings(tmp_path))).warm_up()
    book = floor.session.book
    before, desks = book.state, book.risks.desk_states
    assert desks["chance-btc"].peak_equity == CAPITAL
    book.set_aside(SetAside(at=floor.clock.now(), asset="USDT", amount=HALF))
    assert book.state.peak_equity == before.peak_equity - HALF
    await floor.bar("100 100 100 100")
    assert book.risks.desk_states == desks
    assert book.state.trading is TradingState.ACTIVE
    part, _ = book.risks.parts["chance-btc"]
    assert part.ledger.equity == CAPITAL

"""The daemon keeps holdings at their shares and fills bags, beside its desks, over restarts."""

from decimal import Decimal
from itertools import pairwise

import pytest

from agents.allocation import DriftLevel
from data.instrument import Side
from data.postgres.pool import connect
from execution.fill import Fill
from execution.holdings import SetAside
from execution.order import Submitting
from execution.reconcile import Reconciliation, reconcile
from risk.breaker import RiskState
from risk.intent import Purpose
from sextant.allocator import ALLOCATOR, Allocated, AllocationState
from sextant.audit import audit
from sextant.command import Command, Verb
from sextant.daemon import Daemon
from sextant.facts import Commanded
from sextant.house import open_house
from sextant.operator import obey
from sextant.recovery import AnotherAccount
from sextant.report_command import Window, report_of
from sextant.settings import load_settings
from tests.builders_daemon import a_config, flaws, ran, what_is_left
from tests.builders_holdings import at_the_exchange, keeping
from tests.builders_rehearsal_left import a_rehearsal, rehearsal_flaws

pytestmark = pytest.mark.xdist_group("daemon")

BARS, ROUNDS = 240, 25
BARS_AT_THE_EXCHANGE = 60


@pytest.fixture(autouse=True)
def configured(monkeypatch, postgres):
    """A database of the test's own is the configured one."""
    monkeypatch.setenv("SEXTANT_DATABASE_URL", postgres)
    return postgres


def is_calm(book):
    """Whether the holdings are in their band, with nothing of a rebalance left to do."""
    kept, state = book.kept, book.allocator.state
    trigger = book.allocator.settings.rebalance.trigger
    drifts = [abs(each.drift) for each in kept if each.drift is not None]
    idle = not state.rebalance.pending and state.buys is None
    return idle and len(drifts) == len(kept) and max(drifts) < trigger


def has_bags(book):
    return {"BTC", "USDT"} <= book.ledger.holdings.bags.keys()


async def until(config, condition):
    """The book once `condition` holds for it, after as many daemons as that takes."""
    books = []
    for _ in range(ROUNDS):
        book = (await ran(config, BARS)).session.book
        books.append(book)
        if condition(book):
            return books
    raise AssertionError(f"{book.kept}, {book.allocator.state}")


@pytest.mark.req("S0-1", "S0-2", "S0-36", "S1-136")
async def test_it_rebalances_into_the_band_fills_bags_and_goes_on_after_restarts(
    tmp_path, configured
):
    config = a_config(tmp_path, keeping(), speed=1500.0)
    settings = load_settings(config)
    books = await until(config, lambda book: is_calm(book) and has_bags(book))
    before = books[-1]
    assert before.engine.reconciled
    books.append((await ran(config, 30)).session.book)  # once more at least
    left = await what_is_left(config)
    assert flaws(left) == []
    for state, again in pairwise(books):
        assert_grown(state.ledger.holdings.bags, again.ledger.holdings.bags)
    assert left.ledger.holdings.bags == books[-1].ledger.holdings.bags
    assert left.ledger.holdings.portfolio == books[-1].ledger.holdings.portfolio
    assert left.of(AllocationState)[-1] == books[-1].allocator.state
    assert all(found.reconciled for found in left.of(Reconciliation))
    assert left.of(Allocated)[0].level is DriftLevel.CRITICAL  # all of it began as USDT
    assert left.of(RiskState)[-1].account_peak is not None
    require_orders_of_their_kind(left)
    async with await connect(configured) as pool:
        found = await audit(settings, pool)
        told = await report_of(pool, Window())
    assert found.is_sound, found
    for topic in ("allocation", "allocation_state", "set_aside", "order_intent"):
        assert found.compared[topic] > 0
    assert [(kept.asset, kept.bag) for kept in told.summary.kept] == [
        (kept.asset, kept.bag) for kept in books[-1].kept
    ]
    trading = told.summary.trading
    assert trading.attributed == trading.trades > 0  # the report knows every mark
    profit = told.card.profit - told.card.loss
    causes = told.card.alpha + told.card.timing + told.card.slippage + told.card.attributed_fees
    assert causes == pytest.approx(profit, abs=1e-6)


def assert_grown(before, after):
    assert before.keys() <= after.keys()
    assert all(after[asset].quantity >= bag.quantity for asset, bag in before.items())


def require_orders_of_their_kind(left):
    """Each fill of the allocator is of one of its orders; bags only buy; none has a stop."""
    orders = [fact.order for fact in left.of(Submitting) if fact.order.strategy_id == ALLOCATOR]
    assert {order.purpose for order in orders} == {Purpose.ALLOCATION, Purpose.HODL}
    assert all(order.stop is None and order.limit is not None for order in orders)
    assert all(order.side is Side.BUY for order in orders if order.purpose is Purpose.HODL)
    assert left.exchanges.keys() == {order.client_order_id for order in orders}
    filled = [fill for fill in left.of(Fill) if fill.client_order_id in left.exchanges]
    assert filled
    bought = sum(
        (f.quantity for f in filled if left.exchanges[f.client_order_id] is Purpose.HODL),
        Decimal(0),
    )
    bags = left.ledger.holdings.bags
    assert bought == sum(bag.quantity for asset, bag in bags.items() if asset != "USDT")
    assert bags["USDT"].quantity == sum(fact.amount for fact in left.of(SetAside))


async def test_what_was_kept_in_the_beginning_cannot_be_changed_later(tmp_path):
    config = a_config(tmp_path, keeping())
    await ran(config, 6)
    changed = a_config(
        tmp_path,
        keeping(**{'timeframe = "5m"': 'timeframe = "5m"\n    portfolio = { USDT = 0.25 }'}),
    )
    with pytest.raises(ExceptionGroup) as raised:
        await ran(changed, 6)
    told = r"\[allocation\]: beside the trading book, it kept 5000 USDT"
    assert raised.group_contains(AnotherAccount, match=told)


async def test_a_desk_does_not_answer_for_what_the_allocator_does(tmp_path, configured):
    """A part of the account that is a desk's own has none of its fills, after a restart too."""
    desk = 'strategy_id = "chance-btc"'
    config = a_config(tmp_path, keeping(**{desk: f"{desk}\n    capital = 3000"}), speed=1500.0)
    for book in await until(config, is_calm):
        part, _ = book.risks.parts["chance-btc"]
        assert part.ledger.held("BTC/USDT") == book.ledger.held("BTC/USDT")
    async with await connect(configured) as pool:
        assert (await audit(load_settings(config), pool)).is_sound


@pytest.mark.req("S0-1", "S0-5")
async def test_it_rebalances_on_spot_where_the_desks_trade_on_margin(tmp_path, configured):
    """At the rehearsal exchange, over the adapter that it would trade at Kraken with."""
    config = a_rehearsal(tmp_path, at_the_exchange())
    for _ in range(ROUNDS):
        async with open_house(load_settings(config)) as house:
            await Daemon(house, max_bars=BARS_AT_THE_EXCHANGE).run(view=False)
            wallet, book = house.market._exchange.server.exchange.wallet, house.session.book
            assert (await reconcile(book.engine)).reconciled
        if is_calm(book):
            break
    else:
        raise AssertionError(f"{book.kept}, {book.allocator.state}")
    for asset in ("BTC", "XRP"):  # on margin nothing is owned
        assert wallet.balances[asset] == book.ledger.holdings.portfolio[asset] > 0
    left = await what_is_left(config)
    assert rehearsal_flaws(left) == []
    async with await connect(configured) as pool:
        assert (await audit(load_settings(config), pool)).is_sound


@pytest.mark.req("S0-2", "S0-36")
async def test_a_flatten_ends_trades_and_orders_and_sells_no_holding(tmp_path):
    config = a_config(tmp_path, keeping(), speed=1500.0)
    await until(config, lambda book: is_calm(book) and has_bags(book))
    async with open_house(load_settings(config)) as house:
        book = house.session.book
        before = book.ledger.holdings.portfolio, book.ledger.holdings.bags
        order = Command(verb=Verb.FLATTEN, by="Ada", why="enough")
        obey(house.session, order, house.journal, now=house.clock.now())
        await Daemon(house, max_bars=60).run(view=False)
        held = {symbol: book.ledger.held(symbol) for symbol in book.allocator.pairs}
        assert book.engine.trading_orders == () or any(held.values())
        assert book.ledger.holdings.portfolio == before[0]
        assert_grown(before[1], book.ledger.holdings.bags)  # by what the last trades have won
        assert not [o for o in book.engine.orders if o.order.purpose.exchanges]
    left = await what_is_left(config)
    latched = next(n for n, fact in enumerate(left.facts) if isinstance(fact, Commanded))
    after = [fact for fact in left.facts[latched:] if isinstance(fact, Submitting)]
    assert all(fact.order.reduce_only for fact in after)

"""Trial orders at the rehearsal exchange: looked at before anything is sent, and never placed."""

from decimal import Decimal

import pytest

from data.collect.patience import Patience
from data.instrument import Price
from execution.trial import trial_order
from execution.venue import VenueUnavailable
from execution.venues import kraken_exchange
from execution.venues.binance_settings import BinanceVenueSettings
from execution.venues.kraken_wire import wire_form
from sextant.check import inspect_orders
from sextant.house import open_house
from sextant.market import Site
from sextant.rehearsal.exchange import Exchange
from sextant.rehearsal.faults import Accident
from sextant.rehearsal.order_form import Declined
from sextant.settings import load_settings
from sextant.trials import TrialRefused, require_accepted, try_each
from tests.builders_kraken_venue import a_site
from tests.builders_rehearsal import rehearsal_exchange
from tests.builders_rehearsal_left import a_rehearsal
from tests.builders_safety import ONLY_TRIED, calls_noted, safety_functions
from tests.builders_venue import BTC, NOON, an_instrument, instruments
from tests.conftest import ROOT
from tests.fakes_kraken import QuickClock

pytestmark = pytest.mark.xdist_group("daemon")


@pytest.fixture
def trials(monkeypatch):
    """Every ticket that was only to be looked at."""
    seen, look = [], Exchange._require_acceptable

    def noted(self, txid, ticket, **more):
        if ticket.validate:
            seen.append(ticket)
        look(self, txid, ticket, **more)

    monkeypatch.setattr(Exchange, "_require_acceptable", noted)
    return seen


def says(monkeypatch, words):
    """Have the exchange say this to every order."""

    def decline(self, txid, ticket, **more):
        raise Declined(words)

    monkeypatch.setattr(Exchange, "_require_acceptable", decline)


TRADED = (instruments("5")[BTC],)
FOUR_TRIES = Patience(clock=QuickClock(NOON), tries=4)


def nobody_hears(error, tried, again_in):
    pass


async def asked(site):
    return await try_each(site.exchange, TRADED, FOUR_TRIES)


async def test_a_trial_is_the_smallest_entry_at_our_leverage_and_would_rest(trials):
    async with a_site(leverage=3) as site:
        (trial,) = await asked(site)
        assert trial.is_accepted
        assert site.control.exchange.orders == {}
        assert not await site.venue.open_orders()
    (ticket,) = trials
    assert (ticket.leverage, ticket.post_only, ticket.limit) == (3, True, Decimal(90))


@pytest.mark.parametrize("min_notional", ["0", "5", "50"])
def test_a_trial_order_is_large_enough_for_every_minimum(min_notional):
    instrument = an_instrument(BTC, "0.01", "0.0001", "0.0001", min_notional, "1")
    order = trial_order(instrument, Price(Decimal("100.7")), QuickClock(NOON))
    assert not instrument.is_dust(order.quantity, order.limit)
    assert not order.quantity % instrument.lot
    assert not order.limit % instrument.tick


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        pytest.param("EGeneral:Permission denied", "the right to create", id="permission"),
        pytest.param(
            "EAccount:Invalid permissions:XBTUSDT trading restricted for XX",
            "take BTC/USDT out of the configuration",
            id="restricted pair",
        ),
        pytest.param("EOrder:Margin allowance exceeded", "venue.leverage", id="no margin"),
    ],
)
async def test_a_refusal_names_symbol_words_and_remedy(monkeypatch, words, remedy):
    says(monkeypatch, words)
    async with a_site() as site:
        with pytest.raises(TrialRefused) as refused:
            await require_accepted("kraken", site.exchange, TRADED, FOUR_TRIES, nobody_hears)
    for told in ("BTC/USDT", words, remedy):
        assert told in str(refused.value)


async def test_an_account_without_money_passes(monkeypatch):
    """It may hold a position, which has to be looked after."""
    says(monkeypatch, "EOrder:Insufficient funds")
    async with a_site() as site:
        (trial,) = await asked(site)
    assert trial.is_accepted
    assert "Insufficient funds" in trial.text


@pytest.mark.parametrize(
    ("lost", "is_accepted"),
    [pytest.param(3, True, id="answered at last"), pytest.param(4, False, id="never answered")],
)
async def test_silence_is_asked_again_a_few_times(lost, is_accepted):
    async with a_site() as site:
        for _ in range(lost):
            site.control.next("AddOrder", Accident.DROP_ANSWER)
        (trial,) = await asked(site)
        assert trial.is_accepted is is_accepted
        assert site.control.exchange.orders == {}


async def test_an_exchange_that_is_away_is_waited_for(monkeypatch):
    heard, outages = [], [VenueUnavailable("away")] * 12
    async with a_site() as site:
        last_price = site.exchange.last_price

        async def at_last(symbol):
            if outages:
                raise outages.pop()
            return await last_price(symbol)

        monkeypatch.setattr(site.exchange, "last_price", at_last)
        await require_accepted(
            "kraken", site.exchange, TRADED, FOUR_TRIES, lambda *told: heard.append(told[1])
        )
    assert heard == [*range(1, 13)]


async def test_a_trial_that_was_placed_is_cancelled_and_refused(monkeypatch):
    """Whatever made an order of it."""

    def form_without(ticket, pair):
        form = wire_form(ticket, pair)
        del form["validate"]
        return form

    monkeypatch.setattr(kraken_exchange, "wire_form", form_without)
    async with a_site() as site:
        (trial,) = await asked(site)
        assert not trial.is_accepted
        assert "placed, not validated" in trial.text
        assert site.control.exchange.open_orders() == []


# The daemon


@pytest.fixture
def database(monkeypatch, postgres):
    """A database of the test's own is the configured one."""
    monkeypatch.setenv("SEXTANT_DATABASE_URL", postgres)


@pytest.mark.req("S0-33")
async def test_a_start_has_every_symbol_tried_and_places_nothing(tmp_path, database, trials):
    settings = load_settings(a_rehearsal(tmp_path))
    with calls_noted() as called:
        async with open_house(settings) as house:
            assert house.market._exchange.server.exchange.orders == {}
    silent = {name for name, code in safety_functions() if code not in called}
    uncalled = {ONLY_TRIED[name] for name in silent & ONLY_TRIED.keys()}
    assert uncalled == {"a port", "for `sextant check`"}
    assert {ticket.listing.symbol for ticket in trials} == set(settings.instruments)
    assert {ticket.leverage for ticket in trials} == {3}


async def test_a_start_is_refused_where_the_venue_would_refuse(tmp_path, database, monkeypatch):
    says(monkeypatch, "EGeneral:Permission denied")
    with pytest.raises(ExceptionGroup) as raised:
        async with open_house(load_settings(a_rehearsal(tmp_path))):
            pytest.fail("it was opened")
    (refused,) = raised.value.exceptions
    assert isinstance(refused, TrialRefused)
    assert BTC in str(refused)


# sextant check


async def checked(rehearsal):
    site = Site(urls=rehearsal.urls, key=rehearsal.key, secret=rehearsal.secret)
    return await inspect_orders(load_settings(ROOT / "config" / "live.toml"), site)


async def test_check_has_each_symbol_tried_and_places_nothing(trials):
    async with rehearsal_exchange() as rehearsal:
        findings = await checked(rehearsal)
        assert rehearsal.control.exchange.orders == {}
    assert [finding.severity for finding in findings] == ["ok"] * 3
    assert BTC in findings[0].text
    assert len(trials) == 3


async def test_check_says_what_the_venue_has_against_it(monkeypatch):
    says(monkeypatch, "EGeneral:Permission denied")
    async with rehearsal_exchange() as rehearsal:
        findings = await checked(rehearsal)
    assert {finding.severity for finding in findings} == {"error"}
    assert "Permission denied" in findings[0].text


async def test_check_asks_nobody_where_no_real_money_is_at_stake():
    assert await inspect_orders(load_settings(ROOT / "config" / "rehearsal.toml")) == []


async def test_check_says_where_there_are_no_trials(monkeypatch):
    monkeypatch.setenv("BINANCE_API_KEY", "key")
    monkeypatch.setenv("BINANCE_API_SECRET", "secret")
    settings = load_settings(ROOT / "config" / "live.toml")
    venue = BinanceVenueSettings(
        kind="binanceusdm",
        leverage=dict.fromkeys(settings.instruments, 2),
        receive_window="PT5S",
        dead_man=settings.venue.dead_man,
    )
    (finding,) = await inspect_orders(settings.model_copy(update={"venue": venue}))
    assert (finding.severity, "no trial at this venue" in finding.text) == ("note", True)

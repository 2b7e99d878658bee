"""Every safety function has a production caller: the real daemon runs, and they are counted.

The list is not written down: it is every public function and method of the modules that keep the
account safe. One that no run reaches has to be named here, with the reason.
"""

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from agents.vote import Abstention, AbstentionReason
from data.bar import Timeframe
from data.feed import FeedInterrupted
from data.instrument import Symbol
from execution.order import Submitting
from execution.venues.ccxt_venue import AmendingExchange, Exchange
from execution.venues.paper import PaperVenue
from risk import rules
from risk.breaker import RiskState
from sextant import daemon
from sextant.cycle import Decision
from sextant.daemon import Daemon
from sextant.facts import GapSeen, ModelCosts
from sextant.house import open_house
from sextant.settings import load_settings
from tests.builders_daemon import (
    CARE,
    EAGER,
    a_config,
    flaws,
    ran,
    what_is_left,
)
from tests.builders_models import a_vote_text, hangs_up, openai_reply, sends, serving
from tests.builders_safety import (
    ONLY_ABROAD,
    ONLY_FLATTENED,
    ONLY_LIQUIDATED,
    ONLY_LIVE,
    ONLY_OUTLIVED,
    ONLY_OVER_A_BAD_LINE,
    ONLY_PROMOTED,
    ONLY_RELISTED,
    ONLY_TRIED,
    calls_noted,
    safety_functions,
)
from tests.held_market import InStep

pytestmark = pytest.mark.xdist_group("daemon")

BARS = 500
PORTS = {
    f"execution.venues.ccxt_venue.{port.__name__}.{name}": "a port"
    for port in (AmendingExchange, Exchange)
    for name in vars(port)
    if not name.startswith("_")
}
NOT_IN_EVERY_RUN = (
    PORTS
    | ONLY_ABROAD
    | ONLY_LIVE
    | ONLY_FLATTENED
    | ONLY_LIQUIDATED
    | ONLY_OUTLIVED
    | ONLY_OVER_A_BAD_LINE
    | ONLY_PROMOTED
    | ONLY_RELISTED
    | ONLY_TRIED
    | {
        "data.market_watch.MarketWatch.blocked": "the session asks for what is wrong instead",
        "data.quality.BarInspector.stale": "data.market_watch knows how old its bars are",
        "data.quality.staleness": "for `sextant data check`",
        "data.quality.inspect": "for whole recordings",
        "execution.dead_man.GuardedVenue.arm": "a port",
        "execution.dead_man.GuardedVenue.attaches_stops": "a port",
        "execution.dead_man.GuardedVenue.disarm": "a port",
        "execution.dead_man.GuardedVenue.expires": "a port",
        "execution.dead_man.GuardedVenue.open_orders": "a port",
        "execution.engine.Engine.is_overdue": "all may be over then: test_passive_stop_daemon.py",
        "execution.engine.Engine.may_yet_show": "paper's answers never lag: test_reconcile.py",
        "execution.engine.Engine.take_outcome": "for audits",
        "execution.ledger.Ledger.cash": "for tests of the identities",
        "execution.ledger.Ledger.charges": "for tests of the identities",
        "execution.ledger.Ledger.cost": "for tests of the identities",
        "execution.ledger.Ledger.fees": "for tests of the identities",
        "execution.ledger.Ledger.realised": "for tests of the identities",
        "execution.live_matching.LiveMatching.cancel": "closed bars fill: test_venue.py",
        "execution.outbox.Books.blotter": "a port",
        "execution.outbox.Books.collect_fills": "a port",
        "execution.outbox.Books.guardian": "a port",
        "execution.outbox.Books.record": "a port",
        "execution.outbox.Books.settle": "a port",
        "execution.outbox.Guardian.before": "a port",
        "execution.outbox.Guardian.heard": "a port",
        "execution.outbox.Outbox.ask_about": "asked after a crash: tests/crash",
        "execution.outbox.Outbox.has_cancels": "the switch is armed as we go: test_dead_man.py",
        "execution.outbox.Outbox.take_out": "for audits",
        "execution.paper_charges.PaperCharges.note": "a made-up market has no funding",
        "execution.paper_margin.Held.cost": "a port",
        "execution.paper_margin.Held.opened_at": "a port",
        "execution.paper_margin.Held.quantity": "a port",
        "execution.paper_margin.Purse.equity": "a port",
        "execution.paper_margin.Purse.rate": "a port",
        "execution.venues.paper.PaperVenue.amend": "it amends nothing: test_amending_daemon.py",
        "execution.venues.paper.PaperVenue.name": "for people",
        "execution.venues.paper.PaperVenue.note": "no funding here: test_daemon_costs.py",
        "execution.venues.paper.PaperVenue.order": "asked after a crash: tests/crash",
        **dict.fromkeys(
            (
                "agents.hodl.HodlState.with_bag",
                "agents.hodl.ended",
                "agents.hodl.purchased",
                "agents.hodl.split",
                "execution.holdings.HoldingsBook.fill_bag",
                "execution.ledger.Ledger.set_aside",
                "sextant.book.Book.set_aside",
            ),
            "no trade wins after its fees here: test_holdings_daemon.py",
        ),
        "execution.attribution.AttributedTrade.total": "for tests of the identity",
        "execution.attribution.References.forget": "few orders are forgotten so soon",
        "sextant.book.Book.kept": "for people",
        "sextant.session.Session.skip": "for a desk that is slower than the market",
        "sextant.session.Session.learn": "a made-up market has no headlines",
        "sextant.session.Session.work_off": "for replays",
        "sextant.session.Session.note_failure": "no decision fails here: test_daemon_restart.py",
        "sextant.desk.Desk.look": "a person consents: test_commands.py",
        "sextant.session.Session.judge_again": "a person consents: test_commands.py",
        "sextant.referrals.Referrals.add": "nobody is asked here: test_commands.py",
        "sextant.referrals.Referrals.end": "nobody is asked here: test_commands.py",
        "sextant.referrals.Referrals.expire": "nobody is asked here: test_commands.py",
        "sextant.referrals.Referrals.take": "nobody is asked here: test_commands.py",
        "sextant.referrals.in_words": "for people",
        "sextant.vigil.Vigil.hear": "it never stands still here: test_rests_given_up.py",
    }
)

# A part of the account is kept beside the desks, at its shares.
HOLDINGS = """
    [allocation]
    enabled = true
    portfolio = { USDT = 0.2 }
    timeframe = "5m"
    patience = "PT6H"
    [allocation.hodl]
    min_profit = 0.01
    thresholds = { BTC = 15, XRP = 25, USDT = 0.01 }
"""

# Orders rest before they take. Beside the two desks of chance the council. One of its seats has a
# model that votes, one a model that hangs up, the others nobody. Little of a bar may be filled, so
# that entries and exits take several bars, and stops have to follow.
COUNCIL = """
    [passive]
    entries = true
    exits = true
    cross_after = "PT210S"

    [paper_venue]
    participation = 0.0006

    [[desk]]
    strategy_id = "council"
    instruments = ["XRP/BTC"]
    timeframe = "1m"
    overlays = ["5m", "1h"]
    [desk.strategy]
    kind = "council"
    quorum = 4
    majority = 4
    reward = 3.0
    falsified_from = 0.2
    [desk.strategy.exits]
    trending_bull = { stop_atr = 12, stop_scale = 1.2, target_scale = 2.0 }
    trending_bear = { stop_atr = 12, stop_scale = 1.2, target_scale = 2.0 }
    ranging = { stop_atr = 15, stop_scale = 0.8, target_scale = 1.5 }
    volatile_bull = { stop_atr = 12, stop_scale = 1.5, target_scale = 2.5 }
    volatile_bear = { stop_atr = 12, stop_scale = 1.5, target_scale = 2.5 }
    choppy = { stop_atr = 12, stop_scale = 1.0, target_scale = 1.0 }
    breakout_potential = { stop_atr = 12, stop_scale = 1.0, target_scale = 3.0 }
    unknown = { stop_atr = 12, stop_scale = 1.0, target_scale = 1.0 }
"""
SEAT = """
    [[seat]]
    voter = "{voter}"
    vendor = "openai"
    model = "test"
    base_url = "{base_url}/v1"
    api_key_env = "{key}"
    prompt = "voters/trend"
    stand_in = "hold"
    price_in = "1.00"
    price_out = "5.00"
    max_tokens = 500
"""


def a_house_with_models(folder: Path, *base_urls: str) -> Path:
    """A configuration with a seat for each of these vendors, and two that nobody fills."""
    keys = [*("VENDOR_KEY" for _ in base_urls), "UNSET_KEY", "UNSET_KEY"]
    seats = [
        SEAT.format(voter=f"seat-{n}", base_url=url, key=key)
        for n, (url, key) in enumerate(zip((*base_urls, "http://x", "http://x"), keys, strict=True))
    ]
    eager = EAGER.replace("stop_distance = 0.006", "stop_distance = 0.004", 1)  # it is sent back
    text = 'mode = "paper"\n' + CARE + HOLDINGS + eager + COUNCIL + "".join(seats)
    return a_config(folder, text, speed=6000)


def a_hole(now: datetime) -> FeedInterrupted:
    return FeedInterrupted(
        symbol=Symbol("BTC/USDT"), timeframe=Timeframe.M1, since=now, until=now, reason="to see"
    )


@pytest.fixture(autouse=True)
def configured(monkeypatch, postgres):
    """A database of the test's own is the configured one; one key is set."""
    monkeypatch.setenv("SEXTANT_DATABASE_URL", postgres)
    monkeypatch.setenv("VENDOR_KEY", "sk-test-1234567890")
    monkeypatch.delenv("UNSET_KEY", raising=False)


@pytest.mark.req("S0-19", "S1-15", "S1-16")
async def test_five_hundred_bars_call_every_safety_function(tmp_path, monkeypatch):
    monkeypatch.setattr(daemon, "_WATCH_EVERY", timedelta(milliseconds=10))  # 500 bars are seconds
    votes = sends(openai_reply(a_vote_text(symbol="XRP/BTC", direction="hold")))
    async with serving(votes) as (_, voting), serving(hangs_up) as (_, dead):
        config = a_house_with_models(tmp_path, voting, dead)
        with calls_noted() as called:
            async with open_house(load_settings(config)) as house:
                gapped = replace(house, feed=InStep(house, a_hole(house.clock.now())))
                await Daemon(gapped, max_bars=BARS).run(view=False)
            await ran(config, 3)  # a start with a past behind it
    silent = {name for name, code in safety_functions() if code not in called}
    off = {name for name in silent if name.rsplit(".", 1)[1] in load_settings(config).risk.off}
    assert silent - off <= NOT_IN_EVERY_RUN.keys()
    left = await what_is_left(config)
    assert flaws(left) == []
    assert left.of(GapSeen)
    _require_everybody_was_heard(left)


def _require_everybody_was_heard(left):
    """Each desk has decided; each seat of the council has voted or said why not; costs count."""
    decisions = left.of(Decision)
    assert {d.strategy_id for d in decisions} == {"chance-btc", "chance-xrp", "council"}
    councils = [d for d in decisions if d.strategy_id == "council"]
    assert all(len(d.ballots) == 4 and d.reports for d in councils)
    reasons = Counter(b.reason for d in councils for b in d.ballots if isinstance(b, Abstention))
    assert reasons[AbstentionReason.EMPTY_SEAT] == 2 * len(councils)
    assert reasons[AbstentionReason.UNREACHABLE] == len(councils)
    assert left.of(ModelCosts)[-1].spent_today_usd > 0


def test_the_list_of_safety_functions_makes_itself(monkeypatch):
    listed = dict(safety_functions())
    judged_by = {rule.__code__ for rule in rules.RULES}
    assert judged_by <= set(listed.values())
    takes_a_case = {
        code
        for name, code in listed.items()
        if name.startswith("risk.")
        and name.split(".")[1].endswith("rules")
        and code.co_varnames[: code.co_argcount] == ("case",)
    }
    assert takes_a_case == judged_by  # no rule is written and then not asked
    assert listed.keys() >= NOT_IN_EVERY_RUN.keys()

    def brand_new_rule(case): ...

    brand_new_rule.__module__ = rules.__name__
    monkeypatch.setattr(rules, "brand_new_rule", brand_new_rule, raising=False)
    assert dict(safety_functions()).keys() - listed.keys() == {"risk.rules.brand_new_rule"}


@pytest.mark.req("S0-19")
async def test_every_order_is_durable_with_its_risk_state_before_it_is_sent(tmp_path, monkeypatch):
    """At the moment of sending, without a wait in which it could still become so."""
    config, durable = a_config(tmp_path), {}
    submit = PaperVenue.submit
    async with open_house(load_settings(config)) as house:

        async def watched(venue, order):
            durable[order.intent.intent_id] = house.journal._durable.seq
            await submit(venue, order)

        monkeypatch.setattr(PaperVenue, "submit", watched)
        await Daemon(house, max_bars=150).run(view=False)
    left = await what_is_left(config)
    written, states = {}, []
    for record, fact in zip(left.desk, left.facts, strict=True):
        if isinstance(fact, RiskState):
            states.append(record.seq)
        elif isinstance(fact, Submitting):
            written[fact.order.client_order_id] = record.seq
            assert states[-1] < record.seq
    assert len(durable) > 10
    assert all(written[intent] <= newest for intent, newest in durable.items())

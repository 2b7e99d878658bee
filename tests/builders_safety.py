"""The safety functions, counted: every public one of the modules that keep the account safe.

The list is not written down, but made of the modules.
"""

import contextlib
import importlib
import inspect
import sys
from collections.abc import Iterator
from types import CodeType

KEEPERS = (
    "agents.allocation",
    "agents.council.consensus",
    "agents.hodl",
    "agents.interview",
    "agents.llm.budget",
    "agents.panel",
    "agents.rebalancing",
    "data.market_watch",
    "data.quality",
    "data.snapshot",
    "execution.answering",
    "execution.attribution",
    "execution.blotter",
    "execution.care",
    "execution.charges_due",
    "execution.dead_man",
    "execution.depth",
    "execution.dust",
    "execution.engine",
    "execution.fee_schedule",
    "execution.holdings",
    "execution.kill_switch",
    "execution.ledger",
    "execution.ledger_page",
    "execution.liquidation",
    "execution.live_matching",
    "execution.outbox",
    "execution.paper_charges",
    "execution.paper_margin",
    "execution.passive",
    "execution.pauses",
    "execution.protection",
    "execution.reconcile",
    "execution.targets",
    "execution.tightening",
    "execution.tracking",
    "execution.trial",
    "execution.venues.answers",
    "execution.venues.ccxt_venue",
    "execution.venues.paper",
    "execution.venues.telling",
    "risk.allocation_rules",
    "risk.approval",
    "risk.breaker",
    "risk.breaker_orders",
    "risk.case",
    "risk.completion",
    "risk.form_rules",
    "risk.latch",
    "risk.loss_rules",
    "risk.mark_watch",
    "risk.market_rules",
    "risk.rules",
    "risk.signal_rules",
    "risk.size_rules",
    "risk.sizing",
    "risk.stop_rules",
    "sextant.alerts",
    "sextant.allocator",
    "sextant.book",
    "sextant.desk",
    "sextant.exhibits",
    "sextant.latches",
    "sextant.operator",
    "sextant.promotion",
    "sextant.recovery",
    "sextant.referrals",
    "sextant.relisting",
    "sextant.resting",
    "sextant.rests",
    "sextant.risks",
    "sextant.session",
    "sextant.sight",
    "sextant.stages",
    "sextant.trials",
    "sextant.unheeded",
    "sextant.vigil",
)
ONLY_LIVE = {
    "data.market_watch.MarketWatch.book": "a made-up market has no order books",
    "data.market_watch.MarketWatch.book_broken": "a made-up market has no order books",
    "data.market_watch.MarketWatch.clock_skew": "a made-up market is its own clock",
    "data.market_watch.MarketWatch.missing_trades": "a made-up market has no trades",
    "sextant.exhibits.Exhibits.note": "a made-up market has no order books",
    **dict.fromkeys(
        (
            "execution.depth.Depth.give_way",
            "execution.depth.Depth.offered",
            "execution.depth.Depth.take",
            "execution.depth.Depth.tell",
            "execution.depth.walk",
            "execution.live_matching.LiveMatching.hear",
            "execution.live_matching.LiveMatching.next_due",
            "execution.live_matching.LiveMatching.observe",
            "execution.live_matching.LiveMatching.pass_time",
            "execution.live_matching.LiveMatching.show",
            "execution.venues.paper.PaperVenue.hear",
        ),
        "closed bars fill on a made-up market",
    ),
}
"""What only a live feed calls: test_live_daemon.py."""
ONLY_FLATTENED = dict.fromkeys(
    (
        "execution.kill_switch.KillSwitch.ask",
        "execution.kill_switch.KillSwitch.in_the_way",
        "execution.kill_switch.KillSwitch.resting",
        "execution.kill_switch.closing",
        "execution.kill_switch.doubts",
        "execution.kill_switch.still_open",
        "execution.kill_switch.within",
        "risk.breaker_orders.breaker_intents",
        "risk.latch.Latch.is_done",
        "risk.latch.looked_at",
        "risk.latch.thrown",
        "sextant.risks.Risks.desk_states",
        "sextant.risks.Risks.lift",
        "sextant.latches.Latches.unfinished",
        "sextant.latches.Latches.within_reach",
        "sextant.operator.halts_of",
        "sextant.operator.obey",
        "sextant.operator.require_liftable",
    ),
    "nobody throws the kill switch here: test_kill_switch_daemon.py",
)
"""What only a person's flatten and resume call."""


ONLY_OUTLIVED = dict.fromkeys(
    (
        "execution.dead_man.DeadMan.before",
        "execution.dead_man.DeadMan.end",
        "execution.dead_man.DeadMan.heard",
        "execution.dead_man.DeadMan.run",
        "execution.dead_man.chosen",
        "execution.dead_man.is_resting_entry",
        "execution.dead_man.unguarded",
        "execution.outbox.Outbox.send_cancels",
    ),
    "a paper venue ends with its daemon: test_dead_man_daemon.py",
)
"""What only a venue calls for that would outlive us."""


ONLY_LIQUIDATED = dict.fromkeys(
    (
        "execution.liquidation.takes_down",
        "execution.liquidation.venues_order",
        "sextant.risks.Risks.holder",
    ),
    "its stops leave the venue nothing to take: test_liquidation_daemon.py",
)
"""What is called only for a position that the venue takes by force."""

ONLY_ABROAD = dict.fromkeys(
    (
        "execution.venues.answers.require_listed",
        "sextant.relisting.Relisting.run",
        *(
            f"execution.venues.ccxt_venue.CcxtVenue.{name}"
            for name in (
                "amends", "attaches_stops", "balances", "charges", "close", "disarm", "drain",
                "expires", "fills", "holds_targets", "look", "name", "open", "open_orders",
                "pending", "rounding", "run", "submit", "wait",
            )
        ),
        *(
            f"execution.venues.telling.Telling.{name}"
            for name in ("as_told", "drain", "expect_order", "hear", "since", "size", "working")
        ),
    ),
    "a paper venue is no exchange: test_rehearsal_daemon.py",
)  # fmt: skip
"""What only a venue calls for that is reached over a line."""

ONLY_OVER_A_BAD_LINE = {
    **dict.fromkeys(
        (
            "execution.answering.intent_of",
            "execution.answering.learned",
            "execution.pauses.Pauses.failed",
            "execution.pauses.Pauses.is_exhausted",
            "execution.venues.answers.asking_fault_unsaid",
            "execution.venues.answers.in_short",
            "execution.venues.answers.placing_fault_unsaid",
            "execution.venues.answers.was_never_sent",
            "execution.venues.ccxt_venue.CcxtVenue.cancel",
            "execution.venues.ccxt_venue.CcxtVenue.order",
            "execution.venues.telling.Telling.awaits_fills",
            "execution.venues.telling.Telling.forget_order",
        ),
        "every answer comes here: test_lying_exchange.py",
    ),
    **dict.fromkeys(
        (
            "execution.venues.answers.require_forgotten",
            "execution.venues.telling.Telling.has_fill",
            "execution.venues.telling.Telling.know_fill",
            "execution.venues.telling.Telling.know_order",
            "execution.venues.telling.Telling.know_past",
        ),
        "the exchange has no past and nobody else: test_venue_abroad.py",
    ),
    **dict.fromkeys(
        (
            "execution.tracking.TrackedOrder.can_change",
            "execution.tracking.TrackedOrder.coming",
            "execution.venues.ccxt_venue.CcxtVenue.amend",
        ),
        "the venue amends nothing: test_amending_daemon.py",
    ),
    "execution.venues.ccxt_venue.CcxtVenue.arm": "its entries expire: test_dead_man_daemon.py",
    "execution.blotter.Blotter.is_liquidation": "nothing is taken: test_liquidation_daemon.py",
    "sextant.relisting.Relisting.look": "no terms change: test_terms_change_daemon.py",
}
"""What only faults of a line call, and what else a quiet venue does not do."""

ONLY_PROMOTED = dict.fromkeys(
    (
        "sextant.promotion.Examination.cleared",
        "sextant.promotion.clear",
        "sextant.promotion.examine",
        "sextant.promotion.run_promote",
        "sextant.stages.Cleared.holds_for",
        "sextant.stages.bounds_of",
        "sextant.stages.changed",
        "sextant.stages.confirmations",
        "sextant.stages.exit_test",
        "sextant.stages.loosened",
        "sextant.stages.require_met",
        "sextant.stages.rules_changed",
        "sextant.stages.strategy_of",
    ),
    "a rehearsal needs no clearance: test_promotion.py",
)
"""What only a way to real money calls."""

ONLY_RELISTED = dict.fromkeys(
    (
        "execution.engine.Engine.relist",
        "execution.ledger.Ledger.relist",
        "sextant.book.Book.instruments",
        "sextant.book.Book.relist",
        "sextant.risks.Risks.relist",
        "sextant.desk.Desk.relist",
        "sextant.session.Session.relist",
    ),
    "a paper venue's terms are ours: test_terms_change_daemon.py",
)
"""What only a venue calls for whose terms change."""


ONLY_TRIED = {
    **dict.fromkeys(
        (
            "execution.trial.TrialVenue.check",
            "execution.trial.TrialVenue.last_price",
            "execution.trial.TrialVenue.remedy",
        ),
        "a port",
    ),
    "sextant.trials.try_each": "for `sextant check`",
    **dict.fromkeys(
        (
            "execution.trial.trial_order",
            "execution.trial.tried",
            "sextant.trials.require_accepted",
        ),
        "a paper venue takes every order that it lists: test_trial_orders.py",
    ),
}
"""What only a start at a venue calls that is not our own."""


@contextlib.contextmanager
def calls_noted() -> Iterator[set[CodeType]]:
    """The code of every function that this thread calls in the block."""
    called: set[CodeType] = set()

    def note(frame, event, _):
        if event == "call":
            called.add(frame.f_code)

    sys.setprofile(note)
    try:
        yield called
    finally:
        sys.setprofile(None)


def safety_functions() -> Iterator[tuple[str, CodeType]]:
    """Every public function and method that the modules of `KEEPERS` define."""
    for module in map(importlib.import_module, KEEPERS):
        for name, thing in vars(module).items():
            if name.startswith("_") or getattr(thing, "__module__", "") != module.__name__:
                continue
            if inspect.isfunction(thing):
                yield f"{module.__name__}.{name}", thing.__code__
            elif inspect.isclass(thing) and not issubclass(thing, Exception):
                yield from _methods(f"{module.__name__}.{name}", thing)


def _methods(prefix: str, owner: type) -> Iterator[tuple[str, CodeType]]:
    for name, member in vars(owner).items():
        work = getattr(member, "fget", None) or getattr(member, "__func__", member)
        if not name.startswith("_") and inspect.isfunction(work):
            yield f"{prefix}.{name}", inspect.unwrap(work).__code__

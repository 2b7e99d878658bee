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
    "agents.council.consensus",
    "agents.interview",
    "agents.llm.budget",
    "agents.panel",
    "data.market_watch",
    "data.quality",
    "data.snapshot",
    "execution.care",
    "execution.engine",
    "execution.kill_switch",
    "execution.ledger",
    "execution.protection",
    "execution.reconcile",
    "execution.tightening",
    "execution.venues.paper",
    "risk.allocation_rules",
    "risk.approval",
    "risk.breaker",
    "risk.breaker_orders",
    "risk.case",
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
    "sextant.book",
    "sextant.desk",
    "sextant.operator",
    "sextant.recovery",
    "sextant.referrals",
    "sextant.session",
    "sextant.sight",
)
ONLY_LIVE = {
    "data.market_watch.MarketWatch.book": "a made-up market has no order books",
    "data.market_watch.MarketWatch.book_broken": "a made-up market has no order books",
    "data.market_watch.MarketWatch.clock_skew": "a made-up market is its own clock",
    "data.market_watch.MarketWatch.missing_trades": "a made-up market has no trades",
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
        "sextant.book.Book.desk_states",
        "sextant.book.Book.lift",
        "sextant.book.Book.unfinished",
        "sextant.operator.halts_of",
        "sextant.operator.obey",
        "sextant.operator.require_liftable",
    ),
    "nobody throws the kill switch here: test_kill_switch_daemon.py",
)
"""What only a person's flatten and resume call."""


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

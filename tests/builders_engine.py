"""An engine over a paper venue, and what it takes to give it orders."""

from datetime import timedelta
from decimal import Decimal

from data.clock import ManualClock
from execution.engine import Engine, EngineSettings
from execution.ledger import Ledger
from execution.venues.paper import PaperVenue
from risk.approval import _SEAL, ApprovedOrder
from risk.intent import Direction, OrderIntent, Purpose
from tests.builders_venue import BTC, NOON, KeptFacts, an_id, instruments, price, terms
from tests.fakes_venue import AmendingPaper

BALANCES = {"USDT": Decimal(100_000)}


def sealed(intent):
    """What `judge` makes of an intent that breaks no rule."""
    return ApprovedOrder(
        intent=intent,
        quantity=intent.quantity,
        approved_at=intent.decided_at,
        reductions=(),
        scales=(),
        shadowed=(),
        seal=_SEAL,
    )


def an_entry(name, quantity="1", *, stop="90", symbol=BTC, limit=None, decided_at=NOON):
    """An approved entry by its short name; `quantity` is signed."""
    signed = Decimal(quantity)
    return sealed(
        OrderIntent(
            intent_id=an_id(name),
            strategy_id="desk",
            symbol=symbol,
            purpose=Purpose.ENTRY,
            direction=Direction.LONG if signed > 0 else Direction.SHORT,
            decided_at=decided_at,
            confidence=0.7,
            quantity=signed,
            stop=price(stop),
            limit=price(limit),
        )
    )


def an_exit(name, quantity="-1", *, symbol=BTC, trigger=None, limit=None, decided_at=NOON):
    """An approved reduction by its short name: at market, or a stop order with `trigger`."""
    return sealed(
        OrderIntent(
            intent_id=an_id(name),
            strategy_id="desk",
            symbol=symbol,
            purpose=Purpose.EXIT if trigger is None else Purpose.PROTECTION,
            direction=Direction.CLOSE,
            decided_at=decided_at,
            confidence=0.7,
            quantity=Decimal(quantity),
            trigger=price(trigger),
            limit=price(limit),
            reduce_only=True,
        )
    )


def a_clock():
    return ManualClock(NOON)


async def a_paper_venue(clock, *, facts=(), leverage="1", amends=False, **changes):
    """A paper venue with 100,000 USDT, or as `facts` left it; one that `amends`, if it is to."""
    kind = AmendingPaper if amends else PaperVenue
    return await kind.open(
        name="paper",
        instruments=instruments(leverage),
        terms=terms(**changes),
        balances=BALANCES,
        journal=KeptFacts(facts),
        clock=clock,
    )


def a_ledger(leverage="1"):
    return Ledger("USDT", BALANCES, instruments(leverage))


A_DAY = timedelta(days=1)


def an_engine(
    venue, clock, journal, *, leverage="1", listener=None, entries_last=A_DAY, **settings
):
    """An engine with an empty ledger, before any recovery."""
    engine = Engine(
        venue=venue,
        ledger=a_ledger(leverage),
        journal=journal,
        clock=clock,
        instruments=instruments(leverage),
        settings=EngineSettings(**settings),
        entries_last=entries_last,
    )
    if listener is not None:
        engine.listener = listener
    return engine

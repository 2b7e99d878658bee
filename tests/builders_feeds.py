"""Small markets for the tests of feeds and clocks."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from data.clock import SystemClock
from data.instrument import Instrument, Symbol

MINUTE = timedelta(minutes=1)
OPENING = datetime(2024, 3, 1, tzinfo=UTC)
BTC, XRP, CROSS = Symbol("BTC/USDT"), Symbol("XRP/USDT"), Symbol("XRP/BTC")
HEADER = "ts,open,high,low,close,volume"


def an_instrument(symbol, tick, lot):
    return Instrument(
        symbol=symbol,
        tick=Decimal(tick),
        lot=Decimal(lot),
        min_quantity=Decimal(lot),
        min_notional=Decimal(5),
    )


TRIANGLE = (
    an_instrument(BTC, "0.01", "0.00001"),
    an_instrument(XRP, "0.0001", "0.1"),
    an_instrument(CROSS, "0.00000001", "1"),
)


def opens(minute):
    """The time column of the bar that opens `minute` minutes after the opening."""
    return int(OPENING.timestamp()) + 60 * minute


def row(minute, prices="10,12,9,11", volume="5"):
    return f"{opens(minute)},{prices},{volume}"


def write_csv(path, rows, header=HEADER):
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


async def other_tasks():
    """Let every task that can run do so."""
    for _ in range(5):
        await SystemClock().sleep(timedelta(0))


async def until_done(task, clock, step):
    """Move a manual clock step by step until `task` is done."""
    while not task.done():
        await other_tasks()
        clock.move_to(clock.now() + step)

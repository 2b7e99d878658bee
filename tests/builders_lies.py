"""A house of ours at an exchange that lies: what may happen, and what must hold whatever happens.

The house is the real one: the daemon's engine, protection, care, kill switch, watch and
reconciliation as wiring puts them together, before the adapter on ccxt of one of three venues. The
exchange is the one that the adapter is held to its contract before, with its REST, its socket and
its faults: for Kraken the rehearsal exchange, for Binance and Hyperliquid the servers of their
tests. Only the wires, the time (`tests/simulated_loop.py`), the journals (in memory) and the bars
(of the exchange's last prices) are made for it. A script is drawn from its seed before anything
happens, so that the same seed is the same story at the same venue, to the last message:

    python -m tests.builders_lies 17 --steps 60 --venue kraken    # how seed 17 fails, if it does
    python -m tests.builders_lies 17 --venue binance --shrink     # which steps it takes to fail
    python -m tests.builders_lies 0 --venue hyperliquid --seeds 500    # looks for one that fails
"""

import argparse
import asyncio
import contextlib
import logging
import random
import sys
import traceback
from dataclasses import replace
from functools import partial
from unittest.mock import patch

from data.collect.patience import Patience
from sextant import venues
from tests.builders_lies_life import Story
from tests.builders_lies_script import PLACES, script_of
from tests.builders_lies_world import World
from tests.builders_rehearsal import NOON
from tests.simulated_loop import SimulatedLoop, simulated_time


async def live(script, clock, story):
    """Live through a script, and come to rest."""
    async with asyncio.TaskGroup() as tasks:
        world = World(script, clock, tasks, story)
        with world.there.in_place(), heard_failing(world.note_flaw):
            await _live(world)
    return world


@contextlib.contextmanager
def heard_failing(note):
    """What an exchange's server did not expect of us it answers with 500, and is a flaw."""
    alarm = logging.Handler(logging.ERROR)
    alarm.emit = lambda record: note(AssertionError(f"there: {_told(record)}"))
    logger = logging.getLogger("aiohttp.server")
    logger.addHandler(alarm)
    try:
        yield
    finally:
        logger.removeHandler(alarm)


def _told(record):
    return "".join(traceback.format_exception(*record.exc_info or (None,)))[-1_000:]


async def _live(world):
    await world.open()
    await world.until_trading()
    for step in world.script.steps:
        world.tell(f"{step.name} {' '.join(map(str, step.args))}, {step.wait} s")
        await getattr(world, step.name)(*step.args)
        world.check()
        await world.let_pass(step.wait)
    await world.come_to_rest()
    world.die_at_last()


def live_through(script):
    """The world as the script leaves it.

    Raises:
        AssertionError, ExceptionGroup: what must hold did not; its note tells the story.
    """
    with (
        asyncio.Runner(loop_factory=SimulatedLoop) as runner,
        simulated_time(runner.get_loop(), NOON) as clock,
        patch.object(venues, "Patience", partial(Patience, chance=random.Random(script.seed))),
        Story(clock).of_the_log() as story,
    ):
        try:
            return runner.run(live(script, clock, story))
        except BaseException as error:
            error.add_note("\n".join(story.lines))
            error.add_note(f"replay: {replay_of(script)}")
            raise


def replay_of(script):
    """The command that tells the story of a script again, if it was drawn from its seed."""
    what = f"{script.seed} --steps {len(script.steps)} --venue {script.venue}"
    return f"python -m tests.builders_lies {what}"


def main():
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seed", type=int)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--venue", choices=PLACES, default="kraken")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--shrink", action="store_true")
    wanted = parser.parse_args()
    failed = 0
    for seed in range(wanted.seed, wanted.seed + wanted.seeds):
        script = script_of(seed, wanted.steps, wanted.venue)
        error = failure_of(script)
        if error is None:
            print(seed, "holds", flush=True)
            continue
        failed += 1
        if wanted.shrink:
            script, error = _shrunk(script, error)
        if wanted.seeds == 1:
            traceback.print_exception(error)
        else:
            print(seed, "FAILS", in_words(error), flush=True)
    sys.exit(bool(failed))


def failure_of(script):
    try:
        live_through(script)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is shown
        return error
    return None


def in_words(error):
    """The kind of the first thing that went wrong, and what it says."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {str(error)[:300]}"


def _shrunk(script, error):
    """The script without the steps that it fails without, in the same way."""
    size, kind = max(len(script.steps) // 2, 1), in_words(error)[:40]
    while size:
        start = 0
        while start < len(script.steps):
            less = replace(script, steps=script.steps[:start] + script.steps[start + size :])
            found = failure_of(less)
            if found is not None and in_words(found)[:40] == kind:
                script, error = less, found
            else:
                start += size
        size //= 2
    return script, error


if __name__ == "__main__":
    main()

"""A house of ours at an exchange that lies: what may happen, and what must hold whatever happens.

Both are the real ones: the daemon's engine, protection, care, kill switch, watch and reconciliation
as wiring puts them together, before Kraken's adapter on ccxt, and the rehearsal exchange with its
REST, its socket and its faults. Only the wires, the time (`tests/simulated_loop.py`), the journals
(in memory) and the bars (of the exchange's last prices) are made for it. A script is drawn from its
seed before anything happens, so that the same seed is the same story, to the last message:

    python -m tests.builders_lies 17 --steps 60       # tells how seed 17 fails, if it does
    python -m tests.builders_lies 17 --shrink         # and which of its steps it takes to fail
    python -m tests.builders_lies 0 --seeds 500       # looks for one that fails
"""

import argparse
import asyncio
import random
import sys
import traceback
from dataclasses import replace
from functools import partial
from unittest.mock import patch

from data.collect.patience import Patience
from sextant import venues
from tests.builders_lies_life import Story
from tests.builders_lies_script import script_of
from tests.builders_lies_world import World
from tests.builders_rehearsal import NOON
from tests.simulated_loop import SimulatedLoop, simulated_time


async def live(script, clock, story):
    """Live through a script, and come to rest."""
    async with asyncio.TaskGroup() as tasks:
        world = World(script, clock, tasks, story)
        await world.open()
        await world.until_trading()
        for step in script.steps:
            world.tell(f"{step.name} {' '.join(map(str, step.args))}, {step.wait} s")
            await getattr(world, step.name)(*step.args)
            world.check()
            await world.let_pass(step.wait)
        await world.come_to_rest()
        world.die_at_last()
    return world


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
            seed, steps = script.seed, len(script.steps)
            error.add_note("\n".join(story.lines))
            error.add_note(f"replay: python -m tests.builders_lies {seed} --steps {steps}")
            raise


def main():
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seed", type=int)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--shrink", action="store_true")
    wanted = parser.parse_args()
    failed = 0
    for seed in range(wanted.seed, wanted.seed + wanted.seeds):
        script = script_of(seed, wanted.steps)
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

"""Work that is not left half done, whoever is cancelled meanwhile."""

import asyncio
from collections.abc import Coroutine


async def to_the_end(work: Coroutine[None, None, None]) -> None:
    """Await `work` to its end; being cancelled meanwhile takes effect after it."""
    inner = asyncio.get_running_loop().create_task(work)  # awaited below, whatever happens
    cancelled: asyncio.CancelledError | None = None
    while not inner.done():
        try:
            await asyncio.shield(inner)
        except asyncio.CancelledError as error:
            cancelled = error
    inner.result()
    if cancelled is not None:
        raise cancelled

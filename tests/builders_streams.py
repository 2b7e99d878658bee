"""Listening to an endless stream in a test, without waiting longer than it takes."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from data.faults import Fault

_PATIENCE = 10  # seconds; only a failing test waits so long


class Heard:
    """What a stream has said so far, and the fault it ended with."""

    def __init__(self) -> None:
        self._said: asyncio.Queue[Any] = asyncio.Queue()

    def put(self, item: Any) -> None:
        self._said.put_nowait(item)

    async def next(self) -> Any:
        """The next item; the fault, if that is what came."""
        async with asyncio.timeout(_PATIENCE):
            return await self._said.get()

    async def take(self, count: int) -> list[Any]:
        return [await self.next() for _ in range(count)]

    @property
    def is_empty(self) -> bool:
        return self._said.empty()


@asynccontextmanager
async def heard(stream: AsyncIterator[Any]) -> AsyncGenerator[Heard, None]:
    """Listen to `stream` as long as the block runs, then close it."""
    ears = Heard()

    async def listen() -> None:
        try:
            async for item in stream:
                ears.put(item)
        except Fault as fault:
            ears.put(fault)
        finally:
            await stream.aclose()  # type: ignore[attr-defined]

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(listen())
        try:
            yield ears
        finally:
            task.cancel()

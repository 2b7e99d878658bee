"""A series kept in bounded memory by keeping every n-th item."""

from typing import Generic, TypeVar

T = TypeVar("T")


class Thinned(Generic[T]):
    """At most `limit` items spread evenly over all that were added, and always the newest.

    When it is full, every second item goes and the step between kept items doubles.
    """

    def __init__(self, limit: int = 4096) -> None:
        self._limit = limit
        self._step = 1
        self._seen = 0
        self._kept: list[T] = []
        self._newest: T | None = None

    def add(self, item: T) -> None:
        if self._seen % self._step == 0:
            self._kept.append(item)
            self._newest = None
            if len(self._kept) >= self._limit:
                del self._kept[1::2]
                self._step *= 2
        else:
            self._newest = item
        self._seen += 1

    @property
    def items(self) -> list[T]:
        """What is kept, oldest first, the newest included."""
        return list(self._kept) if self._newest is None else [*self._kept, self._newest]

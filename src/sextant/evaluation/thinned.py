"""A series kept in bounded memory by keeping every n-th item."""

from typing import Generic, TypeVar

T = TypeVar("T")


class Thinned(Generic[T]):
    """Fewer than `limit` items spread evenly over all that came, and always the newest.

    When it is full, every second item goes and the step between kept items doubles.

    Raises:
        ValueError: `limit` is odd, or below 2.
    """

    def __init__(self, limit: int = 4096) -> None:
        if limit < 2 or limit % 2:
            raise ValueError(f"a limit is even and at least 2, not {limit}")
        self._limit = limit
        self._step = 1
        self._to_skip = 0  # before the next one that is kept
        self._kept: list[T] = []
        self._newest: T | None = None

    def __len__(self) -> int:
        """How many came, kept or not."""
        return len(self._kept) * self._step - self._to_skip

    def add(self, item: T) -> None:
        """Take the next item."""
        self._newest = item
        if self._to_skip:
            self._to_skip -= 1
        else:
            self._keep(item)

    def _keep(self, item: T) -> None:
        self._kept.append(item)
        self._to_skip = self._step - 1
        if len(self._kept) == self._limit:
            del self._kept[1::2]
            self._step *= 2

    @property
    def first(self) -> T | None:
        return self._kept[0] if self._kept else None

    @property
    def newest(self) -> T | None:
        return self._newest

    @property
    def items(self) -> list[T]:
        """What is kept, oldest first, the newest included."""
        if self._newest is None or self._kept[-1] is self._newest:
            return list(self._kept)
        return [*self._kept, self._newest]

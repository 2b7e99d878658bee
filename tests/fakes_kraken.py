"""What stands around Kraken's adapter in tests."""

from data.clock import ManualClock


class QuickClock(ManualClock):
    """Waits by moving itself on."""

    async def sleep(self, delay):
        self.move_to(self.now() + delay)


class PushingClock:
    """Waits by moving another one on, which everybody else goes by."""

    def __init__(self, moved):
        self._moved = moved

    def now(self):
        return self._moved.now()

    async def sleep(self, delay):
        self._moved.move_to(self.now() + delay)

    async def sleep_until(self, at):
        self._moved.move_to(at)

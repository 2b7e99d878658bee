"""`sextant ARGUMENTS`, telling when its first bar was taken: `python -m bench.probes.first_bar`."""

import json
import time
from unittest.mock import patch

from data.bar import Bar
from data.snapshot import Snapshot
from sextant import cli
from sextant.desk import Desk
from sextant.session import Session


def main() -> None:
    take = Session.take
    handled: list[float] = []

    async def and_told(session: Session, bar: Bar) -> list[tuple[Desk, Snapshot]]:
        sightings = await take(session, bar)
        handled.append(time.monotonic())
        return sightings

    with patch.object(Session, "take", and_told):
        cli.app(standalone_mode=False)
    print(json.dumps({"first_bar_at": handled[0]}))


if __name__ == "__main__":
    main()

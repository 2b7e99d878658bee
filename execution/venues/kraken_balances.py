"""Kraken's private channel `balances`, read. Pure."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from execution.venues.heard import BalanceTold

_BY_TRADING: Final = frozenset({"trade", "margin", "margintrade", "rollover", "settled"})


def balances_told(message: Mapping[str, Any], now: datetime) -> Iterator[BalanceTold]:
    """What a message says; a snapshot has no times, and tells what there is by `now`.

    What is not known to come of trading (`deposit`, `withdrawal`, `transfer`, ...) does not.

    Source: docs.kraken.com, WebSocket v2, "Balances".

    Raises:
        LookupError, ArithmeticError, ValueError: it cannot be read.
    """
    is_snapshot = message["type"] == "snapshot"
    for row in message["data"]:
        yield BalanceTold(
            asset=str(row["asset"]),
            left=Decimal(row["balance"]),
            at=now if is_snapshot else datetime.fromisoformat(row["timestamp"]),
            by_trading=is_snapshot or row["type"] in _BY_TRADING,
        )

"""The private histories of a Kraken account over REST, through ccxt, which signs."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

import ccxt.pro  # type: ignore[import-untyped]

from data.feeds.ccxt_source import TappedExchange, at_seconds, config, fault_of, reading
from data.feeds.source import SourceRefused
from data.instrument import Notional, Price, Quantity, Side
from data.kraken_db.window import EPOCH, RIGHTS, Window
from data.own_trade import LedgerEntry, OwnTrade


class KrakenAccount:
    """The private histories of one account over REST.

    Args:
        key: Of the API, with its `secret`; neither is ever shown.
        urls: In place of the real ones: `private`.
        timeout: Of one call.
    """

    def __init__(
        self,
        key: str,
        secret: str,
        *,
        urls: Mapping[str, Any] | None = None,
        timeout: timedelta = timedelta(seconds=30),
    ) -> None:
        self._exchange = _Kraken({**config(urls, timeout=timeout), "apiKey": key, "secret": secret})

    async def trades(self, window: Window) -> tuple[list[OwnTrade], int]:
        result = await self._ask(self._exchange.privatePostTradesHistory, window)
        with reading("kraken TradesHistory"):
            return [trade_of(*item) for item in result["trades"].items()], int(result["count"])

    async def entries(self, window: Window) -> tuple[list[LedgerEntry], int]:
        result = await self._ask(self._exchange.privatePostLedgers, window)
        with reading("kraken Ledgers"):
            return [entry_of(*item) for item in result["ledger"].items()], int(result["count"])

    async def close(self) -> None:
        await self._exchange.close()

    async def _ask(self, call: Callable[..., Awaitable[Any]], window: Window) -> Any:
        since, until = (int((at - EPOCH).total_seconds()) for at in (window.since, window.until))
        query = {"start": since, "end": until, "ofs": window.kept or 0}
        try:
            answer = await call(query)
        except (ccxt.BaseError, OSError, TimeoutError) as error:
            fault = fault_of(error, f"kraken {getattr(call, '__name__', 'history')}")
            if isinstance(fault, SourceRefused):
                raise SourceRefused(f"{fault}; the key needs the rights: {RIGHTS}") from error
            raise fault from error
        with reading("kraken"):
            return answer["result"]


class _Kraken(TappedExchange, ccxt.pro.kraken):  # type: ignore[misc]
    """ccxt's client, which signs; numbers are left as they are written."""


def trade_of(trade_id: str, row: Mapping[str, Any]) -> OwnTrade:
    """A trade of ours out of Kraken's words."""
    return OwnTrade(
        trade_id=trade_id,
        order_id=row["ordertxid"],
        pair=row["pair"],
        traded_at=at_seconds(row["time"]),
        side=Side(row["type"]),
        order_type=row["ordertype"],
        price=Price(Decimal(row["price"])),
        quantity=Quantity(Decimal(row["vol"])),
        cost=Notional(Decimal(row["cost"])),
        fee=Notional(Decimal(row["fee"])),
        margin=Notional(Decimal(row["margin"])),
        misc=row.get("misc", ""),
    )


def entry_of(ledger_id: str, row: Mapping[str, Any]) -> LedgerEntry:
    """A movement of a balance out of Kraken's words."""
    return LedgerEntry(
        ledger_id=ledger_id,
        refid=row["refid"],
        at=at_seconds(row["time"]),
        type=row["type"],
        subtype=row.get("subtype", ""),
        asset=row["asset"],
        amount=Decimal(row["amount"]),
        fee=Decimal(row["fee"]),
        balance=Decimal(row["balance"]),
    )

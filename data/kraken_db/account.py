"""The private histories of a Kraken account over REST, through ccxt, which signs."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any, TypeAlias

import ccxt.pro  # type: ignore[import-untyped]

from data.feeds.ccxt_source import TappedExchange, at_seconds, config, fault_of, reading
from data.feeds.source import SourceRefused
from data.instrument import Notional, Price, Quantity, Side
from data.kraken_db.window import EPOCH, RIGHTS, Window
from data.own_trade import LedgerEntry, OwnTrade

Ask: TypeAlias = Callable[[str, Mapping[str, str]], Awaitable[Any]]
"""A private method of Kraken's and its form; the result. Raises Transient: ask again."""


class KrakenAccount:
    """The private histories of one account.

    Args:
        ask: Signs. A key's requests are numbered, and refused out of turn: whoever trades with
            the same key has to ask for this too.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def trades(self, window: Window) -> tuple[list[OwnTrade], int]:
        result = await self._ask("TradesHistory", _form(window))
        with reading("kraken TradesHistory"):
            return [trade_of(*item) for item in result["trades"].items()], int(result["count"])

    async def entries(self, window: Window) -> tuple[list[LedgerEntry], int]:
        result = await self._ask("Ledgers", _form(window))
        with reading("kraken Ledgers"):
            return [entry_of(*item) for item in result["ledger"].items()], int(result["count"])


def _form(window: Window) -> dict[str, str]:
    since, until = (int((at - EPOCH).total_seconds()) for at in (window.since, window.until))
    return {"start": str(since), "end": str(until), "ofs": str(window.kept or 0)}


class KeyedClient:
    """A client that only reads, for a command of its own.

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

    async def close(self) -> None:
        await self._exchange.close()

    async def ask(self, method: str, form: Mapping[str, str]) -> Any:
        """The result of a private question.

        Raises:
            SourceUnavailable: ask again.
            SourceRefused: the key is wrong, or may not.
        """
        try:
            answer = await getattr(self._exchange, f"privatePost{method}")(dict(form))
        except (ccxt.BaseError, OSError, TimeoutError) as error:
            fault = fault_of(error, f"kraken {method}")
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

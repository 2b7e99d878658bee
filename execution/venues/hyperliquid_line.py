"""The line to Hyperliquid: an agent's key signs, the account is asked for, one stream tells.

ccxt signs and carries what is made here, action by action. What it would sign of its own accord
(fees to a third party, a referral, approvals, settings) cannot be signed by this client.
"""

import logging
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Self

import ccxt.pro  # type: ignore[import-untyped]

from data.clock import Clock
from data.feeds.ccxt_source import Inbox, TappedExchange, config
from data.feeds.hyperliquid_wire import instrument
from data.feeds.source import SourceUnavailable
from data.instrument import Symbol, UnknownSymbol
from execution.venues.answers import FAILURES, KeyRefused, reading
from execution.venues.hyperliquid_answers import Said, asking_fault, is_over_limit
from execution.venues.hyperliquid_limits import HyperliquidLimits
from execution.venues.hyperliquid_settings import KEY_NAME
from execution.venues.hyperliquid_wire import Action, Json, Listing, milliseconds

_KEY, _ACCOUNT = KEY_NAME, "HYPERLIQUID_ACCOUNT"
_PRIVATE_KEY: Final = re.compile(r"(0x)?[0-9a-fA-F]{64}")
_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}")
TRANSFERS: Final = "userNonFundingLedgerUpdates"
_CHANNELS: Final = ("orderUpdates", "userFills", TRANSFERS)
_SIGNED: Final = frozenset({"order", "cancel", "cancelByCloid", "scheduleCancel", "updateLeverage"})
_WORD: Final = re.compile(r'\s*"\w+"\s*')
_FAILED: Final = 400

_SILENT: Final = logging.getLogger("sextant.hyperliquid.unsaid")
_SILENT.disabled = True  # ccxt logs signatures with every request, at DEBUG


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The private key of an agent, never shown, and the address of the account that it trades."""

    agent_key: str = field(repr=False)  # 64 hexadecimal digits
    account: str  # in lower case

    @classmethod
    def of_environment(cls, environment: Mapping[str, str]) -> Self:
        """The key in HYPERLIQUID_AGENT_KEY and the address in HYPERLIQUID_ACCOUNT.

        Raises:
            KeyRefused: one is missing, or is not what Hyperliquid gives out.
        """
        missing = [name for name in (_KEY, _ACCOUNT) if not environment.get(name)]
        if missing:
            raise KeyRefused(
                f"{' and '.join(missing)} not set in the environment; .env.example has all names"
            )
        if not _PRIVATE_KEY.fullmatch(environment[_KEY]):
            raise KeyRefused(f"{_KEY} is no private key of 32 bytes in hexadecimal digits")
        if not _ADDRESS.fullmatch(environment[_ACCOUNT]):
            raise KeyRefused(f"{_ACCOUNT} is no address of 20 bytes in hexadecimal digits")
        return cls(
            agent_key=environment[_KEY].removeprefix("0x"), account=environment[_ACCOUNT].lower()
        )


class HyperliquidLine:
    """Questions about one account, and actions for it, within their limits.

    Args:
        testnet: Another network, whose signatures are worth nothing on the real one.
        urls: In place of the real ones: `public`, `private`, and `ws` with `public`.
        timeout: Of one request.
    """

    def __init__(
        self,
        keys: Keys,
        *,
        clock: Clock,
        limits: HyperliquidLimits,
        testnet: bool = False,
        urls: Mapping[str, Any] | None = None,
        timeout: timedelta = timedelta(seconds=10),
    ) -> None:
        self.account = keys.account
        self._exchange = _Hyperliquid(keys, config(urls, timeout=timeout), testnet=testnet)
        self.agent = self._exchange.agent
        self._clock = clock
        self._limits = limits
        self._nonce = 0
        self._rows: Mapping[Symbol, Json] = {}
        self._symbols: Mapping[str, Symbol] = {}

    async def close(self) -> None:
        await self._exchange.drop_connections()
        await self._exchange.close()

    async def ask(self, kind: str, query: Json | None = None) -> Any:
        """The answer to a question.

        Raises:
            VenueUnavailable: ask again, later.
        """
        await self._limits.ask(kind)
        try:
            answer = await self._exchange.publicPostInfo({"type": kind, **(query or {})})
        except FAILURES as error:
            self.note(error)
            raise asking_fault(error, f"hyperliquid {kind}") from error
        await self._limits.heard(kind, answer)
        return answer

    async def ask_of_account(self, kind: str, query: Json | None = None) -> Any:
        """The answer to a question about the account; an agent has orders and fills of nobody.

        Raises:
            VenueUnavailable: ask again, later.
        """
        return await self.ask(kind, {"user": self.account, **(query or {})})

    async def act(self, action: Action, *, until: datetime | None = None) -> Json:
        """Sign and send an action now; what Hyperliquid says of it.

        Args:
            until: It is turned away where it arrives later.

        Raises:
            Said: it was turned down.
            BaseError, ClientError, OSError, TimeoutError: ccxt's and the network's own, unjudged.
        """
        self._nonce = max(self._nonce + 1, milliseconds(self._clock.now()))
        expires = None if until is None else milliseconds(until)
        signature = self._exchange.sign_l1_action(action, self._nonce, None, expires)
        request = {"action": action, "nonce": self._nonce, "signature": signature}
        if expires is not None:
            request["expiresAfter"] = expires
        answer = await self._exchange.privatePostExchange(request)
        match answer:
            case {"status": "ok", "response": dict(response)}:
                return response
            case _:
                raise ccxt.BadResponse(f"hyperliquid {action['type']}: neither ok nor err")

    def note(self, error: BaseException) -> None:
        """Take patience, where `error` asks for it."""
        if is_over_limit(error):
            self._limits.rest(getattr(error, "retry_after", None))

    async def listing(self, symbol: Symbol) -> Listing | None:
        """The perpetual of that symbol, if there is one, as it was listed when last asked for.

        Raises:
            VenueUnavailable: ask again, later.
        """
        await self.symbols()
        row = self._rows.get(symbol)
        with reading(f"hyperliquid {symbol}"):
            return None if row is None else _listing(symbol, row)

    async def symbols(self) -> Mapping[str, Symbol]:
        """Our symbols of the perpetuals, by the names of their coins.

        Raises:
            VenueUnavailable: ask again, later.
        """
        if not self._symbols:
            await self.reload()
        return self._symbols

    async def reload(self) -> None:
        """Ask for the listings anew: ticks follow prices.

        Raises:
            VenueUnavailable: ask again, later.
        """
        await self._limits.ask("metaAndAssetCtxs")
        try:
            markets = await self._exchange.load_markets(True)
        except FAILURES as error:
            self.note(error)
            raise asking_fault(error, "hyperliquid metaAndAssetCtxs") from error
        with reading("hyperliquid metaAndAssetCtxs"):
            self._rows = _rows_by_symbol(markets)
            self._symbols = {row["name"]: symbol for symbol, row in self._rows.items()}

    @asynccontextmanager
    async def stream(self) -> AsyncIterator[Inbox[Json]]:
        """Messages of `orderUpdates`, `userFills` and `userNonFundingLedgerUpdates`."""
        async with self._exchange.account_stream(self.account) as inbox:
            yield inbox

    async def hang_up(self) -> None:
        """Close the stream's socket, if there is one."""
        await self._exchange.drop_connections()


def _rows_by_symbol(markets: Mapping[str, Json]) -> dict[Symbol, Json]:
    """What is listed, as Hyperliquid wrote it; what has no symbol of ours cannot be traded."""
    rows = {}
    for name, market in markets.items():
        try:
            symbol = Symbol(name.partition(":")[0])
        except UnknownSymbol:
            continue
        rows[symbol] = market["info"]
    return rows


def _listing(symbol: Symbol, row: Json) -> Listing:
    return Listing(
        asset=int(row["baseId"]),
        coin=row["name"],
        size_decimals=int(row["szDecimals"]),
        instrument=instrument(symbol, dict(row)),
    )


class _Hyperliquid(TappedExchange, ccxt.pro.hyperliquid):  # type: ignore[misc]
    """ccxt's client, able to sign what trades, and nothing else."""

    def __init__(self, keys: Keys, settings: Mapping[str, Any], *, testnet: bool) -> None:
        secrets = {"privateKey": keys.agent_key, "walletAddress": keys.account}
        super().__init__({**settings, **secrets})
        self.logger = _SILENT
        self.agent: str = self.eth_get_address_from_private_key(f"0x{keys.agent_key}").lower()
        self.options["sandboxMode"] = testnet  # it is part of what is signed
        if testnet and "urls" not in settings:
            self.set_sandbox_mode(True)

    def describe(self) -> Any:
        only_perpetuals = {"fetchMarkets": {"types": ["swap"]}}
        mine = {"has": {"fetchCurrencies": False}, "options": only_perpetuals}
        return self.deep_extend(super().describe(), mine)

    async def initialize_client(self) -> bool:
        """Approve and refer nothing."""
        return True

    def sign_l1_action(self, action: Any, *others: Any) -> Any:
        if action.get("type") not in _SIGNED or "builder" in action:
            raise ccxt.PermissionDenied(f"hyperliquid: {action.get('type')} is not ours to sign")
        return super().sign_l1_action(action, *others)

    def sign_user_signed_action(self, *_: Any) -> Any:
        raise ccxt.PermissionDenied("hyperliquid: approvals and transfers are not ours to sign")

    def handle_errors(self, code: int, *answer: Any) -> Any:
        """An action that is turned down is `Said`; of single orders their reader judges.

        ccxt would take one refused order for the refusal of all that were sent with it.
        """
        body, response = answer[4:6]
        if response is None and code < _FAILED and _WORD.fullmatch(body):
            return None  # a lone word is JSON too, and is handed on as it is
        if isinstance(response, dict) and code < _FAILED:
            if response.get("status") == "err":
                raise Said(str(response.get("response")))
            return None
        return super().handle_errors(code, *answer)

    @asynccontextmanager
    async def account_stream(self, user: str) -> AsyncIterator[Inbox[Json]]:
        """The inbox of all channels: what ends one, ends it."""
        url = self.urls["api"]["ws"]["public"]
        first, second, third = ({"type": channel, "user": user} for channel in _CHANNELS)
        async with (
            self._subscribed(url, first) as inbox,
            self._subscribed(url, second),
            self._subscribed(url, third),
        ):
            yield inbox

    def _subscribed(self, url: str, wish: Json) -> Any:
        return self.subscription(
            url,
            wish["type"],
            {"method": "subscribe", "subscription": wish},
            {"method": "unsubscribe", "subscription": wish},
        )

    def handle_message(self, client: Any, message: Any) -> None:
        match message:
            case {"channel": str(channel), "data": _} if channel in _CHANNELS:
                self.deliver(_CHANNELS[0], message)
            case {"channel": "pong"}:
                self.handle_pong(client, message)
            case {"channel": "error", "data": str(text)} if not text.startswith("Already"):
                for inbox in self.inboxes.values():
                    inbox.fail(SourceUnavailable(f"hyperliquid: {text}"))
            case _:
                pass  # receipts, and what nobody has asked for

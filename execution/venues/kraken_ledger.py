"""What Kraken's ledger says that an account was charged for margin: at the opening, and since.

Trades tell nothing of it. A trade on margin has a row of the ledger, or more, whose fees are the
trade's own and the opening fee; each rollover has a row that names the position.
"""

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from data.feeds.ccxt_source import at_seconds
from data.instrument import Symbol
from execution.charge import Charge, ChargeKind
from execution.venues.answers import reading
from execution.venues.kraken_line import KrakenLine
from execution.venues.kraken_wire import Json

_BATCH: Final = 20  # txids in one QueryTrades
_KEPT: Final = 16_384  # trades and positions
_MARGIN, _ROLLOVER = "margin", "rollover"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """What a row of the ledger can refer to: a trade with its fee, or a position."""

    symbol: Symbol | None  # None where it cannot be ours
    fee: Decimal | None = None


def openings(
    rows: Mapping[str, Json], causes: Mapping[str, Cause], asset_of: Callable[[str], str]
) -> Iterator[Charge]:
    """What the trades on margin cost beside their own fees: as a rule the opening fee.

    Args:
        rows: Of Ledgers by their ids; all of a trade's, if one is among them.

    Raises:
        LookupError, ArithmeticError: a trade is not known, or the rows are none.
    """
    fees: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
    times: dict[tuple[str, str], datetime] = {}
    for row in rows.values():
        if row["type"] == _MARGIN:
            key = (str(row["refid"]), asset_of(row["asset"]))
            fees[key] += Decimal(row["fee"])
            times[key] = at_seconds(row["time"])
    for (trade, asset), paid in fees.items():
        cause = causes[trade]
        its_own = cause.symbol is None or asset == cause.symbol.quote
        amount = paid - (cause.fee or Decimal(0)) if its_own else paid
        if amount:
            yield Charge(
                charge_id=f"{trade}-{asset}",
                kind=ChargeKind.OPENING,
                asset=asset,
                amount=amount,
                symbol=cause.symbol,
                charged_at=times[trade, asset],
            )


def rollovers(
    rows: Mapping[str, Json], causes: Mapping[str, Cause], asset_of: Callable[[str], str]
) -> Iterator[Charge]:
    """What the open positions cost; of one that is not known, the symbol is left open.

    Raises:
        LookupError, ArithmeticError: the rows are none of Ledgers.
    """
    for number, row in rows.items():
        if row["type"] == _ROLLOVER:
            cause = causes.get(str(row["refid"]))
            yield Charge(
                charge_id=number,
                kind=ChargeKind.ROLLOVER,
                asset=asset_of(row["asset"]),
                amount=Decimal(row["fee"]) - Decimal(row["amount"]),
                symbol=None if cause is None else cause.symbol,
                charged_at=at_seconds(row["time"]),
            )


class KrakenLedger:
    """One account's; its questions raise `VenueUnavailable`, or `KeyRefused` for good.

    Args:
        listed: Our symbol of a pair, if it can be ours.
        since: What is older is not told.
    """

    def __init__(
        self, line: KrakenLine, *, listed: Callable[[str], Symbol | None], since: datetime
    ) -> None:
        self._line = line
        self._listed = listed
        self._since = since
        self._causes: OrderedDict[str, Cause] = OrderedDict()

    def learn_trades(self, rows: Mapping[str, Json]) -> None:
        """Take in trades by their txids.

        Raises:
            LookupError, ArithmeticError: they are none.
        """
        for txid, row in rows.items():
            symbol = self._listed(row["pair"])
            self._keep(str(row.get("postxid") or txid), Cause(symbol=symbol))
            self._keep(txid, Cause(symbol=symbol, fee=Decimal(row["fee"])))

    def learn_positions(self, rows: Mapping[str, Json]) -> None:
        """Take in open positions by their txids, which may be trades' too."""
        for txid, row in rows.items():
            if txid not in self._causes:
                self._keep(txid, Cause(symbol=self._listed(row["pair"])))

    async def charges(self, since: datetime | None) -> list[Charge]:
        """What was charged from `since` on, oldest first."""
        rows = await self._rows(self._since if since is None else max(since, self._since))
        await self._line.pairs()
        with reading("kraken Ledgers"):
            traded = {str(row["refid"]) for row in rows.values() if row["type"] == _MARGIN}
        await self._ask_for(txid for txid in sorted(traded) if not self._is_trade(txid))
        with reading("kraken Ledgers"):
            found = (
                *openings(rows, self._causes, self._line.asset_of),
                *rollovers(rows, self._causes, self._line.asset_of),
            )
        return sorted(found, key=lambda charge: charge.charged_at)

    async def _rows(self, since: datetime) -> dict[str, Json]:
        """All rows after `since`, oldest first; Kraken tells the newest first.

        Pages shift while new rows come; then some are read twice, and none is left out.
        """
        rows: dict[str, Json] = {}
        start, count = str(int(since.timestamp())), 1
        while len(rows) < count:
            told = await self._line.ask("Ledgers", {"start": start, "ofs": str(len(rows))})
            with reading("kraken Ledgers"):
                page, count = dict(told["ledger"]), int(told["count"])
            if not page.keys() - rows.keys():
                break
            rows |= page
        return dict(reversed(rows.items()))

    async def _ask_for(self, txids: Iterable[str]) -> None:
        left = list(txids)
        while left:
            batch, left = left[:_BATCH], left[_BATCH:]
            rows = await self._line.ask("QueryTrades", {"txid": ",".join(batch)})
            with reading("kraken QueryTrades"):
                self.learn_trades(rows)

    def _is_trade(self, txid: str) -> bool:
        cause = self._causes.get(txid)
        return cause is not None and cause.fee is not None

    def _keep(self, txid: str, cause: Cause) -> None:
        if cause.fee is None and self._is_trade(txid):
            return
        self._causes[txid] = cause
        self._causes.move_to_end(txid)
        if len(self._causes) > _KEPT:
            self._causes.popitem(last=False)

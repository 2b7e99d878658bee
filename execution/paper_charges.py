"""What a simulated venue charges us apart from fills: fees for margin as Kraken's, and funding.

Margin: a fill that opens pays the opening fee on what it has lent, and from then on every four
hours the whole position pays for its rollover, by the time at which it was last flat. Funding: at
its time, by the rate as it was last told, on what was held then. Prices are those of the bar that
begins there or later; where no bar is shown, or no rate told, nothing is charged.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType

from data.bar import Bar
from data.funding import FundingRate
from data.instrument import Instrument, Notional, Quantity, Symbol
from execution.charge import Charge, ChargeKind
from execution.exact import EXACT, proportion, reduction
from execution.fill import Fill
from execution.paper_costs import (
    ROLLOVER_INTERVAL,
    MarginRates,
    funding_paid,
    lent,
    opening_fee,
    rollover_fee,
    rollovers,
)
from execution.paper_margin import Held

_ZERO = Decimal(0)
NO_MARGIN_FEES = MarginRates(opening=_ZERO, rollover=_ZERO)


@dataclass(slots=True, kw_only=True)
class _Carried:
    """A position since it was last flat."""

    opened_at: datetime
    rolled_until: datetime
    quantity: Decimal = _ZERO  # signed
    cost: Decimal = _ZERO  # signed, in quote currency


class PaperCharges:
    """Follows the fills and the bars of one account; says what is due, each charge once."""

    def __init__(self, instruments: Mapping[Symbol, Instrument], rates: MarginRates) -> None:
        self.charges: list[Charge] = []  # those that were made, oldest first
        self._made: set[str] = set()
        self._rates = rates
        self._on_margin = frozenset(
            symbol
            for symbol, instrument in instruments.items()
            if instrument.shortable and (rates.opening or rates.rollover)
        )
        self._carried: dict[Symbol, _Carried] = {}
        self.positions: Mapping[Symbol, Held] = MappingProxyType(self._carried)
        self._funding: dict[Symbol, dict[datetime, FundingRate]] = {}  # by when it is paid

    def apply(self, charge: Charge) -> None:
        """A charge was made, now or before this life."""
        self._made.add(charge.charge_id)
        self.charges.append(charge)
        carried = self._carried.get(charge.symbol) if charge.symbol is not None else None
        if carried is not None and charge.kind is ChargeKind.ROLLOVER:
            carried.rolled_until = max(carried.rolled_until, charge.charged_at)

    def take(self, fill: Fill) -> Charge | None:
        """Take a fill in; what having it lent costs."""
        opened = self._move(fill)
        fee = opening_fee(lent(opened, Notional(opened * fill.price), fill.price), self._rates)
        if not fee or fill.symbol not in self._on_margin:
            return None
        return Charge(
            charge_id=f"{fill.fill_id}-opening",
            kind=ChargeKind.OPENING,
            asset=fill.symbol.quote,
            amount=fee,
            symbol=fill.symbol,
            charged_at=fill.filled_at,
        )

    def note(self, rate: FundingRate) -> None:
        """Take in a rate as it stands; the last one told before its time is paid."""
        self._funding.setdefault(rate.symbol, {})[rate.at] = rate

    def due(self, bar: Bar) -> list[Charge]:
        """What has come due by the bar's beginning, of its symbol."""
        carried = self._carried.get(bar.symbol)
        funding = self._funding.get(bar.symbol)
        if not funding and (carried is None or not self._rolls(bar, carried)):
            return []
        due = [*self._paid(bar, carried), *self._rolled(bar, carried)]
        return [charge for charge in due if charge.charge_id not in self._made]

    def _paid(self, bar: Bar, carried: _Carried | None) -> Iterator[Charge]:
        rates = self._funding.get(bar.symbol, {})
        for at in sorted(at for at in rates if at <= bar.opened_at):
            rate = rates.pop(at)
            if carried is None or carried.opened_at > at:
                continue
            amount = funding_paid(
                replace(rate, seen_at=max(rate.seen_at, at)),
                Quantity(carried.quantity),
                rate.mark_price or bar.open,
            )
            if amount:
                yield _charge(ChargeKind.FUNDING, bar.symbol, amount, at)

    def _rolls(self, bar: Bar, carried: _Carried) -> bool:
        is_due = bar.opened_at - carried.rolled_until >= ROLLOVER_INTERVAL
        return is_due and bar.symbol in self._on_margin

    def _rolled(self, bar: Bar, carried: _Carried | None) -> Iterator[Charge]:
        if carried is None or not self._rolls(bar, carried):
            return
        times = rollovers(carried.opened_at, carried.rolled_until, bar.opened_at)
        owed = lent(Quantity(carried.quantity), Notional(carried.cost), bar.open)
        amount = rollover_fee(owed, self._rates, times)
        if amount:
            ago = (bar.opened_at - carried.opened_at) % ROLLOVER_INTERVAL
            yield _charge(ChargeKind.ROLLOVER, bar.symbol, amount, bar.opened_at - ago)

    def _move(self, fill: Fill) -> Quantity:
        """Move the position; the signed quantity that the fill has opened."""
        change = fill.quantity if fill.side.sign > 0 else EXACT.minus(fill.quantity)
        carried = self._carried.get(fill.symbol)
        held = carried.quantity if carried is not None else _ZERO
        reducing = reduction(held, change)
        if carried is not None and reducing:
            released = proportion(carried.cost, EXACT.minus(reducing), held)
            carried.quantity = EXACT.add(held, reducing)
            carried.cost = EXACT.subtract(carried.cost, released)
            if not carried.quantity:
                carried = None
                del self._carried[fill.symbol]
        opening = EXACT.subtract(change, reducing)
        if opening:
            if carried is None:
                carried = _Carried(opened_at=fill.filled_at, rolled_until=fill.filled_at)
                self._carried[fill.symbol] = carried
            carried.quantity = EXACT.add(carried.quantity, opening)
            carried.cost = EXACT.add(carried.cost, EXACT.multiply(opening, fill.price))
        return Quantity(opening)


def _charge(kind: ChargeKind, symbol: Symbol, amount: Decimal, at: datetime) -> Charge:
    return Charge(
        charge_id=f"{kind}-{symbol}-{at.isoformat()}",
        kind=kind,
        asset=symbol.quote,
        amount=amount,
        symbol=symbol,
        charged_at=at,
    )

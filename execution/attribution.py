"""What a closed trade's profit came of: the signal, the delay, the execution, the fees (S1-136).

Every fill has three prices, and the profit is the sum of what each step between them was worth:

    decided   the mark when the order was decided on; of a stop, its trigger
    arrived   the mark when it reached the venue; of a stop, when it triggered
    filled    what it traded at

    alpha     the profit, had every fill been at its decided price: what the reference moved in our
              favour between entry and exit
    timing    what the reference moved between decision and arrival, over all fills
    slippage  what the fills gave up, or gained, against the price they arrived at
    fees      what was paid, below zero

The four add up to the trade's net profit to the last digit, because a reduction releases its share
of all three costs as the ledger does of the one. Diagnostics only: nothing is decided by them.

Source:
    A. F. Perold, "The Implementation Shortfall: Paper versus Reality", Journal of Portfolio
    Management 14(3), 1988; its cost of execution split at the price of arrival.
"""

from dataclasses import dataclass, replace
from decimal import Decimal

from data.account import ClosedTrade
from data.instrument import Notional, Price, Symbol
from execution.exact import EXACT, proportion, reduction
from execution.fill import Fill
from execution.order import Order

_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferencedFill:
    """A fill, and what the market was at when its order was decided on, and when it arrived."""

    fill: Fill
    decided: Price
    arrived: Price


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """One amount at each of the three prices, in quote currency."""

    decided: Decimal = _ZERO
    arrived: Decimal = _ZERO
    filled: Decimal = _ZERO

    def plus(self, other: "Amounts") -> "Amounts":
        """The sum, price by price."""
        return Amounts(
            decided=EXACT.add(self.decided, other.decided),
            arrived=EXACT.add(self.arrived, other.arrived),
            filled=EXACT.add(self.filled, other.filled),
        )

    def minus(self, other: "Amounts") -> "Amounts":
        """The difference, price by price."""
        return self.plus(other.times(Decimal(-1)))

    def times(self, factor: Decimal) -> "Amounts":
        """Each multiplied by `factor`."""
        return Amounts(
            decided=EXACT.multiply(self.decided, factor),
            arrived=EXACT.multiply(self.arrived, factor),
            filled=EXACT.multiply(self.filled, factor),
        )

    def share(self, part: Decimal, whole: Decimal) -> "Amounts":
        """What `part` of `whole` makes of each, rounded as the ledger rounds."""
        return Amounts(
            decided=proportion(self.decided, part, whole),
            arrived=proportion(self.arrived, part, whole),
            filled=proportion(self.filled, part, whole),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """A position as the ledger has it, with its cost and what it realised at each price."""

    quantity: Decimal = _ZERO  # signed
    cost: Amounts = Amounts()
    realised: Amounts = Amounts()  # since the trade began, before fees
    is_open: bool = False  # what is left of a closed trade is dust, and belongs to none


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributedTrade:
    """A closed trade's net profit in its four parts, in the account's currency."""

    trade: ClosedTrade
    alpha: Notional
    timing: Notional
    slippage: Notional
    fees: Notional  # below zero where they cost

    @property
    def total(self) -> Notional:
        """The trade's net profit."""
        gross = EXACT.add(EXACT.add(self.alpha, self.timing), self.slippage)
        return Notional(EXACT.add(gross, self.fees))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reference:
    """The market as an order was decided on and, once it has reached the venue, as it did."""

    decided: Price
    arrived: Price | None = None


class References:
    """What the market was at along the road of each order, from the marks when facts come in.

    An order that was sent before there was a mark, as after a restart, has none.
    """

    def __init__(self) -> None:
        self._by_order: dict[str, _Reference] = {}

    def decide(self, order: Order, mark: Price | None) -> None:
        """An order goes on record."""
        decided = order.trigger if order.trigger is not None else mark
        if decided is not None:
            self._by_order[order.client_order_id] = _Reference(decided=decided)

    def arrive(self, client_order_id: str, mark: Price | None) -> None:
        """The venue has answered."""
        known = self._by_order.get(client_order_id)
        if known is not None and known.arrived is None:
            self._by_order[client_order_id] = replace(known, arrived=mark)

    def forget(self, client_order_id: str) -> None:
        """No fill of the order is to come."""
        self._by_order.pop(client_order_id, None)

    def of(self, fill: Fill, order: Order) -> ReferencedFill | None:
        """The fill with its references; None where they are not known.

        A stop arrives as it is triggered. What fills before the venue has answered has arrived
        where it was decided.
        """
        if order.trigger is not None:
            return ReferencedFill(fill=fill, decided=order.trigger, arrived=order.trigger)
        known = self._by_order.get(fill.client_order_id)
        if known is None:
            return None
        arrived = known.arrived if known.arrived is not None else known.decided
        return ReferencedFill(fill=fill, decided=known.decided, arrived=arrived)


class Attribution:
    """Follows the fills of an account beside its ledger."""

    def __init__(self) -> None:
        self._bases: dict[Symbol, Basis] = {}
        self._unknown: set[Symbol] = set()  # of whose trade a fill had no reference

    def follow(
        self,
        fill: Fill,
        seen: ReferencedFill | None,
        closed: ClosedTrade | None,
        rate: Decimal | None,
    ) -> AttributedTrade | None:
        """`book`, where a fill's references may be unknown: nothing is said of its trade then."""
        symbol = fill.symbol
        if seen is None:
            self._unknown.add(symbol)
            seen = ReferencedFill(fill=fill, decided=fill.price, arrived=fill.price)
        found = self.book(seen, closed, rate)
        if closed is None or symbol not in self._unknown:
            return found
        self._unknown.discard(symbol)
        return None

    def book(
        self, seen: ReferencedFill, closed: ClosedTrade | None, rate: Decimal | None
    ) -> AttributedTrade | None:
        """Take in a fill that the ledger has booked, and has not booked before.

        Args:
            closed: The trade that it ended, as the ledger says.
            rate: The price of its quote currency in the account's, as the ledger has it.

        Returns:
            That trade in parts; None where none ended, or no price converts it.
        """
        symbol = seen.fill.symbol
        basis = self._bases.get(symbol, Basis())
        self._bases[symbol], realised = after_fill(basis, seen, closes=closed is not None)
        return attributed(closed, realised, rate) if closed is not None else None


def after_fill(basis: Basis, seen: ReferencedFill, *, closes: bool) -> tuple[Basis, Amounts]:
    """The basis after a fill, and all that its trade has realised with it.

    A fee in base makes the position that much smaller. A fill through zero reduces first, and
    opens with the rest.

    Args:
        closes: Whether it ends a trade: what it leaves is nothing, dust, or a new trade.
    """
    change = _change(seen.fill)
    unit = Amounts(decided=seen.decided, arrived=seen.arrived, filled=seen.fill.price)
    quantity, cost, realised = basis.quantity, basis.cost, basis.realised
    if reducing := reduction(quantity, change):
        released = cost.share(EXACT.minus(reducing), quantity)
        if basis.is_open:
            realised = realised.minus(unit.times(reducing)).minus(released)
        quantity, cost = EXACT.add(quantity, reducing), cost.minus(released)
    opening = EXACT.subtract(change, reducing)
    after = Basis(
        quantity=EXACT.add(quantity, opening),
        cost=cost.plus(unit.times(opening)),
        realised=Amounts() if closes else realised,
        is_open=bool(opening) or (basis.is_open and not closes),
    )
    return after, realised


def attributed(
    trade: ClosedTrade, realised: Amounts, rate: Decimal | None
) -> AttributedTrade | None:
    """A closed trade in its parts; None where its profit is not known in the account's currency."""
    if trade.fees is None or trade.pnl is None or rate is None:
        return None
    value = realised.times(rate)
    return AttributedTrade(
        trade=trade,
        alpha=Notional(value.decided),
        timing=Notional(EXACT.subtract(value.arrived, value.decided)),
        slippage=Notional(EXACT.subtract(value.filled, value.arrived)),
        fees=Notional(EXACT.minus(trade.fees)),
    )


def _change(fill: Fill) -> Decimal:
    change = EXACT.multiply(fill.quantity, fill.side.sign)
    return EXACT.subtract(change, fill.fee) if fill.fee_asset == fill.symbol.base else change

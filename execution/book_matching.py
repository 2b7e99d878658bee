"""The matching core moved by an order book and the trades beside it, instant by instant."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from data.instrument import Instrument, Price, Quantity, Side, Symbol
from data.order_book import OrderBook
from execution.depth import Depth
from execution.fill import Fill, Liquidity
from execution.matching import Matching, Step
from execution.order import Order, OrderStatus
from execution.paper_terms import PaperTerms, limit_is_passed
from execution.venue import OrderChanged
from execution.venue_books import Books
from execution.venue_state import Placed, VenueFact, WorkingOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """The last trade of a symbol, and the book of everybody else at that instant.

    `volume` is what of the trade can reach our resting orders; zero where nothing was traded.
    """

    symbol: Symbol
    at: datetime
    last: Price
    volume: Quantity
    book: OrderBook


class BookMatching(Matching):
    """Fills from what stands in the book, not from a cost in basis points.

    What arrives takes the levels that its limit allows, the best first; what rests is filled at its
    own limit, and only by trades beyond it, as others stood there before. The book is told anew
    with each moment: what our orders take is not missing in the next.
    """

    def __init__(
        self,
        *,
        venue: str,
        instruments: Mapping[Symbol, Instrument],
        terms: PaperTerms,
        books: Books,
    ) -> None:
        super().__init__(
            venue=venue, instruments=instruments, terms=terms, balances={}, books=books
        )
        self._moments: dict[Symbol, Moment] = {}
        self._arriving: set[str] = set()

    def restore(self, fills: Iterable[Fill], resting: Iterable[tuple[Order, Decimal]]) -> None:
        """Go on after `fills`, with orders that have arrived and how much of each has filled.

        The orders come in the order of their arrival; the books are restored by who keeps them.
        """
        self._state.fills.extend(fills)
        for order, filled in resting:
            at = order.approved_at
            self._state.apply(Placed(order=order, at=at))
            status = OrderStatus.PARTIALLY_FILLED if filled else OrderStatus.OPEN
            view = self._state.orders[order.client_order_id].view
            view = replace(view, filled=Quantity(filled), status=status)
            self._state.apply(OrderChanged(order=view, at=at))

    def place(self, order: Order, at: datetime) -> list[VenueFact]:
        self._arriving.add(order.client_order_id)
        return super().place(order, at)

    def amend(
        self,
        client_order_id: str,
        at: datetime,
        *,
        quantity: Quantity | None = None,
        limit: Price | None = None,
    ) -> list[VenueFact]:
        """Change an order that is not final; it arrives anew, and may take.

        Raises:
            LookupError: there is no such order, or it is final.
        """
        working = self._state.orders.get(client_order_id)
        if working is None or working.is_final:
            raise LookupError(client_order_id)
        view = working.view
        changed = replace(
            view,
            quantity=view.quantity if quantity is None else quantity,
            limit=view.limit if limit is None else limit,
        )
        facts: list[VenueFact] = []
        self._arriving.add(client_order_id)
        self._do(facts, OrderChanged(order=changed, at=at, reason="amended"))
        return facts

    def meet(self, moment: Moment) -> Sequence[VenueFact]:
        """Let what stands and trades at one instant fill what it can."""
        symbol = moment.symbol
        self._moments[symbol] = moment
        resting = self._state.resting.get(symbol)
        if not resting:
            return ()
        instrument = self._instruments[symbol]
        traded = Step(instrument=instrument, volume=moment.volume)
        offers = _Offers(moment.book)
        for working in tuple(resting.values()):
            if not working.is_final and working.effective_at <= moment.at:
                self._face(working, moment, traded, offers)
        self._release_idle(traded.facts, symbol, moment.at)
        return traded.facts

    def _face(self, working: WorkingOrder, moment: Moment, traded: Step, offers: "_Offers") -> None:
        view = working.view
        is_new = view.client_order_id in self._arriving
        self._arriving.discard(view.client_order_id)
        if is_new and _would_take(working, moment.book):
            reason = "post-only: it would take"
            self._end(traded.facts, working, OrderStatus.EXPIRED, moment.at, reason)
        elif is_new or view.limit is None:
            self._walk(working, offers.to(view.side), moment.at, traded.facts)
        elif limit_is_passed(view.limit, moment.last, view.side):
            self._fill(working, view.limit, moment.at, Liquidity.MAKER, traded)

    def _last_prices(self) -> dict[Symbol, Price]:
        return {symbol: moment.last for symbol, moment in self._moments.items()}


class _Offers:
    """What the book offers to each side, made when the first order takes from it."""

    __slots__ = ("_book", "_made")

    def __init__(self, book: OrderBook) -> None:
        self._book = book
        self._made: dict[Side, Depth] = {}

    def to(self, side: Side) -> Depth:
        if side not in self._made:
            self._made[side] = Depth(self._book.taken_by(side))
        return self._made[side]


def crosses(book: OrderBook, side: Side, limit: Price) -> bool:
    """Whether a limit order would take at once."""
    best = book.taken_by(side)
    return bool(best) and not limit_is_passed(best[0].price, limit, side)


def _would_take(working: WorkingOrder, book: OrderBook) -> bool:
    """Whether an order must not arrive: it is post-only, and would take at once."""
    view = working.view
    return working.post_only and view.limit is not None and crosses(book, view.side, view.limit)

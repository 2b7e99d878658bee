"""A live matching core that is told books and trades of BTC, millisecond by millisecond."""

from decimal import Decimal

from data.bar import Timeframe
from execution.fill import Fill
from execution.live_matching import LiveMatching
from execution.order import OrderStatus
from execution.venue import OrderChanged
from tests.builders_fidelity import MILLISECOND, a_book, a_print, after, book_terms
from tests.builders_venue import a_bar, an_id, instruments, terms

BIDS, ASKS = "100 5, 99 3, 98 4", "101 2, 102 6"
RICH = {"USDT": Decimal(1_000_000), "BTC": Decimal(0)}


class LiveBook:
    """Tells a core what happens, and keeps what came of it."""

    def __init__(self, *, latency=0, leverage="5", balances=RICH, facts=(), books=None, **changes):
        self.matching = LiveMatching(
            venue="paper",
            instruments=instruments(leverage),
            terms=terms(latency=latency * MILLISECOND, **changes),
            book_terms=books or book_terms(),
            balances=balances,
        )
        self.facts = []
        for fact in facts:
            self.matching.apply(fact)

    def _keep(self, facts):
        self.facts += facts
        return [shown(fact) for fact in facts if isinstance(fact, Fill)]

    def book(self, bids=BIDS, asks=ASKS, *, at):
        return self._keep(self.matching.show(a_book(bids, asks, at=at), after(at)))

    def trade(self, text, *, at, made=None):
        """`"sell 100 2"` is told at `at`; made then, unless at another time."""
        trade = a_print(*text.split(), at=at if made is None else made)
        return self._keep(self.matching.hear(trade, after(at)))

    def pass_time(self, at):
        return self._keep(self.matching.pass_time(after(at)))

    def place(self, order, *, at):
        refused = self.matching.refusal(order)
        assert refused is None, refused
        self._keep(self.matching.place(order, after(at)))

    def cancel(self, name, *, at):
        self._keep(self.matching.cancel(an_id(name), after(at)))

    def bar(self, prices, number=0, *, volume="1000", timeframe=Timeframe.M1):
        bar = a_bar(prices, number=number, volume=volume, timeframe=timeframe)
        return self._keep(self.matching.observe(bar))

    def status(self, name) -> OrderStatus:
        return self.matching.order(an_id(name)).status

    @property
    def reasons(self):
        return [fact.reason for fact in self.facts if isinstance(fact, OrderChanged)]


def shown(fill):
    """`"buy 1 at 101 taker"`."""
    return f"{fill.side} {plain(fill.quantity)} at {plain(fill.price)} {fill.liquidity}"


def plain(number):
    return f"{number.normalize():f}"

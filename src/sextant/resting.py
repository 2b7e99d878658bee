"""Orders that rest before they take: what they have not got is judged again, or given up."""

from collections.abc import Callable, Mapping
from datetime import datetime

from data.account import AccountState
from data.defect import Defect
from data.instrument import Quantity, Symbol
from data.regime import Regime
from execution.journal import OrderJournal
from execution.order import Order
from execution.passive import Ended, as_booked, rest_of, resting
from risk.approval import ApprovedOrder, Verdict
from sextant.book import Book
from sextant.desk import Desk
from sextant.exhibits import Exhibits
from sextant.facts import RestingWithdrawn
from sextant.outside import Outside
from sextant.rests import THE_END, RestGivenUp, why_no_entry, why_no_exit


class RestingOrders:
    """Those of the desks, from their approval until they are over."""

    def __init__(
        self,
        book: Book,
        *,
        exhibits: Exhibits,
        outside: Outside,
        defects: Mapping[Symbol, tuple[Defect, ...]],
        slept: Callable[[datetime], bool],
        journal: OrderJournal,
    ) -> None:
        """`defects` is how the data stands; `slept` says whether we stood still since a time."""
        self._book = book
        self._exhibits = exhibits
        self._outside = outside
        self._defects = defects
        self._slept = slept
        self._journal = journal
        self.followed: dict[str, tuple[Desk, Regime]] = {}  # whose they are, by their ids
        self._is_leaving = False  # from the withdrawal on

    def follow(self, desk: Desk, regime: Regime, verdict: Verdict) -> None:
        """Follow what was approved, if it rests first."""
        if isinstance(verdict, ApprovedOrder) and self._book.passive.follows(verdict.intent):
            self.followed[verdict.intent.intent_id] = desk, regime

    def is_due(self, now: datetime) -> bool:
        """Whether `see_to` has something to do."""
        passive = self._book.passive
        return passive.has_ended or bool(passive.overdue(self._book.engine.orders, now))

    def see_to(self, now: datetime, *, flawed: Symbol | None = None) -> None:
        """Cancel what has rested long enough, and take what those that are over have not got.

        It goes by the state of the data on record, and lets nothing into what is `flawed`: the
        newest bar is, too.
        """
        passive, engine = self._book.passive, self._book.engine
        for client_order_id in passive.overdue(engine.orders, now):
            passive.crosses(client_order_id)
            engine.cancel(client_order_id)
        for ended in passive.take_ended():
            whose = self.followed.pop(ended.first.intent.intent_id, None)
            is_flawed = ended.first.intent.symbol == flawed
            if whose is None or not self._take_rest(ended, *whose, flawed=is_flawed, now=now):
                self._book.note_order(ended.first.intent.symbol, now=now)

    def withdraw(self, now: datetime) -> None:
        """Have what rests before it takes cancelled: when we are gone, nobody sees to its fills.

        An exit takes what it has not got, once it is over and `see_to` finds it; no entry does.
        """
        engine, passive = self._book.engine, self._book.passive
        names = resting(engine.orders)
        if self._is_leaving or not (names or self.followed or passive.has_ended):
            return
        self._is_leaving = True
        self._journal.write(RestingWithdrawn(at=now))
        for client_order_id in names:
            tracked = engine.blotter.find(client_order_id)
            if tracked is not None and tracked.order.reduce_only:
                passive.crosses(client_order_id)
            engine.cancel(client_order_id)

    def _take_rest(
        self, ended: Ended, desk: Desk, regime: Regime, *, flawed: bool, now: datetime
    ) -> bool:
        """Have what an order that is over has not got judged again, at market; whether it passes.

        Why it goes no further, if it does not, is on record.
        """
        intent, symbol = ended.first.intent, ended.first.intent.symbol
        tracked = self._book.engine.blotter.find(intent.intent_id)
        if tracked is None or not (ended := as_booked(ended, tracked)).left:
            return False
        account, sign = self._book.account(now), tracked.order.side.sign
        if why := self._given_up(ended, tracked.order, account, flawed=flawed):
            self._journal.write(
                RestGivenUp(at=now, intent_id=intent.intent_id, symbol=symbol, reason=why)
            )
            return False
        rest = rest_of(ended, now)
        heard = self._outside.heard(symbol, now)
        snapshot = desk.look(symbol, account, now=now, heard=heard)
        market = self._book.market(snapshot, rest, regime, self._exhibits.book(symbol, now))
        filled = Quantity(ended.filled * (sign if ended.first.enters else 0))
        verdict = self._book.judge(rest, market, filled=filled, now=now)
        self._book.act(verdict, now=now)
        return isinstance(verdict, ApprovedOrder)

    def _given_up(self, ended: Ended, order: Order, account: AccountState, *, flawed: bool) -> str:
        """Why the rest of `order` is asked for no more; empty if it is."""
        if not ended.first.enters:
            return why_no_exit(order, account.positions.get(order.symbol))
        if self._is_leaving:
            return THE_END
        unfit = [d.kind for d in self._defects.get(order.symbol, ()) if d.kind.blocks]
        return why_no_entry(
            ended,
            order,
            held=self._book.ledger.held(order.symbol),
            unfit=[*unfit, "a flawed bar"] if flawed else unfit,
            slept=self._slept(order.approved_at),
            longest=self._book.passive.settings.cross_after + self._book.limits.max_price_age,
            now=account.as_of,
        )

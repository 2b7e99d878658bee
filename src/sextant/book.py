"""The account at run time: what we hold and owe, how the risk stands, and the one gate to both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType

from data.account import AccountState
from data.bar import Bar
from data.instrument import Instrument, Notional, Quantity, Side, Symbol
from data.order_book import OrderBook
from data.regime import Regime
from data.snapshot import Snapshot
from execution.blotter import ChargeBooked, FillBooked, Settled
from execution.care import PositionCare
from execution.difference import DifferenceKind, Reconciliation
from execution.dust import DustWatch
from execution.engine import Engine, IntakeClosed, QueueFull, StaleIntent
from execution.fill import Fill
from execution.holdings import SetAside
from execution.journal import OrderJournal
from execution.kill_switch import KillSwitch, within
from execution.passive import AT_ONCE, PassiveOrders, PassiveSettings
from execution.protection import CancelOrder, Protection, ProtectiveAction
from execution.relisted import Relisted
from risk.approval import ApprovedOrder, Rejection, Revision, Verdict, judge
from risk.breaker import (
    Liquidated,
    OrderPlaced,
    Rebalanced,
    RiskEvent,
    RiskState,
    TradingState,
    Withdrawn,
    trading_at,
)
from risk.breaker_orders import breaker_intents
from risk.intent import OrderIntent, Purpose
from risk.limits import RiskLimits
from risk.market import Market
from risk.referral import Consent, Referral
from sextant.alerts import AlertKind, Alerts
from sextant.allocator import Allocator
from sextant.evaluation.kept import Kept, kept_of
from sextant.evaluation.scorecard import Scorecard
from sextant.latches import Latches
from sextant.risks import Purview, Risks
from sextant.sight import market_of
from sextant.subaccount import Subaccount

_NOTHING = Quantity(Decimal(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderNotTaken:
    """An approved order that the engine did not take; nothing was sent."""

    at: datetime
    intent_id: str
    reason: str


def _is_trade(intent: OrderIntent) -> bool:
    """Whether an order counts as a trade when it is placed.

    A stop that moves is none, nor is an order that waits at a target. One that is post-only counts
    when it is over: what it has not got is taken before a cool-down begins.
    """
    aims = intent.purpose is Purpose.TAKE_PROFIT and intent.trigger is not None
    return not (intent.moves or aims or intent.post_only)


class Book:
    """Ledger, orders and risk state of one account, kept in step.

    Nothing here awaits: between reading the account and putting an order on record no other task
    runs, so two approvals can never share the same room under a limit.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        protection: Protection,
        care: PositionCare,
        limits: RiskLimits,
        state: RiskState,
        journal: OrderJournal,
        scorecard: Scorecard,
        parts: Sequence[Subaccount] = (),
        desk_states: Mapping[str, RiskState] = MappingProxyType({}),
        allocator: Allocator | None = None,
        passive: PassiveSettings = AT_ONCE,
    ) -> None:
        self.engine = engine
        self.allocator = allocator
        self.passive = PassiveOrders(passive)
        self.ledger = engine.ledger
        self.limits = limits
        self._protection = protection
        self._care = care
        self._spent_on_bags = engine.ledger.holdings.spent
        self._dust = DustWatch(engine.instruments)
        self._switch = KillSwitch()
        self._journal = journal
        self._scorecard = scorecard
        self.alerts = Alerts(limits, journal)
        self.risks = Risks(
            state, limits, parts=parts, desk_states=desk_states, journal=journal, alerts=self.alerts
        )
        self._risk = self.risks.account
        self.latches = Latches(engine, self.risks)
        engine.listener = self._hear

    @property
    def instruments(self) -> Mapping[Symbol, Instrument]:
        """The grids and minimums that we trade by."""
        return self.engine.instruments

    def relist(self, listed: Relisted) -> None:
        """Trade by these grids, minimums and fees from now on.

        A desk whose own limits have another fee keeps it.
        """
        before = self.limits
        self.engine.relist(listed.instruments)
        self.limits = before.model_copy(update={"taker_fee": listed.taker_fee})
        self._scorecard.verdicts.fee = float(listed.taker_fee)
        self.risks.relist(listed, before=before)

    @property
    def state(self) -> RiskState:
        """How the risk of the account stands."""
        return self._risk.state

    @property
    def kept(self) -> tuple[Kept, ...]:
        """What is kept beside the trading book; nothing where that is off."""
        if self.allocator is None:
            return ()
        assets = self.allocator.settings.rebalance.assets
        return kept_of(self.ledger, assets, self.allocator.state.hodl)

    def mark(self, bar: Bar, *, now: datetime) -> None:
        """Value what we hold at the bar's close, and let the breakers see it."""
        self.ledger.mark(bar.symbol, bar.close, bar.closed_at)
        self.risks.mark(bar, self.ledger, now=now)

    def account(self, now: datetime) -> AccountState:
        """The book as it is, with what is in flight."""
        return self.engine.account(as_of=now)

    def rate(self, quote: str) -> Decimal | None:
        """The price of one unit of `quote` in the account's currency; None where unknown."""
        return self.ledger.rate(quote)

    def market(
        self, snapshot: Snapshot, intent: OrderIntent, regime: Regime, orders: OrderBook | None
    ) -> Market:
        """The market that `intent` is judged in, at the newest price: deliberating takes time."""
        symbol = intent.symbol
        mark = self.ledger.last_mark(symbol)
        return market_of(
            snapshot,
            intent,
            price=mark.price if mark else None,
            priced_at=mark.at if mark else None,
            rate=self.rate(symbol.quote),
            regime=regime,
            orders=orders,
            limits=self.limits,
        )

    def judge(
        self,
        intent: OrderIntent,
        market: Market,
        *,
        now: datetime,
        can_revise: bool = False,
        consent: Consent | None = None,
        filled: Quantity = _NOTHING,
    ) -> Verdict:
        """May we, and how much?"""
        account = self.account(now)
        return judge(
            intent,
            account=account,
            desk=self.risks.desk_account(intent.strategy_id, account),
            market=market,
            state=self.state,
            limits=self.limits,
            now=now,
            can_revise=can_revise,
            consent=consent,
            filled=filled,
        )

    def act(self, verdict: Verdict, *, now: datetime) -> None:
        """Put an approved order on record and in the queue, or say why there is none."""
        match verdict:
            case ApprovedOrder():
                self._scorecard.verdicts.approve(verdict.intent, verdict.shadowed)
                for risk in self.risks.concerned(verdict.intent.symbol):
                    if _is_trade(verdict.intent):
                        risk.note(_placed(verdict.intent, now))
                    risk.keep()
                self._accept(verdict, now=now)
            case Rejection():
                self._journal.write(verdict)
                self._scorecard.verdicts.reject(verdict)
            case Referral():
                self._journal.write(verdict)
                self._scorecard.verdicts.refer(verdict)
            case Revision():
                self._journal.write(verdict)
                self._scorecard.verdicts.send_back(verdict)

    def note_order(self, symbol: Symbol, *, now: datetime) -> None:
        """Let the breakers know of an order that was post-only, and is over."""
        for risk in self.risks.concerned(symbol):
            risk.note(OrderPlaced(symbol=symbol, at=now))

    def _accept(self, approved: ApprovedOrder, *, now: datetime) -> None:
        try:
            self.engine.accept(approved)
        except (QueueFull, IntakeClosed, StaleIntent) as error:
            reason = f"{type(error).__name__}: {error}"
            self._journal.write(
                OrderNotTaken(at=now, intent_id=approved.intent.intent_id, reason=reason)
            )
            return
        if approved.intent.post_only:
            self.passive.begin(approved)

    def _hear(self, settled: Settled | Reconciliation) -> None:
        """Let the breakers and the scorecard know what came of an order, or of asking the venue."""
        if isinstance(settled, Reconciliation):
            if settled.was_asked:
                self._tell_of(settled)
                self.latches.look(settled)
            return
        self._switch.hear(settled)
        self._care.hear(settled)
        self.passive.hear(settled)
        if isinstance(settled, FillBooked) and settled.order.purpose.exchanges:
            self._scorecard.exchange(settled.fill)
            self._note_withdrawal(settled.fill.filled_at)
        elif isinstance(settled, FillBooked):
            if settled.is_liquidation:
                self._heed(settled.fill)
                self._scorecard.liquidate(settled.fill)
            self._scorecard.fill(settled.fill, self.rate(settled.fill.symbol.quote))
            if settled.closed is not None:
                self.note(settled.closed)
                self._scorecard.close(settled.closed, settled.attributed)
                if self.allocator is not None:
                    self.allocator.close(settled.closed)
            self.risks.book(settled.fill)
        elif isinstance(settled, ChargeBooked):
            self._scorecard.charge(settled.charge, self.rate(settled.charge.asset))
            self.risks.charge(settled.charge)

    def heed(self, liquidations: Sequence[Fill]) -> None:
        """Halt for what is booked, where a crash came before the halt was on record."""
        for fill in liquidations:
            self._heed(fill)

    def _heed(self, fill: Fill) -> None:
        """A position was taken from us by force: tell a person, without whom nothing is entered.

        It halts the desk, where that has a part of its own, or else the account; and what could
        still enter for them is cancelled.
        """
        symbol, at = fill.symbol, fill.filled_at
        risk, symbols = self.risks.holder(symbol)
        text = (
            f"the venue takes the position by force, with a {fill.side} of {fill.quantity:f} at "
            f"{fill.price:f} first: {fill.forced}"
        )
        self.alerts.tell(AlertKind.LIQUIDATION, f"{symbol} {fill.client_order_id}", text, at=at)
        risk.note(Liquidated(symbol=symbol, at=at))
        for tracked in within(self.engine.trading_orders, symbols or self.instruments.keys()):
            if not tracked.order.reduce_only and tracked.remaining:
                self.engine.cancel(tracked.client_order_id)

    def set_aside(self, amount: SetAside) -> None:
        """Move cash of the trading book into the bag of its currency."""
        self.engine.record(amount)
        self._note_withdrawal(amount.at)

    def _note_withdrawal(self, at: datetime) -> None:
        """Let the account's breaker not take for a loss what has gone into a bag.

        No desk's own part has paid for it, so the desks' breakers see nothing of it.
        """
        before, self._spent_on_bags = self._spent_on_bags, self.ledger.holdings.spent
        if more := self._spent_on_bags - before:
            self._risk.note(Withdrawn(amount=Notional(more), at=at))

    def may_exchange(self, now: datetime) -> bool:
        """Whether the gate would let anything of the holdings be moved at all."""
        is_active = trading_at(self.state, now) is TradingState.ACTIVE
        return is_active and self.engine.reconciled

    def begin(self, *, now: datetime) -> None:
        """Put on record which positions the record so far shows naked; call it once, at a start."""
        self._protection.begin(self.account(now), self.engine.trading_orders)

    def is_guarded(self, now: datetime) -> bool:
        """Whether every position had its stop when last looked at, no care is due to one, and the
        kill switch, if it is on, has nothing left to end."""
        engine, account = self.engine, self.account(now)
        settled = self._protection.is_settled(account, engine.revision)
        is_cared_for = not self._care.due(
            account, engine.trading_orders, engine.plans, ending=self.latches.ending(account)
        )
        return not self.latches.is_ending(now) and settled and is_cared_for

    def guard(self, *, now: datetime) -> AccountState:
        """See to it that every position has its stop, and no stop is left without a position.

        A position that is due for it is closed, or its stop tightened.

        Returns the book as it is then.
        """
        engine = self.engine
        account = engine.account(now)
        acted = False
        if not self._protection.is_settled(account, engine.revision):
            acted = self._protect(account, now=now)
        ending = self.latches.ending(account)
        due = self._care.review(account, engine.trading_orders, engine.plans, ending=ending)
        acted |= self._do(due, now=now)
        if self._cut_down(account, now=now) or acted:
            account = self.account(now)
        for dust in self._dust.review(account, self.ledger, revision=engine.revision):
            self._journal.write(dust)
        self.alerts.look(self.state, account, now=now)
        return account

    def _protect(self, account: AccountState, *, now: datetime) -> bool:
        """Do what protection asks for; whether it asked for anything."""
        engine = self.engine
        actions = self._protection.review(
            account, engine.trading_orders, engine.plans, revision=engine.revision
        )
        return self._do(actions, now=now)

    def _do(self, actions: Sequence[ProtectiveAction], *, now: datetime) -> bool:
        """Cancel, or have judged, what is asked for; whether anything is."""
        for action in actions:
            match action:
                case CancelOrder():
                    self.engine.cancel(action.client_order_id)
                case OrderIntent():
                    if action.purpose is Purpose.FLATTEN:
                        text = "it is closed at market: the stop that it should have does not stand"
                        self.alerts.tell(AlertKind.NO_STOP, action.symbol, text, at=now)
                    market = self._bare_market(action.symbol)
                    self.act(self.judge(action, market, now=now), now=now)
        return bool(actions)

    def _cut_down(self, account: AccountState, *, now: datetime) -> bool:
        """Ask for what the breakers want closed; whether they want anything."""
        acted = False
        for restrained in self.risks.restrained(account):
            acted |= self._obey_breaker(restrained, now)
        return acted

    def _obey_breaker(self, restrained: Purview, now: datetime) -> bool:
        engine, risk, symbols = self.engine, restrained.risk, restrained.symbols
        orders = breaker_intents(
            risk.state,
            restrained.account,
            risk.limits,
            instruments=engine.instruments,
            closing=self._switch.resting(engine.orders, now),
            now=now,
        )
        intents = orders.intents if orders is not None else ()
        cancelled: Sequence[str] = ()
        if risk.state.latch is not None:
            working = self.latches.within_reach(symbols)
            cancelled = self._switch.in_the_way(working, intents, symbols=symbols)
            self._switch.ask(intents, now)
        for client_order_id in cancelled:
            engine.cancel(client_order_id)
        if orders is not None:
            risk.note(orders.acted)
        for intent in intents:
            self.act(self.judge(intent, self._bare_market(intent.symbol), now=now), now=now)
        return bool(cancelled or intents)

    def _tell_of(self, found: Reconciliation) -> None:
        """Tell what keeps entries out: a balance that differs, and what was open before, too."""
        last = self.latches.looked
        before = {difference.subject for difference in last.differences} if last is not None else ()
        for one in found.differences:
            is_old = one.kind.forbids_entries and one.subject in before
            if one.kind is DifferenceKind.BALANCE or is_old:
                text = f"no entries, {one.kind}: {one.ours} here, {one.theirs} at the venue"
                self.alerts.tell(AlertKind.BOOKS, one.subject, text, at=found.at)

    def exchange_market(self, intent: OrderIntent, orders: OrderBook | None) -> Market:
        """The market in which an exchange is judged; of the book, the side that it would take."""
        market = self._bare_market(intent.symbol)
        if orders is None:
            return market
        side = Side.BUY if intent.direction.sign > 0 else Side.SELL
        depth = orders.depth(side)
        return replace(market, spread_bps=orders.spread_bps, book_at=orders.at, depth=depth)

    def _bare_market(self, symbol: Symbol) -> Market:
        """What is known of a market without a snapshot: enough for what only reduces."""
        mark = self.ledger.last_mark(symbol)
        return Market(
            instrument=self.engine.instruments[symbol],
            price=mark.price if mark else None,
            priced_at=mark.at if mark else None,
            rate=self.rate(symbol.quote),
            spread_bps=None,
            atr=None,
            regime=Regime.UNKNOWN,
        )

    def note(self, event: RiskEvent) -> None:
        """Let the account's risk state know of `event`."""
        self._risk.note(event)


def _placed(intent: OrderIntent, now: datetime) -> OrderPlaced | Rebalanced:
    """What its symbol rests from: a desk's order, or one that has moved holdings."""
    if intent.purpose is Purpose.ALLOCATION:
        return Rebalanced(symbol=intent.symbol, at=now)
    return OrderPlaced(symbol=intent.symbol, at=now)

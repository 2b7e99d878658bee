"""One bar through the house: the road that rehearsal, replay and paper all take."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from agents.council.consensus import Consensus
from agents.llm.budget import Budget
from agents.strategy import Deliberation
from data.account import AccountState
from data.bar import Bar
from data.clock import Clock
from data.defect import Defect
from data.faults import Corrupt
from data.feed import FeedInterrupted
from data.funding import FundingRate
from data.instrument import Price, Side, Symbol
from data.market_watch import MarketWatch
from data.news import NewsItem
from data.order_book import OrderBook
from data.quality import FlawKind
from data.regime import Regime
from data.snapshot import Snapshot
from data.trade import Trade
from execution.journal import OrderJournal
from execution.passive import (
    at_market,
    passive_form,
    wished_side,
)
from execution.relisted import Relisted
from execution.venues.paper import PaperVenue
from risk.approval import ApprovedOrder, Revision, Verdict
from risk.breaker import MarketSeen, ModelAnswered, ModelFailed
from risk.intent import OrderIntent, Purpose
from risk.referral import Consent, Referral
from sextant.alerts import AlertKind
from sextant.book import Book
from sextant.cycle import Decision, Ruling, conclude, conclude_again, ruling_of
from sextant.desk import Desk
from sextant.evaluation.scorecard import Scorecard
from sextant.exhibits import Exhibits
from sextant.facts import (
    BarSeen,
    DecisionFailed,
    DecisionSkipped,
    DefectsSeen,
    FlawsSeen,
    GapSeen,
    ModelCosts,
    NewsSeen,
    Watched,
)
from sextant.outside import Outside
from sextant.referrals import End, Referrals, Waiting
from sextant.resting import RestingOrders
from sextant.rests import STOOD_STILL
from sextant.sight import MoveWatch, true_range, wildness
from sextant.vigil import Vigil

_NOT_NEW = (FlawKind.DUPLICATE, FlawKind.OUT_OF_ORDER)


class Session:
    """The desks of one account, their market and their book.

    `keep_all` puts every bar and every decision on record, as a live run must; without it, a bar
    that changes nothing leaves no record, because a replay can make it again.
    """

    def __init__(
        self,
        *,
        book: Book,
        desks: Sequence[Desk],
        paper: PaperVenue | None,
        watch: MarketWatch,
        symbols: Sequence[Symbol],
        journal: OrderJournal,
        scorecard: Scorecard,
        clock: Clock,
        keep_all: bool,
        budget: Budget,
        outside: Outside,
    ) -> None:
        self.book = book
        self.desks = tuple(desks)
        self.scorecard = scorecard
        self.decisions: dict[tuple[str, Symbol], Decision] = {}  # the newest of each desk
        self._paper = paper
        self.watch = watch
        self.defects: dict[Symbol, tuple[Defect, ...]] = {}  # as last looked at
        self._journal = journal
        self._clock = clock
        self._keep_all = keep_all
        self._budget = budget
        self._spent = budget.spent
        self._moves = {symbol: MoveWatch() for symbol in symbols}
        self._outside = outside
        self.exhibits = Exhibits(outside, journal)
        self.referrals = Referrals(journal, scorecard.verdicts)
        self.resting = RestingOrders(
            book,
            exhibits=self.exhibits,
            outside=outside,
            defects=self.defects,
            slept=lambda at: self.vigil.slept_through(at),
            journal=journal,
        )
        self.vigil = Vigil(book.engine, clock, most=None)

    async def take(self, bar: Bar) -> list[tuple[Desk, Snapshot]]:
        """Let one closed bar in: fills, marks, stops; then what each desk sees of it.

        Nobody decides on a bar with a flaw. One that is not newer than the last changes nothing.
        """
        if self._paper is not None:
            await self._paper.observe(bar)
        self.vigil.look()
        now = self._clock.now()  # nothing is awaited from here on: what comes next is later
        self.book.engine.settle()
        if self.resting.followed:
            self._look_at_data(now)
        return self.see(bar, now)

    def see(self, bar: Bar, now: datetime) -> list[tuple[Desk, Snapshot]]:
        """`take`, once fills and the state of the data are on record."""
        self.exhibits.show_funding(bar.symbol, now)
        if self._keep_all:
            self._journal.write(BarSeen(at=now, bar=bar))
        flaws = self.watch.bar(bar, now=now)
        if flaws:
            self._journal.write(FlawsSeen(at=now, symbol=bar.symbol, flaws=flaws))
            if any(flaw.kind in _NOT_NEW for flaw in flaws):
                return []
        if not any(flaw.kind is FlawKind.JUMP for flaw in flaws):
            self.book.mark(bar, now=now)  # one bad tick must not move a peak or trip a breaker
        self._watch_moves(bar, now)
        account = self.guard(now, flawed=bar.symbol if flaws else None)
        if self.referrals:
            self.referrals.expire(now)
        self.scorecard.see(bar, self.book.ledger.earned)
        sightings = []
        heard = self._outside.heard(bar.symbol, now)
        for desk in self.desks:
            snapshot = desk.observe(bar, account, now=now, heard=heard)
            if snapshot is not None and not flaws:
                self._watch_wildness(snapshot, now)
                sightings.append((desk, snapshot))
        return sightings

    def relist(self, listed: Relisted) -> None:
        """The venue has other grids, minimums or fees: they hold from here on."""
        self._journal.write(listed)
        self.book.relist(listed)
        for instrument in listed.instruments:
            for desk in self.desks:
                desk.relist(instrument)

    def learn(self, item: NewsItem) -> None:
        """Take a headline in; each goes on record once, when it is learned."""
        if self._outside.learn(item):
            self._journal.write(NewsSeen(at=self._clock.now(), item=item))

    def _watch_moves(self, bar: Bar, now: datetime) -> None:
        """An unusual move lets nothing into its symbol for a time, whoever decides when."""
        if self.book.limits.unusual_move:
            move = self._moves[bar.symbol].after(bar)
            seen = MarketSeen(symbol=bar.symbol, atr=None, mean_atr=None, move=move, at=now)
            self.book.note(seen)

    def _watch_wildness(self, snapshot: Snapshot, now: datetime) -> None:
        """A volatility spike cuts sizes for a time after its bar, an order or none."""
        if self.book.limits.spike_ratio:
            self.book.note(wildness(snapshot, at=now))

    def look_after(self) -> None:
        """Look at the data and the stops between two bars too: a feed may be silent."""
        self.vigil.look()
        now = self._clock.now()
        self._look_at_data(now)
        if self.resting.is_due(now) or not self.book.is_guarded(now):
            self._journal.write(Watched(at=now))
            self.guard(now)

    def _look_at_data(self, now: datetime) -> None:
        for symbol in self._moves:
            self.unfit(symbol, now)

    def guard(self, now: datetime, *, flawed: Symbol | None = None) -> AccountState:
        """Take what resting orders have not got in time, and see to positions and their stops.

        It goes by the state of the data on record, and lets nothing into what is `flawed`: the
        newest bar is, too. Returns the book as it is then.
        """
        self.resting.see_to(now, flawed=flawed)
        return self.book.guard(now=now)

    def withdraw_resting(self) -> None:
        """Have what rests before it takes cancelled: when we are gone, nobody sees to its fills."""
        self.resting.withdraw(self._clock.now())

    async def hear(self, event: Trade | OrderBook | FundingRate | FeedInterrupted) -> None:
        """Take what comes between bars: paper first, whose orders books and trades fill."""
        if self._paper is not None and isinstance(event, OrderBook | Trade):
            await self._paper.hear(event)
        self.note(event)

    def note(self, event: Trade | OrderBook | FundingRate | FeedInterrupted) -> None:
        """Put a hole in the feed on record; keep the newest order book for the rules."""
        match event:
            case FeedInterrupted():
                now = self._clock.now()
                self._journal.write(GapSeen(at=now, gap=event))
                self.watch.interrupted(event, now=now)
                self.scorecard.interruptions += 1
            case OrderBook():
                self.exhibits.note(event)
                self.watch.book(event)
            case FundingRate():
                self._outside.note(event)
                if self._paper is not None:
                    self._paper.note(event)
            case Trade():
                pass  # no desk looks at these yet

    def unfit(self, symbol: Symbol, now: datetime) -> str:
        """Why nobody may decide on the data of `symbol` at `now`; empty if somebody may.

        What is wrong goes on record as it begins and as it ends.
        """
        defects = self.watch.defects(symbol, now)
        before = self.defects.get(symbol, ())
        if [d.kind for d in defects] != [d.kind for d in before]:
            self._journal.write(DefectsSeen(at=now, symbol=symbol, defects=defects))
        self.defects[symbol] = defects
        return "; ".join(map(defect_in_words, (d for d in defects if d.kind.blocks)))

    async def decide(self, desk: Desk, snapshot: Snapshot) -> None:
        """Have `desk` deliberate on `snapshot`, the rules judge it, and the engine take it on.

        An exception ends this decision with no order and an error on record; the desk goes on, and
        after several in a row the rules let it enter nothing for a time. `Corrupt` ends the
        process. On data that is not fit, or that we slept through, nobody decides.
        """
        unfit = self.unfit(snapshot.instrument.symbol, self._clock.now())
        if unfit:
            self.skip(desk, snapshot, f"its data: {unfit}")
            return
        try:
            if self._slept_through(desk, snapshot):
                return
            deliberation = await desk.strategy.decide(snapshot)
            if self._slept_through(desk, snapshot):
                return
            verdict = self.conclude(desk, snapshot, deliberation, now=self._clock.now())
            if isinstance(verdict, Revision):
                await self.ask_again(desk, snapshot, deliberation.regime, verdict)
        except Corrupt:
            raise
        except Exception as error:
            if isinstance(error, ExceptionGroup) and error.subgroup(Corrupt) is not None:
                raise
            self._fail(desk, snapshot, error)

    def _slept_through(self, desk: Desk, snapshot: Snapshot) -> bool:
        """Whether its bar closed before we woke; then it is passed over, on record."""
        self.vigil.look()
        is_past = self.vigil.slept_through(snapshot.bar.closed_at)
        if is_past:
            self.skip(desk, snapshot, STOOD_STILL)
        return is_past

    def conclude(
        self, desk: Desk, snapshot: Snapshot, deliberation: Deliberation, *, now: datetime
    ) -> Verdict | None:
        """From the deliberation to the order queue; nothing is awaited on the way."""
        self.scorecard.decided(
            desk.strategy_id,
            snapshot.instrument.symbol,
            snapshot.bar.close,
            deliberation.ballots,
            deliberation.intent,
        )
        if deliberation.answers or deliberation.ballots:
            self.keep_costs()
        self._judge_models(desk, deliberation.consensus, now)
        if deliberation.intent is None and not self._keep_all:
            return None
        symbol, orders = snapshot.instrument.symbol, None
        if deliberation.intent is not None:
            orders = self.exhibits.book(symbol, now)
            intent = self._formed(deliberation.intent, snapshot)
            deliberation = replace(deliberation, intent=intent)
        decision, verdict = conclude(
            desk.strategy_id,
            snapshot,
            deliberation,
            self.book,
            orders=orders,
            now=now,
        )
        self.decisions[desk.strategy_id, decision.symbol] = decision
        self._journal.write(decision)
        if verdict is not None:
            self._act(desk, deliberation.regime, verdict, now=now)
        return verdict

    async def ask_again(
        self, desk: Desk, snapshot: Snapshot, regime: Regime, revision: Revision
    ) -> None:
        """Let `desk` put its refused intent right, once (S3-47, S3-50)."""
        intent = await desk.strategy.revise(snapshot, revision.intent, revision.envelope)
        now = self._clock.now()
        symbol = snapshot.instrument.symbol
        orders = self.exhibits.book(symbol, now)
        intent = self._formed(intent, snapshot) if intent is not None else None
        again, verdict = conclude_again(
            revision,
            intent,
            snapshot,
            regime,
            self.book,
            orders=orders,
            now=now,
        )
        self.decisions[desk.strategy_id, symbol] = replace(
            self.decisions[desk.strategy_id, symbol], ruling=again.ruling
        )
        self._journal.write(again)
        self.scorecard.verdicts.ask_again(intent, approved=isinstance(verdict, ApprovedOrder))
        if verdict is not None:
            self._act(desk, regime, verdict, now=now)

    def _formed(self, intent: OrderIntent, snapshot: Snapshot) -> OrderIntent:
        """`intent` as it goes out: with the range that its stop trails by, and resting first."""
        if intent.purpose is Purpose.ENTRY:
            intent = replace(intent, atr=true_range(snapshot))
        touch = self._touch(intent)
        if touch is None:
            return intent
        return passive_form(intent, touch, snapshot.instrument, self.book.passive.settings)

    def _touch(self, intent: OrderIntent) -> Price | None:
        """The best price of the intent's own side, or else the newest; None without either."""
        orders = self.exhibits.newest(intent.symbol)
        mark = self.book.ledger.last_mark(intent.symbol)
        if orders is not None:
            own = orders.bids if wished_side(intent) is Side.BUY else orders.asks
            if own:
                return own[0].price
        return mark.price if mark is not None else None

    def _act(self, desk: Desk, regime: Regime, verdict: Verdict, *, now: datetime) -> None:
        self.book.act(verdict, now=now)
        self.resting.follow(desk, regime, verdict)
        if isinstance(verdict, Referral):
            self.referrals.add(desk, regime, verdict)

    def judge_again(self, waiting: Waiting, consent: Consent, *, now: datetime) -> Ruling | None:
        """Have an order that waited judged on the account and the market as they are now."""
        intent = at_market(waiting.referral.intent)  # a consent is to one order
        heard = self._outside.heard(intent.symbol, now)
        snapshot = waiting.desk.look(intent.symbol, self.book.account(now), now=now, heard=heard)
        orders = self.exhibits.book(intent.symbol, now)
        market = self.book.market(snapshot, intent, waiting.regime, orders)
        verdict = self.book.judge(intent, market, consent=consent, now=now)
        ruling = ruling_of(verdict)
        self.referrals.end(intent.intent_id, End.CONSENTED, ruling, at=now)
        self.book.act(verdict, now=now)
        return ruling

    def _judge_models(self, desk: Desk, consensus: Consensus | None, now: datetime) -> None:
        """Too few votes for a quorum are a failure of the desk's models, a decision is none."""
        if consensus is not None and not consensus.is_quorate:
            self.book.note(ModelFailed(strategy_id=desk.strategy_id, at=now))
        elif self.book.state.model_failures:
            self.book.note(ModelAnswered(strategy_id=desk.strategy_id, at=now))

    def keep_costs(self) -> None:
        """What the models have cost today, once that has changed: a restart goes on from there."""
        if self._budget.spent != self._spent:
            self._spent = self._budget.spent
            self._journal.write(ModelCosts(at=self._budget.now(), spent_today_usd=self._spent))

    async def work_off(self) -> None:
        """Send what is queued and book the answers, until nothing is left to send."""
        while self.book.engine.outbox.has_work:
            await self.book.engine.work()
            self.book.engine.settle()

    def look_at_holdings(self, bar: Bar) -> None:
        """Let the allocator look, where it is due with `bar` and its data is fit."""
        allocator, now = self.book.allocator, self._clock.now()
        if allocator is None or not allocator.is_due(bar):
            return
        unfit = [symbol for symbol in allocator.pairs if self.unfit(symbol, now)]
        if not unfit:
            self.allocate(now)

    def allocate(self, now: datetime) -> None:
        """Have the allocator look at what is kept, and the rules judge what it asks for."""
        allocator, book = self.book.allocator, self.book
        if allocator is None:
            return
        look = allocator.look(now, may_ask=book.may_exchange(now))
        if look is None:
            return
        record = look.record
        for symbol in dict.fromkeys(intent.symbol for intent in record.asked):
            self.exhibits.book(symbol, now)
        self._journal.write(record)
        if look.alert:
            book.alerts.tell(AlertKind.DRIFT, "holdings", look.alert, at=now)
        if look.set_aside is not None:
            book.set_aside(look.set_aside)
        for client_order_id in record.given_up:
            book.engine.cancel(client_order_id)
        for intent in record.asked:
            market = book.exchange_market(intent, self.exhibits.newest(intent.symbol))
            book.act(book.judge(intent, market, now=now), now=now)
        allocator.become(look.state)

    def skip(self, desk: Desk, snapshot: Snapshot, reason: str) -> None:
        """Put on record that `desk` does not decide on `snapshot`."""
        self.scorecard.verdicts.skip(desk.strategy_id)
        self._journal.write(
            DecisionSkipped(
                at=self._clock.now(),
                strategy_id=desk.strategy_id,
                symbol=snapshot.instrument.symbol,
                bar_closed_at=snapshot.bar.closed_at,
                reason=reason,
            )
        )

    def _fail(self, desk: Desk, snapshot: Snapshot, error: Exception) -> None:
        self.scorecard.failures += 1
        self.keep_costs()
        self.note_failure(
            DecisionFailed(
                at=self._clock.now(),
                strategy_id=desk.strategy_id,
                symbol=snapshot.instrument.symbol,
                bar_closed_at=snapshot.bar.closed_at,
                error=_said(error),
            )
        )

    def note_failure(self, failed: DecisionFailed) -> None:
        """Put a failed decision on record, and let the breaker and a person know."""
        self._journal.write(failed)
        self.book.note(ModelFailed(strategy_id=failed.strategy_id, at=failed.at))
        self.book.alerts.tell(AlertKind.ERROR, failed.strategy_id, failed.error, at=failed.at)


def defect_in_words(defect: Defect) -> str:
    """What is seen, and what is allowed."""
    return f"{defect.kind}: {defect.observed:g} against {defect.limit:g}"


def _said(error: Exception) -> str:
    """What went wrong; of a group, what each of it says."""
    if isinstance(error, ExceptionGroup):
        return "; ".join(map(_said, error.exceptions))
    return f"{type(error).__name__}: {error}"

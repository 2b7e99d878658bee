"""What is true at the exchange, and what must hold of it and of us, whatever happens."""

from collections import Counter
from datetime import timedelta
from decimal import Decimal

from data.instrument import Side
from execution.reconcile import reconcile

GRACE = timedelta(seconds=75)  # in which what is lost is asked for, and what is asked for answered


class Promises:
    """Of a world, which has the exchange as `there`, our `life`, and the like."""

    # The truth

    def stops(self, symbol):
        """What waits at the exchange to take the position down, and what waits to do else."""
        held, fit, unfit = self.there.held(symbol), Decimal(0), Decimal(0)
        for order in self.there.open_orders:
            if order.symbol != symbol or not order.is_conditional or order.takes_profit:
                continue
            left = order.quantity - order.filled
            if held and order.side is not Side.of(held):
                fit += left
            else:
                unfit += left
        return fit, unfit

    def were_held(self, balances):
        """Whether the account was ever so within the last minute, which is what a look may take."""
        since = self.clock.now() - timedelta(minutes=1)
        untils = [*(at for at, _ in self._holdings[1:]), self.clock.now()]
        spans = zip(self._holdings, untils, strict=True)
        recent = (held for (_, held), until in spans if until >= since)
        return any(all(balances.get(a, 0) == amount for a, amount in h.items()) for h in recent)

    # What must hold

    def check(self):
        """At any moment."""
        if self.flaws:
            raise self.flaws[0]
        self.there.check_foreign()
        self._check_stops()
        if self.is_trading:
            self._check_ledger()
            self._check_latch()

    def _check_ledger(self):
        life = self.life
        ours, reckoned = life.engine.ledger.balances, life.books.balances
        for asset in ours.keys() | reckoned.keys():
            assert ours.get(asset, 0) == reckoned[asset], f"{asset}: {ours} is not {reckoned}"
        made = self.there.fills
        for fill in life.books.fills.values():
            there = made.get(fill.fill_id)
            assert there is not None, f"never filled there: {fill}"
            assert _essence(fill) == _essence(there), f"{fill} is not {there}"

    def _check_latch(self):
        latch = self.life.book.state.latch
        if latch is None or not latch.is_done:
            return
        there = self.there
        held = {s: h for s in there.place.symbols if not there.is_dust(s, h := there.held(s))}
        assert not held, f"said to be flat, and holds {held}"
        assert not there.open_orders, f"said to be done, and works: {there.open_orders}"

    def _check_stops(self):
        """A position without its stop, or a stop without its position, lasts no longer than it may.

        Only time in which the exchange did as it should, and we were there, counts.
        """
        now = self.clock.now()
        if not self._is_calm:
            self.calm_since = max(self.calm_since, now)
        there = self.there
        for symbol in there.place.symbols:
            held = abs(there.held(symbol))
            fit, unfit = self.stops(symbol)
            entering = any(
                not o.reduce_only and not o.waits and o.symbol == symbol for o in there.open_orders
            )
            flaws = {
                "naked": not there.is_dust(symbol, max(held - fit, Decimal(0))),
                "too much": (fit > held and not there.is_dust(symbol, fit - held))
                or (unfit > 0 and not entering),
            }
            for flaw, is_so in flaws.items():
                if not is_so:
                    self.unfit.pop((symbol, flaw), None)
                    continue
                since = max(self.unfit.setdefault((symbol, flaw), now), self.calm_since)
                settings = there.settings
                most = settings.protection.deadline + GRACE + settings.engine.lost_after
                assert now - since <= most, (
                    f"{symbol}: {flaw} since {since}: {held} held, stops for {fit} and {unfit}"
                )

    async def _check_end(self):
        engine = self.life.engine
        last = await reconcile(engine)
        assert last.reconciled, f"not reconciled: {last}"
        left = [d for d in last.differences if not d.kind.startswith("foreign")]
        assert not left, f"still to be put right: {left}"
        assert not engine.outbox.has_work
        booked, traded = self.life.books.fills.keys(), self.there.fills.keys()
        assert booked == traded, f"filled there, not booked here: {traded - booked}"
        ours, theirs = engine.ledger.balances, self.there.balances
        for asset in ours.keys() | theirs.keys():
            assert ours.get(asset, 0) == theirs[asset], f"{asset}: {ours}, there {theirs}"
        self._check_orders(engine)
        is_dust = self.there.is_dust
        for symbol in self.there.place.symbols:
            held, (fit, _) = abs(self.there.held(symbol)), self.stops(symbol)
            bare = max(held - fit, Decimal(0))
            assert is_dust(symbol, bare), f"{symbol}: naked in the end: {held}, stops {fit}"
            assert fit <= held or is_dust(symbol, held), f"{symbol}: {held}, stops for {fit}"
        latch = self.life.book.state.latch
        assert latch is None or latch.is_done, (
            f"not flat: {self.life.book.latches.unfinished(self.clock.now())}"
        )

    def _check_orders(self, engine):
        there = Counter(o.name for o in self.there.open_orders if o.parent is None)
        here = {o.client_order_id for o in engine.orders if o.parent is None}
        assert here == set(there), f"open here {here}, there {there}"


def _essence(fill):
    return fill.symbol, fill.side, fill.quantity, fill.price, fill.fee, fill.fee_asset

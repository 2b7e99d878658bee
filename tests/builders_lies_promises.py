"""What is true at the exchange, and what must hold of it and of us, whatever happens."""

from collections import Counter
from datetime import timedelta
from decimal import Decimal

from data.instrument import Side
from execution.exact import EXACT
from execution.reconcile import reconcile
from tests.builders_venue import BTC, XRP

GRACE = timedelta(seconds=75)  # in which what is lost is asked for, and what is asked for answered


class Promises:
    """Of a world, which has `exchange`, `life`, `prices`, `foreign` and the like: see there."""

    # The truth

    def _open_orders(self):
        return [o for o in self.exchange.open_orders() if o.txid not in self.foreign]

    def held(self, symbol):
        if symbol == XRP and self.script.spot:
            return Decimal(self.exchange.wallet.balances.get("XRP", 0))
        lots = self.exchange.wallet.lots[symbol]
        return sum((lot.open * lot.opened_by.side.sign for lot in lots), Decimal(0))

    def stops(self, symbol):
        """What waits at the exchange to take the position down, and what waits to do else."""
        held, fit, unfit = self.held(symbol), Decimal(0), Decimal(0)
        for order in self._open_orders():
            kind = order.ticket.kind
            if order.ticket.listing.symbol != symbol or not kind.waits or kind.takes_profit:
                continue
            left = order.ticket.quantity - order.filled
            if held and order.ticket.side is not Side.of(held):
                fit += left
            else:
                unfit += left
        return fit, unfit

    @property
    def balances(self):
        """With the open margin positions in them."""
        total = Counter(self.exchange.wallet.balances)
        for symbol, lots in self.exchange.wallet.lots.items():
            for lot in lots:
                sign = lot.opened_by.side.sign
                total[symbol.base] = EXACT.add(Decimal(total[symbol.base]), sign * lot.open)
                total[symbol.quote] = EXACT.add(
                    Decimal(total[symbol.quote]), EXACT.multiply(Decimal(-sign), lot.cost)
                )
        return total

    def is_dust(self, symbol, quantity):
        grid = self.exchange.register.instruments[symbol]
        return not quantity or grid.is_dust(quantity, self.prices[symbol])

    @property
    def _bases(self):
        return {asset: Decimal(self.balances[asset]) for asset in ("BTC", "XRP")}

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
        for txid, ticket in self.foreign.items():
            order = self.exchange.orders[txid]
            assert order.is_open, f"foreign, and gone: {txid}"
            assert order.ticket == ticket
        self._check_stops()
        if self.is_trading:
            self._check_ledger()
            self._check_latch()

    def _check_ledger(self):
        life = self.life
        ours, reckoned = life.engine.ledger.balances, life.books.balances
        for asset in ours.keys() | reckoned.keys():
            assert ours.get(asset, 0) == reckoned[asset], f"{asset}: {ours} is not {reckoned}"
        trades = self.exchange.trades
        for fill in life.books.fills.values():
            trade = trades.get(fill.fill_id)
            assert trade is not None, f"never filled there: {fill}"
            assert _essence(fill) == _essence(trade.fill), f"{fill} is not {trade}"

    def _check_latch(self):
        latch = self.life.book.state.latch
        if latch is None or not latch.is_done:
            return
        held = {s: h for s in (BTC, XRP) if not self.is_dust(s, h := self.held(s))}
        assert not held, f"said to be flat, and holds {held}"
        assert not self._open_orders(), f"said to be done, and works: {self._open_orders()}"

    def _check_stops(self):
        """A position without its stop, or a stop without its position, lasts no longer than it may.

        Only time in which the exchange did as it should, and we were there, counts.
        """
        now = self.clock.now()
        if not self._is_calm:
            self.calm_since = max(self.calm_since, now)
        for symbol in (BTC, XRP):
            held = abs(self.held(symbol))
            fit, unfit = self.stops(symbol)
            entering = any(
                not o.ticket.reduce_only and not o.waits and o.ticket.listing.symbol == symbol
                for o in self._open_orders()
            )
            flaws = {
                "naked": not self.is_dust(symbol, max(held - fit, Decimal(0))),
                "too much": (fit > held and not self.is_dust(symbol, fit - held))
                or (unfit > 0 and not entering),
            }
            for flaw, there in flaws.items():
                if not there:
                    self.unfit.pop((symbol, flaw), None)
                    continue
                since = max(self.unfit.setdefault((symbol, flaw), now), self.calm_since)
                waits = self.settings.engine.lost_after
                most = self.settings.protection.deadline + GRACE + waits
                assert now - since <= most, (
                    f"{symbol}: {flaw} since {since}: {held} held, stops for {fit} and {unfit}"
                )

    async def _check_end(self):
        engine = self.life.engine
        last = await reconcile(engine)
        assert last.reconciled, f"not reconciled: {last}"
        left = [d for d in last.differences if not d.kind.startswith("foreign")]
        assert not left, f"still to be put right: {left}"
        assert not engine.has_work
        booked, traded = self.life.books.fills.keys(), self.exchange.trades.keys()
        assert booked == traded, f"filled there, not booked here: {traded - booked}"
        ours, theirs = engine.ledger.balances, self.balances
        for asset in ours.keys() | theirs.keys():
            assert ours.get(asset, 0) == theirs[asset], f"{asset}: {ours}, there {theirs}"
        self._check_orders(engine)
        for symbol in (BTC, XRP):
            held, (fit, _) = abs(self.held(symbol)), self.stops(symbol)
            bare = max(held - fit, Decimal(0))
            assert self.is_dust(symbol, bare), f"{symbol}: naked in the end: {held}, stops {fit}"
            assert fit <= held or self.is_dust(symbol, held), f"{symbol}: {held}, stops for {fit}"
        latch = self.life.book.state.latch
        assert latch is None or latch.is_done, (
            f"not flat: {self.life.book.unfinished(self.clock.now())}"
        )

    def _check_orders(self, engine):
        there = Counter(o.ticket.cl_ord_id for o in self._open_orders() if o.parent is None)
        here = {o.client_order_id for o in engine.orders if o.parent is None}
        assert here == set(there), f"open here {here}, there {there}"


def _essence(fill):
    return fill.symbol, fill.side, fill.quantity, fill.price, fill.fee, fill.fee_asset

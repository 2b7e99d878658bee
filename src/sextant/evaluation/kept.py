"""What is kept beside the trading book, for people: shares, targets, drift, and bags."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from agents.allocation import drifts, equal_targets
from agents.hodl import HodlState
from data.instrument import Notional
from execution.holdings import Bag
from execution.ledger import Ledger
from sextant.allocator import holdings_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One asset; values and costs in the account's currency, shares of the portfolio in [0, 1]."""

    asset: str
    quantity: Decimal  # in the portfolio
    value: Notional | None  # of that; None where it has no price
    share: Decimal | None
    target: Decimal
    bag: Decimal  # never sold
    bag_cost: Decimal
    waiting: Decimal  # set aside for the bag, and not spent yet

    @property
    def drift(self) -> Decimal | None:
        """How far the share is from its target, signed."""
        return self.share - self.target if self.share is not None else None


def kept_of(ledger: Ledger, assets: Sequence[str], hodl: HodlState) -> tuple[Kept, ...]:
    """What `ledger` keeps of `assets`, in their order, with targets of equal shares."""
    holdings = holdings_of(ledger, assets)
    targets = equal_targets(assets)
    shares = {d.asset: d.share for d in drifts(holdings, targets)} if holdings is not None else {}
    shown = {holding.asset: holding for holding in ledger.holdings.shown(ledger.rate)}
    bags = ledger.holdings.bags
    return tuple(
        Kept(
            asset=target.asset,
            quantity=shown[target.asset].quantity,
            value=shown[target.asset].value,
            share=shares.get(target.asset),
            target=target.share,
            bag=bags.get(target.asset, Bag()).quantity,
            bag_cost=bags.get(target.asset, Bag()).cost,
            waiting=hodl.bag(target.asset).waiting,
        )
        for target in targets
    )


def kept_in_words(kept: Sequence[Kept], currency: str) -> list[str]:
    """A line for each asset."""
    return [f"{each.asset}: {_portfolio(each, currency)}; {_bag(each, currency)}" for each in kept]


def _portfolio(kept: Kept, currency: str) -> str:
    value = f"{kept.value:,.2f} {currency}" if kept.value is not None else "of unknown worth"
    if kept.share is None or kept.drift is None:
        return f"{kept.quantity:,f}, {value}"
    share = f"{kept.share:.1%} of {kept.target:.2%}, drift {kept.drift:+.1%}"
    return f"{kept.quantity:,f}, {value}, {share}"


def _bag(kept: Kept, currency: str) -> str:
    waiting = f", {kept.waiting:,.2f} {currency} waits for it" if kept.waiting else ""
    return f"bag {kept.bag:,f}, cost {kept.bag_cost:,.2f} {currency}{waiting}"

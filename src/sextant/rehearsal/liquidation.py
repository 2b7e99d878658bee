"""When the exchange ends a position by force, and the order of its own by which it does."""

from collections.abc import Mapping

from data.instrument import Notional, Price, Symbol
from execution.paper_costs import LIQUIDATION_LEVEL, margin_level
from sextant.rehearsal.listing import Listing
from sextant.rehearsal.order_form import OrderType, Ticket, TimeInForce
from sextant.rehearsal.wallet import Lot, Wallet


def due(wallet: Wallet, prices: Mapping[Symbol, Price]) -> Lot | None:
    """The oldest lot, where the account can no longer carry its positions; else None.

    As Kraken: below a margin level of about 40 %, at the last prices.
    """
    oldest = wallet.oldest
    if oldest is None:
        return None
    standing = wallet.standing(oldest.opened_by.symbol.quote, prices)
    level = margin_level(Notional(standing.equity), Notional(standing.margin))
    return oldest if level is not None and level < LIQUIDATION_LEVEL else None


def ticket_of(lot: Lot, wallet: Wallet, listing: Listing) -> Ticket:
    """What ends the whole position that `lot` is of, at market."""
    side = lot.opened_by.side.opposite
    return Ticket(
        listing=listing,
        side=side,
        kind=OrderType.MARKET,
        quantity=wallet.reducible(listing.symbol, side),
        trigger=None,
        limit=None,
        leverage=lot.leverage,
        reduce_only=True,
        post_only=False,
        time_in_force=TimeInForce.GTC,
        expires_at=None,
        deadline=None,
        close=None,
        cl_ord_id=None,
        userref=None,
        validate=False,
    )

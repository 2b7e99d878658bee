"""What is known of the market beside bars: on record before a desk or a rule is shown it."""

from datetime import datetime

from data.funding import FundingRate
from data.instrument import Symbol
from data.order_book import OrderBook
from execution.journal import OrderJournal
from sextant.facts import BookSeen, FundingSeen
from sextant.outside import Outside


class Exhibits:
    """The newest order books and funding rates; each of them goes on record once."""

    def __init__(self, outside: Outside, journal: OrderJournal) -> None:
        self._outside = outside
        self._journal = journal
        self._books: dict[Symbol, OrderBook] = {}  # the newest
        self._shown_books: dict[Symbol, OrderBook] = {}  # those on record
        self._shown_funding: dict[Symbol, FundingRate] = {}

    def note(self, book: OrderBook) -> None:
        """Keep the newest order book of its symbol."""
        self._books[book.symbol] = book

    def newest(self, symbol: Symbol) -> OrderBook | None:
        """The newest order book, on record or not."""
        return self._books.get(symbol)

    def book(self, symbol: Symbol, now: datetime) -> OrderBook | None:
        """The newest order book, for the rules: it is on record from here on."""
        book = self._books.get(symbol)
        if book is not None and book is not self._shown_books.get(symbol):
            self._shown_books[symbol] = book
            self._journal.write(BookSeen(at=now, book=book))
        return book

    def show_funding(self, symbol: Symbol, now: datetime) -> None:
        """Put the funding rate on record that the desks are about to be shown."""
        rate = self._outside.funding(symbol, now)
        if rate is not None and rate is not self._shown_funding.get(symbol):
            self._shown_funding[symbol] = rate
            self._journal.write(FundingSeen(at=now, rate=rate))

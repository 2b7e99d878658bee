"""What came of it?

Owns orders and their states, fills, the ledger with what is kept beside the trading book, matching,
venues, protection and reconciliation.
Promises: an order is on record before it is on the wire, one intent gives at most one order, every
position has its stop, and the ledger balances to the last decimal. Imports `data` and `risk`.
"""

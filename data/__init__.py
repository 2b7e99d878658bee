"""What is known, of the market and of our own book, and since when?

Owns the values that everyone reads: instruments, bars, series, snapshots, account state, regimes,
and the ports to where they come from (clock, feed, store). Promises that a snapshot holds closed
bars only, that money is Decimal and estimates are float, and that bad input is named, not guessed.
Imports nothing of ours. Adapters, which no agent and no rule can reach: `data.feeds` (exchanges),
`data.postgres` (the store), `data.collect` and `data.kraken_db` (what fills the store).
"""

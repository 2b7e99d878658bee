"""What did we learn, decide and do, in which order, and when?

Owns the journal: an append-only log of facts, each a frozen dataclass under a topic, numbered and
chained by digests, with one writer a journal. Promises: what `flush` has returned for survives
kill -9 and power loss and reads back equal; facts keep the order in which they were written; a
changed, missing or foreign record is found by `verify`; a database that is away for a while loses
nothing. PostgreSQL for the daemon, JSONL files for replays and export, memory for tests: one
contract, `tests/contract/test_journal.py`. Imports `data` and nothing else of ours; the types of
the facts come in from wiring.
"""

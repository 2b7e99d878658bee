"""May we, and how much?

Owns the form that everybody fills in (`OrderIntent`), the operator's limits, the rules, sizing,
the breaker and the verdict. Promises: the same intent, account, market, state, limits and time
give the same verdict, byte for byte; all objections are reported; doubt rejects; only `judge`
makes an `ApprovedOrder`. Pure: no clock, no I/O, no logging, no model. Imports `data` values only.
"""

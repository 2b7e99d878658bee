"""How well did it go? Equity, trades, and what each seat's votes were worth.

Everything is counted as it happens in bounded memory; the formulas are pure functions.
"""

"""How far paper's fills are from the market's: probe orders on recorded order books and trades.

It owns the reading of recorded frames, the probes, what a recording says came of each, and the
scores of the rules that would have filled them. It promises the same scores for the same files and
seed, and to say what a recording cannot tell. It may import `data` and `execution`; nothing that
trades imports it.
"""

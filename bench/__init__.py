"""Measurements: `python -m bench`, or `make bench`.

Every figure is taken in a process of its own (`bench.probes`, the yardstick and the peers), so that
neither imports nor memory of one add to another. This package's own process only starts them,
checks that each did the work right, and prints medians and ratios. It reaches no network, and no
test asserts a time.
"""

"""How does it run?

Owns settings, wiring, the decision cycle, desks, the daemon, the journal, replay, evaluation and
what people see. Concrete adapters meet in `wiring` and nowhere else. Imports everything.
"""

"""What would we like to do?

Owns analysis reports, votes, consensus, strategies, prompts and the port to language models.
Promises: an agent sees its `Snapshot` and nothing else; an answer that is late, broken or about
something else is an `Abstention` with its reason, never a quiet HOLD; a stand-in says it is one.
Imports `data` (values, ports) and `risk.intent`; there is no path from here to an exchange.
"""

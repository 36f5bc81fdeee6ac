"""Model calls: the catalogue of aliases, prices and holds, and the client that calls upstreams within a purse.

What belongs here: which endpoint serves an alias, what a call costs or may cost, retries and fallback, the wire to
upstreams. What never does: a skill's files, prompts of our own making, the agent loop. Later the whole model gateway
over the ledger; `interface.ModelClient` and `interface.Purse` are its ports already.
"""

"""Model calls: the catalogue of aliases, prices and holds, and the client that calls upstreams.

What belongs here: which endpoint serves an alias, what a call costs or may cost, retries and fallback, the wire to
upstreams. What never does: a skill's files, prompts of our own making, the agent loop.
"""

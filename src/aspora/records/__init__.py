"""Append-mostly rows of the data plane: executions, events, effects, nodes, idempotency keys. Owns their tables."""

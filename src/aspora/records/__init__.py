"""Append-mostly rows of the data plane: executions, events, model calls, effects, nodes, idempotency keys.

Owns their tables: every statement that touches them lies in a `.sql` file here. Decides nothing about skills, access or
sandboxes, and never imports whoever runs or serves an execution.
"""

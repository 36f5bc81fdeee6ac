"""Append-mostly rows of the data plane: executions with their events, model calls,
effects, nodes, idempotency keys, and the events of objects.

Owns their tables: every statement that touches them lies in a `.sql` file here. Decides nothing about skills, access or
sandboxes, and never imports whoever runs or serves an execution.
"""

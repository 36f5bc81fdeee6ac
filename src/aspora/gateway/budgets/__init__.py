"""The door for money: budgets seen, raised and reset; model calls and what they cost.

Here belongs how the ledger looks over HTTP and who may see which part. What is counted, and when a call is refused, is
`aspora.ledger`'s alone.
"""

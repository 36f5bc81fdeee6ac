"""The one place where money and rates are counted: accounts, leases of them by processes, intents, calls.

Owns the tables `ledger_*`. Here belongs what decides whether a call may be paid for and what it did cost; never what it
asks, whom, or how its price is made. Amounts are integers (micro-USD, requests, tokens). No call goes out before
PostgreSQL knows what it may cost.
"""

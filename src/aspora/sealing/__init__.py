"""Secrets at rest: the key, its place, its check in the database, and what is sealed with it.

Plain values pass through and are kept nowhere: not in a log, not in an error, not in an attribute that prints.
"""

"""Who wrote what: one row for each write, in the transaction of the write, and for each refusal.

Owns `audit_events`. Keeps who, what sort of act, on which object, when and how it ended; never what was written.
"""

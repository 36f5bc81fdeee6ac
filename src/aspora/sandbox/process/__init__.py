"""Rung 0 of the ladder: a process with resource limits under a supervisor, for trusted development.

Two programs live here. The *driver* side (`driver`, `slot`, `course`, `pipes`, `runtime`, `workspace`, `probing`) runs
in the executor's event loop. The *supervisor* side (`supervisor`, `jail`, `tree`, `procfs`, `strays`) is a small
single-threaded process, one a slot: standard library only, no asyncio, no aspora package beyond this one. Both share
`messages` and `limits`.
"""

"""The door for running skills: executions and nodes over HTTP. Records what is to run; runs nothing itself.

Objects are read through the in-memory view, records through `aspora.records`.
"""

"""Runs executions: claims them, builds the handler's context, runs handlers and the agent loop, writes the end.

`durable` alone imports dbos, `agent*` alone the agent library; both are loaded by name, in the background. Nothing here
serves HTTP, and objects are only read, through the client.
"""

"""Runs executions: context, handlers in a sandbox, the agent loop. `durable` alone imports dbos."""

"""The HTTP doors: objects, serve, openai, mcp. Stateless; runs no handler."""

"""The HTTP doors: objects and serve. Stateless; runs no handler."""

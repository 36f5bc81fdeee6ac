"""How anything reads and writes objects: one client over HTTP or an injected ASGI callable. Never touches a table."""

"""What surrounds every request: identity, limits, the one error shape, metrics. Pure ASGI; knows no kind."""

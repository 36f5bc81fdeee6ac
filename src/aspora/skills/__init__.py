"""A skill folder becomes a typed skill and a deterministic artifact. Works offline; never talks to a server."""

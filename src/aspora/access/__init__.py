"""Who is calling and what they may do: keys, roles, grants. Decisions only; reads through a port, writes nothing."""

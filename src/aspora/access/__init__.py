"""Who is calling and what they may do. Decisions only; never writes objects."""

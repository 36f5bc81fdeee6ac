"""Drivers that run a handler in isolation, behind one contract. Knows jobs and limits, not skills."""

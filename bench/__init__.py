"""Figures: printed with the machine, the versions and the disk's flush beside them. Never asserted in tests."""

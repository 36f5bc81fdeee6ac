"""A kind from another package: what a third party would ship."""

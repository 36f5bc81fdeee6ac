"""A connector from another package: what a third party would ship."""

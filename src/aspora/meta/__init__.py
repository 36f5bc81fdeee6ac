"""What every object shares: metadata, conditions, field errors, status errors, selectors, names. No I/O."""

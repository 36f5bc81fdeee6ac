"""The chain every write passes: mutating plugins, then validating ones. Reads evidence; writes nothing."""

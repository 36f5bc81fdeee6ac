"""Content-addressed blobs: put, get with digest check. Knows bytes and digests, not skills."""

"""Public fakes and conformance suites. No shipped code imports it."""

"""General tools that know no Aspora word: clock, backoff, registry, supervised loops. No third-party import."""

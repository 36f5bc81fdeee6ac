"""General tools that know no Aspora word: clock, backoff, registry, supervision, fan-out. No third-party import."""

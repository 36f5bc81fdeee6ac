"""Level-triggered loops over the client: informer, queue, retries. Knows no kind."""

"""Who did what: the append-only, hash-chained event log."""

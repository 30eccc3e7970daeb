"""The contract between centre, gates and phones: every byte that leaves one machine and is read by another (pure)."""

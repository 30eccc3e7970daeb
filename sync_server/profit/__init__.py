"""What combos earned, and who gets a share of it."""

"""Paid orders become passes: a number, a signed token, and what it opens at which venue."""

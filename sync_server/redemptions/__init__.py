"""Entries as the centre counts them."""

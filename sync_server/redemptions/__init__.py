"""Entries as the centre counts them: taken in once, classified, and never refused."""

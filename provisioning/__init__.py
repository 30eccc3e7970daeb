"""Bringing machines to where they work: the installer. It knows the programs by name and imports none of them."""

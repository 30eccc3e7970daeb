"""The platform's double-entry book."""

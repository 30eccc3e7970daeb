"""What needs two persons: one asks with a reason, another one confirms."""

"""Money moved by a payment provider: one transfer machine, one provider interface."""

"""The operators' accounts: who may sign in, as what, and how they prove it."""

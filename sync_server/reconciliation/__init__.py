"""What our book says and what the provider's statement says, line by line, and who settles what differs."""

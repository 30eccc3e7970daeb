"""What one person asked for and a second one confirms: of every kind, in words, done at once."""

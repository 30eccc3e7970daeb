"""The payment stand-in: an HTTP process with a book of its own, that behaves as well or as badly as it is told."""

"""A stand-in for the platform of electronic social-security cards: draws one-time codes and says whose they are."""

"""Platform, venues and distributors."""

"""The numbered statements of venues and distributors."""

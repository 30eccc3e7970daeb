"""Orders, their tickets and items, and the one claim each item ends with."""

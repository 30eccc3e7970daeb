"""What the venues are owed and paid."""

"""The centre's signing keys and the signed key set that tells the gates about them."""

"""The worker's steps and what turns them."""

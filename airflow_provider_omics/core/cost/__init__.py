"""What runs used, what that cost, and what would have been enough: pure functions."""

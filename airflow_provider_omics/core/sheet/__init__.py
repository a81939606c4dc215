"""A sample sheet: its rows made into run settings."""

"""A wait: when to look, when to cancel, when to give up."""

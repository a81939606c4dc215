"""A failure: its cause, whose move it is, and the remedy."""

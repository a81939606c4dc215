"""A failure: its cause, whose move it is, and what to do."""

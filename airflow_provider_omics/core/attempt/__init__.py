"""An attempt: one start, and what became of it."""

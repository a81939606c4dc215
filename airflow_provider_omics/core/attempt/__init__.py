"""An attempt: one start of a run or batch, and its end."""

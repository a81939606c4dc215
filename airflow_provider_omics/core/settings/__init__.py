"""The settings of runs and batches: merged, checked, made into requests."""

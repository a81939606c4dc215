"""A batch: which samples it runs, and how it ended."""

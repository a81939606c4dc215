"""The job that starts a batch: its settings, the choice of its samples, its staging and its verdict."""

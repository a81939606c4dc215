"""Hooks: the only place that calls AWS."""

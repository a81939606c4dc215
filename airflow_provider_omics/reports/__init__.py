"""Cohorts and runs as pages: self-contained HTML, made from records by pure functions."""

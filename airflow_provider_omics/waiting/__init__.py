"""Waiting: the poller that all deferred waits of a process share."""

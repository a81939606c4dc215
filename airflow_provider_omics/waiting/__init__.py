"""Waiting: the poller that all deferred waits of a process share; questions to Airflow, and its timer."""

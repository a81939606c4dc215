"""Sensors: tasks that wait for what someone else started."""

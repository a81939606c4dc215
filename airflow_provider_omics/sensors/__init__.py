"""Sensors: tasks that wait for a run or batch that someone else started."""

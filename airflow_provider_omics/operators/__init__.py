"""Operators: tasks that start, wait for, cancel and delete."""

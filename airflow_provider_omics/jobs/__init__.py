"""Jobs: the work of a task, loaded when the task runs."""

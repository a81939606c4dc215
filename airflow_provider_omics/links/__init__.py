"""Links from a task in Airflow's UI to the AWS console."""

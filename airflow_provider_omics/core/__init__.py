"""The decisions of this package: pure functions and values, without Airflow, boto3, I/O or a clock."""

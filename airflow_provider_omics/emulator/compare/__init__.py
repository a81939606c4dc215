"""Hold the emulator against a real account: the same questions to both, and a report of what they answer.

``python -m airflow_provider_omics.emulator.compare --region us-east-1 --role-arn ARN --output-uri s3://bucket/prefix/``
"""

"""Commands of ``python -m airflow_provider_omics``: a module for each."""

"""What waits in the triggerer: see :mod:`airflow_sm_pipelines.triggers.execution`."""

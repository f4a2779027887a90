"""Links from a task instance to the AWS console: see :mod:`airflow_sm_pipelines.links.buttons`."""

"""Task decorators, which Airflow registers under ``@task``: see :mod:`airflow_sm_pipelines.decorators.sagemaker_pipeline`."""

"""Task decorators, which Airflow registers under ``@task``: ``sagemaker_pipeline``."""

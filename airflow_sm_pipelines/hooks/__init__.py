"""The hook: SageMaker Pipelines through an Airflow AWS connection."""

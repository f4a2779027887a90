"""Calls to SageMaker and to the services beside it, and what the answers mean. Imports no Airflow.

Modules here take a :class:`~airflow_sm_pipelines.client.calls.SageMakerCalls`. The Airflow hook is one, and the command
line makes one from boto3's own credentials. Nothing is re-exported, so that a DAG file loads only what it names.
"""

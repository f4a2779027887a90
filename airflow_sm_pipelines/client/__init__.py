"""Calls to SageMaker and the services beside it, and what their answers mean. Imports no Airflow.

Modules here take a :class:`~airflow_sm_pipelines.client.calls.SageMakerCalls`: the Airflow hook is one, and the command
line makes one from boto3's own credentials. Nothing is re-exported, so that a DAG file loads only what it names.
"""

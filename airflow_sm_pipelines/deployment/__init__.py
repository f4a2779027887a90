"""Brings pipeline definitions to SageMaker and looks after the deployed versions. Imports no Airflow.

The deploy operator, the decorator and ``sm-pipelines`` all deploy through
:class:`~airflow_sm_pipelines.deployment.deployer.PipelineDeployer`.
"""

"""Plans a workflow as an Airflow DAG: which steps each pipeline does, which tasks stand between, and how values pass.

The plan is plain data. How it is written into files is :mod:`airflow_sm_pipelines.migrate.files`.
"""

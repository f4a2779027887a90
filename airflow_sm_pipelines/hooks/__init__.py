"""SageMaker Pipelines through an Airflow connection, and the rules for waiting on an execution and reading its outputs.

``pipelines`` holds the hook; ``waiting``, ``reports`` and ``outputs`` are pure and cheap to import, so nothing is
re-exported here.
"""

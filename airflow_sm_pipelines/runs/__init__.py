"""Executions that a task runs: what to start, exactly once, and what its end means. Imports no Airflow."""

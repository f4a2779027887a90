"""Workflows of other orchestrators as pipeline definitions and an Airflow DAG, with a report on each node.

Nothing here calls AWS or imports Airflow; the same source gives the same files.
"""

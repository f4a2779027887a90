"""Writes a planned workflow as files: the DAG, the definitions of its pipelines, and the report."""

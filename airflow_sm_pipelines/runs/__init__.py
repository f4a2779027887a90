"""Starts executions, exactly once per intention, and turns their ends into results. Imports no Airflow."""

"""Links from a task instance to the pages that show its pipeline, its execution and its logs.

``buttons`` has what Airflow's UI shows, ``addresses`` finds where each leads to.
"""

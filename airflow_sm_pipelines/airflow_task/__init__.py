"""What takes or makes Airflow's objects, beside operators, sensors and triggers.

Here stand the task's identity, its state and its state store, stopping on a kill, progress, lineage, sealed tokens,
errors that are not retried, the arguments of hooks, and DAG params. Rules that need no object of Airflow stand in
``client``, ``deployment`` and ``runs``.
"""

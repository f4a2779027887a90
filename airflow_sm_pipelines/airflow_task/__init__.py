"""What a running Airflow task needs beside its operator: identity, XComs, links, lineage, stopping on kill, errors.

These modules take Airflow's objects (context, task instance, state store). Rules that need none of them stand in
``client``, ``deployment`` and ``runs``.
"""

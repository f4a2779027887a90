"""The page of executions in Airflow's UI: its API, which runs in the api-server, and its one script in ``static``.

It shows what tasks have kept in XComs (:mod:`airflow_sm_pipelines.runs.page_record`) and needs no rights on AWS. It
changes nothing: its buttons call Airflow's own API with the user's rights.
"""

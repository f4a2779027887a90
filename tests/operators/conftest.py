"""A fake SageMaker, and Airflow homes or this process's own boto3 and XComs that talk to it."""

from tests.airflow_fixtures import (  # noqa: F401
    airflow_template,
    dag_runner,
    endpoint,
    fake,
    fake_is_aws,
    no_pauses,
    xcoms,
)

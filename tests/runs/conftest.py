"""A fake SageMaker, and Airflow homes that talk to it."""

from tests.airflow_fixtures import airflow_template, dag_runner, endpoint, fake, fake_is_aws  # noqa: F401

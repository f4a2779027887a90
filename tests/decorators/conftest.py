"""A fake SageMaker that this process's boto3 talks to, and XComs in a dict."""

from tests.airflow_fixtures import endpoint, fake, fake_is_aws, no_pauses, xcoms  # noqa: F401

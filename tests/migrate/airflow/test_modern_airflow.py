"""What Airflow 3 no longer has, and the lines that take its place."""

from __future__ import annotations

import pytest

from airflow_sm_pipelines.migrate.airflow.modern_airflow import modernise


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(
            "from airflow.contrib.operators.sagemaker_training_operator import (\n    SageMakerTuningOperator,\n)\n",
            "from airflow.providers.amazon.aws.operators.sagemaker import (\n    SageMakerTuningOperator,\n)\n",
            id="contrib",
        ),
        pytest.param(
            "from airflow.operators.dummy_operator import DummyOperator\n",
            "from airflow.providers.standard.operators.empty import EmptyOperator as DummyOperator\n",
            id="the dummy",
        ),
        pytest.param(
            "from airflow.utils.dates import days_ago\nd = days_ago(2)\n",
            'import pendulum\nd = pendulum.today("UTC").add(days=-2)\n',
            id="days_ago",
        ),
        pytest.param(
            "import airflow.utils.dates\nimport airflow\nd = airflow.utils.dates.days_ago(n)\n",
            'import airflow\nimport pendulum\nimport airflow\nd = pendulum.today("UTC").add(days=-(n))\n',
            id="days_ago by its module",
        ),
        pytest.param(
            "PythonOperator(\n    a=1,\n    provide_context=True,  # c\n)\n",
            "PythonOperator(\n    a=1,\n)\n",
            id="context",
        ),
        pytest.param(
            "a = 'é-{{ execution_date.year }}-{{ next_execution_date }}'\nb = execution_date\n",
            "a = 'é-{{ logical_date.year }}-{{ data_interval_end }}'\nb = execution_date\n",
            id="dates in templates",
        ),
        pytest.param(
            "d = DAG('x', schedule_interval=None, concurrency=2)\n",
            "d = DAG('x', schedule=None, max_active_tasks=2)\n",
            id="DAG",
        ),
    ],
)
def test_each_is_replaced_and_told(before: str, after: str) -> None:
    changed, records = modernise(before.encode(), name="dag.py")
    assert changed.decode() == after
    assert records
    assert all(record.source.startswith("dag.py:") for record in records)


def test_what_is_there_in_airflow_3_keeps_its_bytes() -> None:
    source = b"from airflow.sdk import DAG\nd = DAG('x', schedule=None)\n"
    assert modernise(source, name="dag.py") == (source, [])

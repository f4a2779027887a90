"""The amazon provider's operators as ours: each argument, what reads a task's result, and what is refused."""

from __future__ import annotations

import ast
import importlib.util
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

from airflow_sm_pipelines.migrate.airflow import migrate_provider_file

if TYPE_CHECKING:
    from pathlib import Path

OPERATORS = "from airflow.providers.amazon.aws.operators.sagemaker import"
SENSORS = "from airflow.providers.amazon.aws.sensors.sagemaker import"


def migrate(text: str) -> tuple[str, list[str]]:
    """The file after the migration, and what is left to do."""
    done = migrate_provider_file(textwrap.dedent(text).encode(), name="dag.py")
    return done.after.decode(), [record.action for record in done.records if record.action]


def migrate_start(arguments: str) -> str:
    """The arguments of a start task after the migration."""
    before = f"{OPERATORS} SageMakerStartPipelineOperator\nt = SageMakerStartPipelineOperator({arguments})\n"
    after, left = migrate(before)
    assert left == []
    call = after.splitlines()[1]
    assert call.startswith("t = SageMakerRunPipelineOperator(")
    return call.removeprefix("t = SageMakerRunPipelineOperator(").removesuffix(")")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param("pipeline_params={'A': '1'}", "parameters={'A': '1'}, wait_for_completion=False", id="parameters"),
        pytest.param("display_name='x'", "display_name='x', wait_for_completion=False", id="it did not wait"),
        pytest.param("wait_for_completion=True", "wait_for_completion=True", id="it waited"),
        pytest.param("deferrable=True", "deferrable=True", id="deferred tasks wait"),
        pytest.param(
            "deferrable=True, wait_for_completion=False",
            "deferrable=True, wait_for_completion=True",
            id="deferred tasks waited although told not to",
        ),
        pytest.param("deferrable=D", "deferrable=D, wait_for_completion=D", id="waits if deferrable"),
        pytest.param(
            "wait_for_completion=W, deferrable=D", "wait_for_completion=(W) or (D), deferrable=D", id="either of them"
        ),
        pytest.param(
            "wait_for_completion=True, check_interval=9, waiter_max_attempts=10",
            "wait_for_completion=True, waiter_delay=9, max_wait_seconds=90",
            id="a limit",
        ),
        pytest.param(
            "wait_for_completion=True, waiter_max_attempts=N, verbose=False",
            "wait_for_completion=True, max_wait_seconds=(N) * (30)",
            id="a limit that is worked out",
        ),
        pytest.param("verbose=True, deferrable=True", "deferrable=True", id="verbose is first"),
        pytest.param("", "wait_for_completion=False", id="nothing given"),
    ],
)
def test_each_argument_becomes_ours(before: str, after: str) -> None:
    assert migrate_start(before) == after


def test_comments_and_the_layout_stay() -> None:
    before = f"""\
    # \u00e4 comment
    {OPERATORS} (
        SageMakerStartPipelineOperator,  # start
        SageMakerTrainingOperator,  # train
    )

    start = SageMakerStartPipelineOperator(
        task_id = 'start',   # the id
        pipeline_params={{"A": "1"}},  # what it is given
        # seldom
        check_interval = 60,
        verbose=False,  # quiet
        pool="big" # the pool
    )
    """
    after, left = migrate(before)
    assert left == []
    assert after == textwrap.dedent(
        f"""\
        # \u00e4 comment
        from airflow_sm_pipelines import SageMakerRunPipelineOperator
        {OPERATORS} (
            SageMakerTrainingOperator,  # train
        )

        start = SageMakerRunPipelineOperator(
            task_id = 'start',   # the id
            parameters={{"A": "1"}},  # what it is given
            # seldom
            waiter_delay = 60,
            pool="big", # the pool
            wait_for_completion=False
        )
        """
    )


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-8-sig"])
def test_other_bytes_stay_in_every_encoding(newline: str, encoding: str) -> None:
    cookie = f"# coding: {encoding}" if encoding == "latin-1" else "#"
    lines = [
        cookie,
        f"{SENSORS} SageMakerPipelineSensor",
        "n\u00e4me = 'x'; s = SageMakerPipelineSensor(",
        "    a=1)",
        "",
    ]
    source = newline.join(lines).encode(encoding)
    done = migrate_provider_file(source, name="dag.py")
    expected = source.replace(f"{SENSORS} SageMakerPipelineSensor".encode(), b"from airflow_sm_pipelines import X")
    expected = expected.replace(b"SageMakerPipelineSensor", b"X").replace(b"X", b"SageMakerPipelineExecutionSensor")
    assert done.after == expected


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(
            "s(pipeline_exec_arn=t.output)", 's(execution_arn=t.output["pipeline_execution_arn"])', id="output"
        ),
        pytest.param("use(XComArg(t))", 'use(XComArg(t, key="pipeline_execution_arn"))', id="XComArg"),
        pytest.param("x = ti.xcom_pull('go')", "x = ti.xcom_pull('go', key=\"pipeline_execution_arn\")", id="a pull"),
        pytest.param("x = ti.xcom_pull(GO)", 'x = ti.xcom_pull(GO, key="pipeline_execution_arn")', id="by a constant"),
        pytest.param(
            "x = ti.xcom_pull(task_ids=t.task_id)",
            'x = ti.xcom_pull(task_ids=t.task_id, key="pipeline_execution_arn")',
            id="by the task",
        ),
        pytest.param(
            "x = ti.xcom_pull(['g.go'], key='return_value')",
            "x = ti.xcom_pull(['g.go'], key=\"pipeline_execution_arn\")",
            id="in a group",
        ),
        pytest.param(
            "x = \"{{ ti.xcom_pull('go') }} {{ ti.xcom_pull('no') }}\"",
            "x = \"{{ ti.xcom_pull('go', key='pipeline_execution_arn') }} {{ ti.xcom_pull('no') }}\"",
            id="a template",
        ),
        pytest.param(
            r"x = '{{ ti.xcom_pull(task_ids=\'go\', key=\'return_value\') }}'",
            r"x = '{{ ti.xcom_pull(task_ids=\'go\', key=\'pipeline_execution_arn\') }}'",
            id="a template with escaped quotes",
        ),
        pytest.param("x = ti.xcom_pull('other')", "x = ti.xcom_pull('other')", id="another task"),
        pytest.param("x = ti.xcom_pull('go', key='mine')", "x = ti.xcom_pull('go', key='mine')", id="another key"),
        pytest.param("x = other.output", "x = other.output", id="another output"),
    ],
)
def test_who_reads_the_arn_reads_our_key(before: str, after: str) -> None:
    head = f"{OPERATORS} SageMakerStartPipelineOperator\n{SENSORS} SageMakerPipelineSensor as s\nGO = 'go'\n"
    task = "t = SageMakerStartPipelineOperator(task_id='go', deferrable=True)\n"
    changed, left = migrate(head + task + before + "\n")
    assert left == []
    line = changed.splitlines()[-1]
    assert line.replace("SageMakerPipelineExecutionSensor(", "s(") == after


@pytest.mark.parametrize(
    ("code", "place"),
    [
        pytest.param("t = SageMakerStartPipelineOperator(**load())", "dag.py:2:36: what **load() holds", id="unknown"),
        pytest.param(
            "k = dict(verbose=True)\nt = SageMakerStartPipelineOperator(**k)", "dag.py:3:36: **k holds verbose", id="**"
        ),
        pytest.param("class Mine(SageMakerStartPipelineOperator): pass", "is not called here", id="a subclass"),
        pytest.param(
            "t = SageMakerStartPipelineOperator.partial(task_id='t').expand(verbose=[True])",
            "verbose is mapped",
            id="map",
        ),
        pytest.param(
            "t = SageMakerStartPipelineOperator(task_id='a')\nx = ti.xcom_pull(['a', 'b'])",
            "dag.py:3:5: this xcom_pull reads the task together with others",
            id="a read of two tasks",
        ),
        pytest.param(
            "t = SageMakerStartPipelineOperator(task_id='a')\nif x: t = y\nu = t.output",
            "dag.py:4:5: this reads the task's result or something else",
            id="a variable of two things",
        ),
        pytest.param(
            "t = SageMakerStartPipelineOperator(task_id='a')\nt.check_interval = 3",
            "dag.py:3:1: check_interval is used as the task's attribute",
            id="an attribute",
        ),
    ],
)
def test_what_cannot_be_done_is_refused_with_its_place(code: str, place: str) -> None:
    before = f"{OPERATORS} SageMakerStartPipelineOperator\n{code}\n"
    after, left = migrate(before)
    assert after == before
    assert place in left[0]


def test_a_refused_task_stays_whole_beside_a_changed_one() -> None:
    after, left = migrate(
        f"""\
        {OPERATORS} SageMakerStartPipelineOperator
        a = SageMakerStartPipelineOperator(task_id="a", **load())
        b = SageMakerStartPipelineOperator.partial(task_id="b", deferrable=True).expand(pipeline_params=[1])
        c = [a.output, b.output]
        """
    )
    assert len(left) == 1
    assert after.splitlines() == [
        f"{OPERATORS} SageMakerStartPipelineOperator",
        "from airflow_sm_pipelines import SageMakerRunPipelineOperator",
        'a = SageMakerStartPipelineOperator(task_id="a", **load())',
        'b = SageMakerRunPipelineOperator.partial(task_id="b", deferrable=True).expand(parameters=[1])',
        'c = [a.output, b.output["pipeline_execution_arn"]]',
    ]


def test_other_forms_of_import() -> None:
    after, left = migrate(
        """\
        import airflow.providers.amazon.aws.operators.sagemaker as sm
        from airflow.providers.amazon.aws.operators import sagemaker

        a = sm.SageMakerStartPipelineOperator(task_id="a", deferrable=True)
        b = sagemaker.SageMakerStartPipelineOperator(task_id="b", deferrable=True)
        """
    )
    assert left == []
    assert after.splitlines()[2:] == [
        "from airflow_sm_pipelines import SageMakerRunPipelineOperator",
        "",
        'a = SageMakerRunPipelineOperator(task_id="a", deferrable=True)',
        'b = SageMakerRunPipelineOperator(task_id="b", deferrable=True)',
    ]


def test_what_stays_and_what_changed_silently_is_said() -> None:
    source = f"""\
{OPERATORS} SageMakerConditionOperator, SageMakerStartPipelineOperator, SageMakerStopPipelineOperator
a = SageMakerStartPipelineOperator(task_id="a", wait_for_completion=True)
b = SageMakerStopPipelineOperator(task_id="b", pipeline_exec_arn=a.output, fail_if_not_running=True)
c = SageMakerConditionOperator(task_id="c", if_task_ids=[])
d = ti.xcom_pull(anything)
"""
    done = migrate_provider_file(source.encode(), name="dag.py")
    assert done.is_complete
    said = {record.source: [one.code for one in record.reasons] for record in done.records}
    assert said == {
        "dag.py:2:5 task 'a'": ["PROVIDER-STATUS-001", "PROVIDER-RETRY-001", "PROVIDER-KILL-001", "PROVIDER-NAME-001"],
        "dag.py:3:5 task 'b'": ["PROVIDER-STOP-001"],
        "dag.py:4:5 task 'c'": ["PROVIDER-CONDITION-001"],
        "dag.py:5:5": ["PROVIDER-READ-001"],
    }
    again = migrate_provider_file(done.after, name="dag.py")
    assert again.after == done.after


@pytest.mark.parametrize(
    ("arguments", "after"),
    [
        ("pipeline_exec_arn=a.output", 'execution_arn=a.output["pipeline_execution_arn"]'),
        ("wait_for_completion=False, verbose=False, pipeline_exec_arn=x", "execution_arn=x"),
        ("pipeline_exec_arn=x, fail_if_not_running=False, check_interval=3, deferrable=None", "execution_arn=x"),
        ("pipeline_exec_arn=x, wait_for_completion=WAITS", None),
        ("pipeline_exec_arn=x, deferrable=True", None),
        ("pipeline_exec_arn=x, **more", None),
    ],
    ids=["plain", "first", "last", "may wait", "waits", "unknown"],
)
def test_a_stop_becomes_ours_unless_it_waits(arguments: str, after: str | None) -> None:
    source = f"""\
{OPERATORS} SageMakerStartPipelineOperator, SageMakerStopPipelineOperator
a = SageMakerStartPipelineOperator(task_id="a")
b = SageMakerStopPipelineOperator(task_id="b", {arguments})
c = EmailOperator(html_content=b.output)
"""
    done = migrate_provider_file(source.encode(), name="dag.py")
    lines = done.after.decode().splitlines()
    if after is None:
        assert "b = SageMakerStopPipelineOperator(" in lines[-2]
        assert lines[-1] == "c = EmailOperator(html_content=b.output)"
        return
    assert lines[-2:] == [
        f'b = SageMakerStopExecutionOperator(task_id="b", {after})',
        'c = EmailOperator(html_content=b.output["status"])',
    ]
    assert "SageMakerStopExecutionOperator" in lines[0]


def test_the_result_is_a_dag_of_airflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = f"""\
from datetime import datetime
from airflow.sdk import DAG
from airflow.sdk.bases.operator import chain
{OPERATORS} SageMakerStartPipelineOperator
{SENSORS} SageMakerPipelineSensor

with DAG("two", schedule=None, start_date=datetime(2026, 1, 1)) as dag:
    start = SageMakerStartPipelineOperator(
        task_id="start", pipeline_name="p", pipeline_params={{"A": "1"}}, check_interval=5, waiter_max_attempts=4
    )
    wait = SageMakerPipelineSensor(task_id="wait", pipeline_exec_arn=start.output, verbose=False, poke_interval=3)
    chain(start, wait)
"""
    path = tmp_path / "two.py"
    path.write_bytes(migrate_provider_file(source.encode(), name="two.py").after)
    spec = importlib.util.spec_from_file_location("two", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "two", module)
    spec.loader.exec_module(module)
    start, wait = module.dag.get_task("start"), module.dag.get_task("wait")
    assert (start.parameters, start.waiter_delay, start.max_wait_seconds, start.wait_for_completion) == (
        {"A": "1"},
        5,
        20,
        False,
    )
    assert wait.execution_arn.key == "pipeline_execution_arn"
    assert wait.upstream_task_ids == {"start"}
    ast.parse(path.read_bytes())

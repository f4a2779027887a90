"""The files that a migration gives."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.definition import Parameter, parse_definition
from airflow_sm_pipelines.exceptions import MigrationError
from airflow_sm_pipelines.migrate import (
    CallNode,
    CallWait,
    InputField,
    LoopNode,
    MissingNode,
    OperatorNode,
    ValueNode,
    make_package,
)
from tests.migrate.workflows import after, call, choice, fail, get, migration, score_of, step

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_sm_pipelines.migrate import Migration

LABEL = CallWait(
    "describe_labeling_job", {"LabelingJobName": "LabelingJobName"}, "LabelingJobStatus", ("Completed",), ("Failed",)
)


def everything() -> Migration:
    """One node of each kind, and each way in which a value passes from one to another."""
    operator = "airflow.providers.amazon.aws.operators.glue.GlueJobOperator"
    given = get("Parameters.Input")
    text = {"Std:Join": {"On": "/", "Values": ["{{x}}", score_of("Score"), get("Execution.PipelineExecutionId")]}}
    whole = migration(
        OperatorNode("Glue", "States.Glue", operator, {"job_name": "prep", "script_args": {"--in": given}}, (), 2, 60),
        step("Score", "Glue", rows=get("Tasks.Glue")),
        call("Tell", "Score", QueueUrl=get("Parameters.Queue"), MessageBody=text),
        step("Second", "Tell", score=score_of("Score"), id=get("Tasks.Tell.MessageId")),
        choice(
            "Check",
            "Second",
            ways={"0.9": (call("Good", MessageBody="good"),), "0.5": (), "else": (fail("Bad", message=given),)},
            value=score_of("Second"),
        ),
        step("Third", "Check", body=get("Tasks.Good.MD5OfMessageBody")),
        CallNode("Label", "States.Label", "sagemaker", "create_labeling_job", {"LabelingJobName": "l"}, (), LABEL),
        LoopNode(
            "Each",
            "States.Each",
            get("Tasks.Label.Items"),
            (choice("Test", ways={"1": (step("Inner"),), "else": ()}, value=get("ForEach.CurrentItem.size")),),
            3,
            after("Third"),
        ),
        call("Handler", "Each:Failed", MessageBody="failed"),
        MissingNode("Missing", "States.Missing", "Write this task.", after("Each")),
        parameters=(
            Parameter("Input", "String", "s3://bucket/in"),
            Parameter("Queue"),
            Parameter("Rate-Limit", "Float", 0.5, (0.5, 0.7)),
        ),
    )
    return replace(whole, workflow=replace(whole.workflow, timeout_seconds=7200.0, description="All kinds of nodes"))


def test_the_files_are_the_expected_ones(repository: Path) -> None:
    files = make_package(everything()).files
    folder = repository / "tests" / "data" / "migrate" / "everything"
    assert files == {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir() if path.name in files}
    assert next(iter(files)) == "flow.py"


def test_the_same_source_gives_the_same_files() -> None:
    assert make_package(everything()).files == make_package(everything()).files


def test_the_dag_file_is_formatted_as_a_formatter_leaves_it(tmp_path: Path) -> None:
    path = tmp_path / "flow.py"
    path.write_text(make_package(everything()).files["flow.py"], encoding="utf-8")
    for arguments in (["check", "--select", "E,F,I", "--ignore", "E501"], ["format", "--check"]):
        command = [sys.executable, "-m", "ruff", *arguments, "--isolated", "--line-length", "120", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_each_definition_is_one_that_sagemaker_takes() -> None:
    package = make_package(everything())
    assert package.findings == {"flow-Score": (), "flow-Second": (), "flow-Third": (), "flow-Each": ()}
    for name, text in package.files.items():
        if name.endswith(".definition.json"):
            parse_definition(text)


def test_a_migration_that_leaves_nothing_to_do_is_refused() -> None:
    with pytest.raises(MigrationError, match="Nothing of the test's own nodes is left to migrate"):
        make_package(migration())


@pytest.mark.parametrize("name", ["", "../flow", "my flow", ".flow", "flow/x", "x" * 201])
def test_a_name_that_no_dag_may_have_is_refused(name: str) -> None:
    with pytest.raises(MigrationError, match="cannot be the name of a DAG"):
        make_package(migration(step("A"), name=name))


def read_definition(package: Any, name: str = "flow") -> Any:
    """Give a definition of a package."""
    return json.loads(package.files[f"{name}.definition.json"])


def test_more_ways_than_two_are_conditions_in_conditions() -> None:
    check = choice("Check", ways={"0.9": (step("A"),), "0.5": (step("B"),), "else": (fail("F"),)})
    package = make_package(migration(check, parameters=(Parameter("Number", "Float", 1),)))
    (found,) = read_definition(package)["Steps"]
    assert [one["Name"] for one in found["Arguments"]["IfSteps"]] == ["A"]
    (second,) = found["Arguments"]["ElseSteps"]
    assert (second["Name"], second["Type"]) == ("Check-2", "Condition")
    assert [one["Name"] for one in second["Arguments"]["IfSteps"]] == ["B"]
    assert [one["Name"] for one in second["Arguments"]["ElseSteps"]] == ["F"]


def test_a_value_from_elsewhere_has_the_type_of_its_place() -> None:
    training = step("Train", "Ask")
    arguments: Any = {
        "ResourceConfig": {"InstanceCount": get("Tasks.Ask.Count"), "InstanceType": get("Tasks.Ask.Type")},
        "EnableNetworkIsolation": get("Tasks.Ask.IsIsolated"),
    }
    package = make_package(
        migration(
            call("Ask"),
            replace(training, type="Training", arguments=arguments, members={}),
            choice("Check", "Train", ways={"0.9": (), "else": (fail("F"),)}, value=get("Tasks.Ask.Score")),
        )
    )
    declared = {one["Name"]: one["Type"] for one in read_definition(package)["Parameters"]}
    assert declared == {
        "Ask-Count": "Integer",
        "Ask-Type": "String",
        "Ask-IsIsolated": "Boolean",
        "Ask-Score": "Float",
    }


def test_a_property_file_is_read_across_pipelines() -> None:
    read: Any = {"Std:JsonGet": {"PropertyFile": get("Steps.Evaluate.PropertyFiles.Metrics"), "Path": "rmse.value"}}
    package = make_package(migration(step("Evaluate"), call("Tell", "Evaluate"), step("Next", "Tell", rmse=read)))
    source = package.files["flow.py"]
    assert '"property_file": "Steps.Evaluate.PropertyFiles.Metrics"' in source
    assert '"path": "rmse.value"' in source
    assert read_definition(package, "flow-Next")["Steps"][0]["Arguments"] == {"rmse": get("Parameters.Evaluate-value")}


def test_a_handler_of_a_choice_runs_after_failures_only() -> None:
    check = choice("Check", "A", ways={"1": (step("B"),), "else": (step("C"),)}, value=score_of("A"))
    package = make_package(migration(step("A"), check, step("H", "Check:Failed")))
    source = package.files["flow.py"]
    assert "[run_b, run_c] >> deploy_h >> run_h" in source
    assert source.count('trigger_rule="one_failed"') == 1


def test_loops_are_steps_that_sagemaker_takes() -> None:
    inner = LoopNode("Inner", "States.Inner", [3, 4], (step("In", a=get("ForEach.CurrentItem")),))
    package = make_package(migration(LoopNode("Outer", "States.Outer", [1, 2], (inner,))))
    assert package.is_complete
    (found,) = read_definition(package)["Steps"]
    assert found["Arguments"]["ForEachBody"][0]["Arguments"] == {"a": get("ForEach.CurrentItem")}


def test_what_stands_in_a_loop_that_is_lost_is_lost() -> None:
    inner = LoopNode("Inner", "States.Inner", [1], (step("In"), call("Tell", "In")))
    loop = LoopNode("Each", "States.Each", [1], (call("First"), inner))
    package = make_package(migration(loop, call("Last", "Each")))
    expected = ["airflow", "translated", "unsupported", "unsupported", "unsupported", "translated"]
    assert [str(one.outcome) for one in package.migration.records] == expected


def test_a_loop_over_tasks_is_a_group_that_is_mapped() -> None:
    name = get("ForEach.CurrentItem.name")
    ways: Any = {"1": (call("Good", MessageBody=name),), "else": ()}
    work = (call("Send", MessageBody=name), step("Score", "Send", given=name))
    check = choice("Check", "Score", ways=ways, value=score_of("Score"))
    result = ValueNode("Kept", "States.Each", {"id": get("Tasks.Send.MessageId")}, after("Check"))
    loop = LoopNode("Each", "States.Each", get("Tasks.List.Found"), (*work, check, result), 2, after("List"), "Kept")
    read = call("Last", "Each", MessageBody=get("Tasks.Each[0].id"))
    package = make_package(migration(call("List"), loop, read))
    assert package.is_complete
    source = package.files["flow.py"]
    assert "each_each = repeat_each.expand(item=each_items)" in source
    assert "{{ ti.xcom_pull(task_ids='Each_items')[ti.map_index]['name'] }}" in source
    assert "{{ {'id': ti.xcom_pull(task_ids='Send', map_indexes=ti.map_index)['MessageId']} | tojson }}" in source
    assert "{{ ti.xcom_pull(task_ids='Each')[0]['id'] }}" in source
    assert source.count('pre_execute=only_if_chosen("Check")') == 1
    assert source.count("max_active_tis_per_dagrun=1,") == 1  # of the deploy task
    reads = read_definition(package)["Steps"][0]["Arguments"]
    assert reads == {"given": get("Parameters.name")}


def test_one_id_stands_for_the_run_in_all_pipelines() -> None:
    path: Any = {"Std:Join": {"On": "", "Values": ["s3://b/", get("Execution.PipelineExecutionId")]}}
    package = make_package(migration(step("A", path=path), call("Tell", "A", x=path), step("B", "Tell", path=path)))
    assert package.files["flow.py"].count("dag_run.run_after.strftime") == 3
    for name in ("flow-A", "flow-B"):
        (one,) = read_definition(package, name)["Steps"]
        assert one["Arguments"]["path"]["Std:Join"]["Values"][1] == get("Parameters.RunId")
    alone = read_definition(make_package(migration(step("A", path=path))))
    assert alone["Steps"][0]["Arguments"] == {"path": path}


def test_a_report_with_errors_is_not_complete() -> None:
    package = make_package(migration(replace(step("A"), type="Training", arguments={"Nonsense": 1}, members={})))
    assert package.migration.is_complete
    assert not package.is_complete
    assert json.loads(package.files["flow.report.json"])["complete"] is False


def test_a_structure_is_bound_before_the_definition_is_deployed() -> None:
    arguments: Any = {
        "HyperParameters": get("Input['params']"),
        "ResourceConfig": {"InstanceCount": get("Input['n']")},
    }
    found = migration(replace(step("Train"), type="Training", members={}, arguments=arguments))
    inputs = (InputField("params"), InputField("n", 2))
    package = make_package(replace(found, workflow=replace(found.workflow, inputs=inputs)))
    written = read_definition(package)["Steps"][0]["Arguments"]
    assert written == {"HyperParameters": "${params}", "ResourceConfig": {"InstanceCount": get("Parameters.n")}}
    source = package.files["flow.py"]
    assert 'bind_definition.override(task_id="bind")' in source
    assert """{"params": "{{ params['params'] | tojson }}"}""" in source
    assert '"params": Param(), "n": Param(2)' in source


def test_a_dag_with_a_schedule_has_a_value_for_each_param() -> None:
    found = migration(step("A", x=get("Parameters.Needed")), parameters=(Parameter("Needed", "Integer"),))
    scheduled = replace(found, workflow=replace(found.workflow, schedule="@daily"))
    assert 'Param(None, type=["null", "integer"])' in make_package(scheduled).files["flow.py"]
    assert 'Param(type="integer")' in make_package(found).files["flow.py"]


def test_the_role_of_all_jobs_is_the_role_of_the_pipeline() -> None:
    role = "arn:aws:iam::210987654321:role/jobs/Trainer"
    jobs = [replace(step(name), arguments={"RoleArn": role}) for name in ("A", "B")]
    assert f"('sagemaker_role_arn', '{role}')" in make_package(migration(*jobs)).files["flow.py"]
    other = replace(step("C"), arguments={"RoleArn": role + "2"})
    assert role not in make_package(migration(*jobs, other)).files["flow.py"]


def test_planning_speaks_in_the_report() -> None:
    check = choice("Check", ways={"0.9": (step("A"),), "else": ()})
    inner = LoopNode("Inner", "States.Inner", [1], (call("Send"),))
    loop = LoopNode("Each", "States.Each", [1], (inner,), 1, after("Next"))
    package = make_package(migration(check, step("Next", "Check"), parameters=(Parameter("Number", "Float", 1),)))
    (record,) = [one for one in package.migration.records if one.target == "Next"]
    assert (str(record.outcome), record.reasons[0].code) == ("approximated", "PLAN-COPY-001")
    package = make_package(migration(step("Next"), loop))
    (record,) = [one for one in package.migration.records if one.target == "Inner"]
    assert (str(record.outcome), record.reasons[0].code) == ("unsupported", "PLAN-LOOP-001")
    assert not package.migration.is_complete


@pytest.mark.parametrize("text", ["{{ params.x }}", "{% if x %}", "{# no #}"])
def test_text_that_looks_like_a_template_stays_text(text: str) -> None:
    source = make_package(migration(call("Tell", MessageBody=text))).files["flow.py"]
    assert f"\"{{{{ '{text}' }}}}\"" in source


def test_an_operator_of_any_package_is_imported() -> None:
    source = make_package(migration(OperatorNode("Own", "States.Own", "company.operators.Train", {}))).files["flow.py"]
    assert "\nfrom company.operators import Train\n" in source
    assert "own = Train(" in source

"""Deploy and start options: read by their own names, and refused in the same words wherever they are given."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import fields
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, get_args

import pytest

from airflow_sm_pipelines.cli.entry_point import main, make_parser, name_flags
from airflow_sm_pipelines.definition import parse_definition
from airflow_sm_pipelines.deployment.options import DeployOptions, resolve_path
from airflow_sm_pipelines.exceptions import ArgumentError, ParameterError
from airflow_sm_pipelines.option_reader import PolicyMode
from airflow_sm_pipelines.runs.start_request import StartOptions
from tests.airflow_fakes import DEFINITION, ROLE, aws_environment

if TYPE_CHECKING:
    from tests.airflow_fakes import FakeSageMaker
    from tests.airflow_runs import DagRunner

# What every way to deploy refuses before it reads the definition: the argument, the command's option, the words.
OPTIONS: dict[str, tuple[dict[str, Any], list[str], str]] = {
    "policy": ({"policy": "strict"}, ["--policy", "strict"], "policy='strict': expected one of 'enforce', 'apply'"),
    "apply": ({"policy": "apply"}, ["--policy", "apply"], "name its file with policy_file"),
    "steps": (
        {"max_parallel_steps": "many"},
        ["--max-parallel-steps", "many"],
        "max_parallel_steps='many': expected a whole number from 1.",
    ),
    "zero": ({"max_parallel_steps": 0}, ["--max-parallel-steps", "0"], "expected a whole number from 1."),
    "alias": ({"aliases": ["prod", "12"]}, ["--alias", "prod", "--alias", "12"], "aliases: '12' is no alias"),
}
# What is refused once the definition is read, and before anything is written.
DEFINITIONS: dict[str, tuple[dict[str, Any], list[str], str]] = {
    "gone": ({"policy_file": "gone.toml"}, ["--policy-file", "gone.toml"], "gone.toml cannot be read"),
    "team": ({"policy_file": "team.toml"}, ["--policy-file", "team.toml"], "does not ask for network isolation"),
    "role": ({"role_arn": ""}, ["--role-arn", ""], "role_arn is needed to create pipeline"),
}
POLICY = "[network]\nisolation = true\n"

DAG_FILE = """
import json
from pathlib import Path

from airflow.sdk import DAG, task
from airflow_sm_pipelines import SageMakerDeployPipelineOperator

FOLDER = Path(__file__).parent
OPTIONS, DEFINITIONS = json.loads((FOLDER / "cases.json").read_text())
ROLE = {"role_arn": "arn:aws:iam::123456789012:role/Sage"}

with DAG("refused", schedule=None, default_args={"retries": 3}):
    for name, given in {**OPTIONS, **DEFINITIONS}.items():
        SageMakerDeployPipelineOperator(
            task_id=f"operator-{name}", pipeline="train.json", pipeline_name="train", **{**ROLE, **given}
        )
    for name, given in OPTIONS.items():

        @task.sagemaker_pipeline(task_id=f"decorator-{name}", interpreter="no-python", **{**ROLE, **given})
        def get_pipeline():
            pass

        get_pipeline()
"""


def run_command(arguments: list[str], url: str, dag_runner: DagRunner) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "airflow_sm_pipelines.cli", *arguments],
        env={**dag_runner.environment, **aws_environment(url)},
        cwd=dag_runner.dags,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.slow
def test_the_operator_the_decorator_and_the_command_refuse_the_same_in_the_same_words(
    fake: FakeSageMaker, endpoint: tuple[FakeSageMaker, str], dag_runner: DagRunner
) -> None:
    cases = [{name: given for name, (given, _, _) in table.items()} for table in (OPTIONS, DEFINITIONS)]
    dag_runner.write("refused.py", DAG_FILE)
    dag_runner.write("cases.json", json.dumps(cases))
    dag_runner.write("team.toml", POLICY)
    dag_runner.write("train.json", json.dumps(DEFINITION))

    result = dag_runner.test("refused")

    assert set(result.states.values()) == {"failed"}, result.output[-4000:]
    for name, (_, flags, words) in {**OPTIONS, **DEFINITIONS}.items():
        told = result.output.count(words)
        assert told >= (2 if name in OPTIONS else 1), f"{name}: {result.output[-4000:]}"
        done = run_command(["run", "train.json", "--role-arn", ROLE, *flags], endpoint[1], dag_runner)
        assert (done.returncode, done.stdout) == (2, ""), done.stderr
        # The command names the option as it is typed; the rest of the sentence is the operator's.
        assert name_flags(words) in done.stderr
        assert "Traceback" not in done.stderr
    for flags, words in (
        (["-p", "MaxDept=1"], "Did you mean 'MaxDepth'"),
        (["--from-step", "Trian"], "Did you mean 'Train'"),
        (["--tag", "team"], "--tag 'team' is not NAME=VALUE"),
    ):
        done = run_command(["run", "train.json", "--role-arn", ROLE, *flags], endpoint[1], dag_runner)
        assert (done.returncode, done.stdout) == (2, ""), done.stderr
        assert words in done.stderr
    assert fake.pipelines == {}, "nothing was created"


def test_options_are_read_by_their_own_names_and_an_empty_template_is_not_given() -> None:
    source = SimpleNamespace(role_arn="", aliases=None, description="a", cost_tags={}, policy="warn", unrelated=1)
    options = DeployOptions.of(source, pipeline="p.json", folder="/dags", version_name="")
    assert options == DeployOptions("p.json", "/dags", description="a", cost_tags={}, policy="warn")


def test_every_wrong_option_is_named_at_once() -> None:
    options: Any = {"policy": "strict", "max_parallel_steps": True, "aliases": "prod", "tags": ["team=a"]}
    options |= {"compile_timeout_seconds": 0, "pipeline_name": "a b"}
    options |= {"script_args": "--name x", "script_env": {"STAGE": "test", "AWS_REGION": "r", "PYTHONPATH": "p"}}
    with pytest.raises(ArgumentError) as caught:
        DeployOptions("p.json", **options).check()
    assert str(caught.value).splitlines() == [
        "max_parallel_steps=True: expected a whole number from 1.",
        "compile_timeout_seconds=0: expected a number of seconds over 0.",
        (
            "pipeline_name='a b' is no pipeline name: expected letters, digits and '-', at most 256 characters. "
            "'a-b' would do."
        ),
        "policy='strict': expected one of 'enforce', 'apply', 'warn', 'off'.",
        "aliases='prod': expected a list of names, such as ['prod'].",
        "script_args='--name x': expected a list, such as ['--name', 'value'].",
        "script_env: a script is not given AWS_REGION, PYTHONPATH. It gets AWS's variables from the connection.",
        (
            "tags=['team=a']: expected values by name, such as {'team': 'risk'}, or AWS's list, such as "
            "[{'Key': 'team', 'Value': 'risk'}]."
        ),
    ]


def test_start_options_are_held_against_the_definition() -> None:
    definition = parse_definition(json.dumps(DEFINITION))
    StartOptions("train", parameters={"MaxDepth": "4"}, from_step="Train").check(definition)
    with pytest.raises(ParameterError, match="Did you mean 'MaxDepth'"):
        StartOptions("train", parameters={"MaxDept": "4"}).check(definition)
    with pytest.raises(ParameterError, match=r"has no step 'Trian'\. Did you mean 'Train'"):
        StartOptions("train", select_steps=["Trian"]).check(definition)
    with pytest.raises(ArgumentError, match="select_steps='Train': expected a list of names"):
        StartOptions("train", select_steps="Train").check(definition)


def test_options_for_deploying_are_refused_where_nothing_is_deployed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    assert (
        main(["run", "train", "--alias", "prod", "--policy-file", "team.toml", "--policy", "apply", "--no-cache"]) == 2
    )
    assert (
        "--alias, --policy apply, --no-cache: only for deploying, but there is no file 'train'"
        in capsys.readouterr().err
    )


def test_the_command_takes_every_option() -> None:
    parsed = vars(make_parser().parse_args(["run", "train.json"]))
    given_otherwise = {"pipeline", "folder", "is_run_in_folder"}
    assert {field.name for field in fields(DeployOptions)} - given_otherwise <= parsed.keys()
    assert {field.name for field in fields(StartOptions)} - {"is_one_template"} <= parsed.keys()


def test_the_operator_takes_every_option() -> None:
    from airflow_sm_pipelines import SageMakerDeployPipelineOperator, SageMakerRunPipelineOperator
    from airflow_sm_pipelines.decorators.sagemaker_pipeline import SageMakerPipelineFunctionOperator

    deploy = SageMakerDeployPipelineOperator(task_id="deploy", pipeline="p.json")
    run = SageMakerRunPipelineOperator(task_id="run", pipeline_name="p")
    set_by_task = {"folder", "is_run_in_folder"}
    assert {field.name for field in fields(DeployOptions)} - set_by_task <= vars(deploy).keys()
    assert {field.name for field in fields(StartOptions)} <= vars(run).keys()
    assert set(SageMakerDeployPipelineOperator.template_fields) - {"pipeline", "config"} <= set(
        SageMakerPipelineFunctionOperator.template_fields
    )


def test_the_help_of_run_names_every_policy_mode() -> None:
    (commands,) = (action for action in make_parser()._actions if isinstance(action, argparse._SubParsersAction))
    assert f"{{{','.join(get_args(PolicyMode))}}}" in commands.choices["run"].format_help().replace("\n", "")


def test_relative_paths_start_at_the_dag_files_folder() -> None:
    assert str(resolve_path("p/x.json", folder="/dags")) == "/dags/p/x.json"
    assert str(resolve_path("/abs/x.json", folder="/dags")) == "/abs/x.json"

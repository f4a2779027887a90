"""A team's defaults are filled in where the author chose nothing, and fit the calls."""

from __future__ import annotations

import json
from typing import Any

from airflow_sm_pipelines.definition import diff_definitions, parse_definition
from airflow_sm_pipelines.policy import check_definition, parse_policy, with_team_defaults
from tests.policy.found_lines import DATA

VPC = '[network]\nsubnets = ["subnet-1", "subnet-2"]\nsecurity_groups = ["sg-1"]\n'


def step(kind: str, arguments: Any, *, parameters: Any = ()) -> dict[str, Any]:
    return {"Parameters": list(parameters), "Steps": [{"Name": "S", "Type": kind, "Arguments": arguments}]}


def filled(policy: str, document: Any) -> Any:
    """The only step's arguments after filling in."""
    return with_team_defaults(parse_definition(document), parse_policy(policy)).steps[0].arguments


def test_filling_in_keeps_what_the_author_wrote() -> None:
    own = {
        "VpcConfig": {"Subnets": ["subnet-9"], "SecurityGroupIds": ["sg-9"]},
        "EnableNetworkIsolation": False,
        "Tags": [{"Key": "team", "Value": "mine"}],
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
    }
    policy = VPC + 'isolation = true\n[run_time]\nmax_seconds = 100\n[tags]\ndefaults = {team = "ours", cost = "1"}'
    assert filled(policy, step("Training", own)) == {
        **own,
        "Tags": [{"Key": "team", "Value": "mine"}, {"Key": "cost", "Value": "1"}],
    }


def test_a_run_time_above_the_limit_is_lowered_to_it() -> None:
    arguments = {"StoppingCondition": {"MaxRuntimeInSeconds": 86400}}
    assert filled("[run_time]\nmax_seconds = 100", step("Training", arguments)) == {
        "StoppingCondition": {"MaxRuntimeInSeconds": 100}
    }


def test_spot_comes_with_the_wait_that_the_service_demands() -> None:
    policy = "[spot]\nrequired = true\nmax_wait_seconds = 500\n[run_time]\nmax_seconds = 100"
    assert filled(policy, step("Training", {"StoppingCondition": None})) == {
        "EnableManagedSpotTraining": True,
        "StoppingCondition": {"MaxRuntimeInSeconds": 100, "MaxWaitTimeInSeconds": 500},
    }


def test_a_tuning_job_gets_its_network_inside_and_its_tags_outside() -> None:
    policy = VPC + '[tags]\ndefaults = {team = "ours"}'
    vpc = {"Subnets": ["subnet-1", "subnet-2"], "SecurityGroupIds": ["sg-1"]}
    assert filled(policy, step("Tuning", {"TrainingJobDefinition": {}})) == {
        "TrainingJobDefinition": {"VpcConfig": vpc},
        "Tags": [{"Key": "team", "Value": "ours"}],
    }


def test_what_is_filled_in_fits_the_calls_of_the_service() -> None:
    policy = VPC + (
        'isolation = true\ntraffic_encryption = true\n[encryption]\nvolume_keys = "alias/team"\n'
        'output_keys = "alias/team"\n[run_time]\nmax_seconds = 100\n[tags]\ndefaults = {team = "ours"}\n'
    )
    for name in ("diabetes_v2.json", "train_and_evaluate.json", "fan_out.json"):
        definition = parse_definition(json.loads((DATA / name).read_text()))
        applied = with_team_defaults(definition, parse_policy(policy))
        assert diff_definitions(definition, applied) != ()
        assert check_definition(applied) == check_definition(definition)

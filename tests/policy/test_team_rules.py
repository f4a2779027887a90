"""A team's policy finds what goes against it and says what to write instead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_sm_pipelines.definition import definition_hash, diff_definitions, parse_definition
from airflow_sm_pipelines.policy import (
    DEFAULT_RULES,
    Finding,
    Severity,
    check_definition,
    check_pipeline_role,
    load_policy,
    make_team_rule,
    parse_policy,
    with_team_defaults,
)

DATA = Path(__file__).parent.parent / "data" / "definitions"

VPC = '[network]\nsubnets = ["subnet-1", "subnet-2"]\nsecurity_groups = ["sg-1"]\n'


def step(kind: str, arguments: Any, *, parameters: Any = ()) -> dict[str, Any]:
    return {"Parameters": list(parameters), "Steps": [{"Name": "S", "Type": kind, "Arguments": arguments}]}


def findings_of(policy: str, document: Any) -> list[Finding]:
    return list(check_definition(parse_definition(document), rules=[make_team_rule(parse_policy(policy))]))


def messages_of(policy: str, document: Any) -> list[str]:
    return [f"{f.severity} {f.path}: {f.message} {f.fix}" for f in findings_of(policy, document)]


# The sample policy and the demo


def test_the_sample_policy_refuses_the_demo_for_more_than_five_reasons_and_passes_it_filled_in(
    repository: Path,
) -> None:
    definition = parse_definition((DATA / "diabetes_v2.json").read_text())
    policy = load_policy(repository / "dags" / "policies" / "team.toml")
    rules = (*DEFAULT_RULES, make_team_rule(policy))

    found = check_definition(definition, rules=rules)
    assert {finding.rule for finding in found if finding.severity is Severity.ERROR} == {
        "team-vpc",
        "team-isolation",
        "team-traffic-encryption",
        "team-volume-key",
        "team-output-key",
        "team-run-time",
        "team-tags",
        "team-instance-types",  # whoever starts it may choose
    }
    assert all(finding.fix for finding in found)

    applied = with_team_defaults(definition, policy)
    left = check_definition(applied, rules=rules)
    assert [finding.rule for finding in left if finding.severity is Severity.ERROR] == []
    assert applied.parameter("InstanceType").enum_values[:2] == ("ml.g5.xlarge", "ml.t3.medium"), "it is closed"
    assert {change.path.split(".")[1] for change in diff_definitions(definition, applied)} == {
        "InstanceType",
        "Preprocess",
        "Train",
        "Evaluate",
    }
    assert definition_hash(with_team_defaults(applied, policy)) == definition_hash(applied)


# Rules


@pytest.mark.parametrize(
    ("policy", "kind", "arguments", "expected"),
    [
        pytest.param(
            VPC,
            "Training",
            {},
            "error Steps[0].Arguments.VpcConfig: the Training step 'S' has no VPC: it would run outside of the team's "
            "VPC. In the SDK: subnets=[...], security_group_ids=[...] of the estimator, or let the deployment fill it "
            "in: policy='apply', --policy apply (network.subnets).",
            id="no network",
        ),
        pytest.param(
            VPC,
            "Model",
            {"VpcConfig": {"Subnets": ["subnet-1", "subnet-9"], "SecurityGroupIds": ["sg-1"]}},
            "error Steps[0].Arguments.VpcConfig.Subnets[1]: step 'S': the subnet 'subnet-9' is not allowed. "
            "Allowed are 'subnet-1', 'subnet-2' (network.subnets).",
            id="another team's subnet",
        ),
        pytest.param(
            "[network]\nisolation = true",
            "Training",
            {"EnableNetworkIsolation": False},
            "error Steps[0].Arguments.EnableNetworkIsolation: the Training step 'S' switches network isolation off. In "
            "the SDK: enable_network_isolation=True, or remove the argument and let the deployment fill it in "
            "(network.isolation).",
            id="isolation switched off",
        ),
        pytest.param(
            '[images]\nallowed = "1.dkr.ecr.*.amazonaws.com/team/*"',
            "Processing",
            {"AppSpecification": {"ImageUri": "docker.io/miner:latest"}},
            "error Steps[0].Arguments.AppSpecification.ImageUri: step 'S': the image 'docker.io/miner:latest' is not "
            "allowed. Allowed is '1.dkr.ecr.*.amazonaws.com/team/*' (images.allowed).",
            id="a foreign image",
        ),
        pytest.param(
            "[instances]\nmax_count = 2",
            "Tuning",
            {"TrainingJobDefinitions": [{"ResourceConfig": {"InstanceCount": 8}}]},
            "error Steps[0].Arguments.TrainingJobDefinitions[0].ResourceConfig.InstanceCount: the Tuning step 'S' may "
            "take 8 instances; allowed are 2. Ask for 2 or fewer (instances.max_count).",
            id="too many instances inside a tuning job",
        ),
        pytest.param(
            "[spot]\nrequired = true",
            "Training",
            {},
            "error Steps[0].Arguments.EnableManagedSpotTraining: the Training step 'S' does not ask for spot "
            "instances. In the SDK: use_spot_instances=True, or let the deployment fill it in: policy='apply', "
            "--policy apply (spot.required).",
            id="no spot",
        ),
        pytest.param(
            '[tags]\nrequired = ["team", "cost"]',
            "Endpoint",
            {"Tags": [{"Key": "team", "Value": "a"}]},
            "error Steps[0].Arguments.Tags: the Endpoint step 'S' lacks the tag 'cost'. In the SDK: tags=[...], or let "
            "the deployment fill it in: policy='apply', --policy apply (tags.required).",
            id="a tag is missing",
        ),
        pytest.param(
            '[s3]\nbuckets = "team-*"',
            "Processing",
            {"A": {"Std:Join": {"On": "/", "Values": ["s3:/", "other", {"Get": "Execution.PipelineName"}]}}},
            "error Steps[0].Arguments.A: step 'S' names the bucket 'other', which is not one of the team's. Allowed "
            "are 'team-*' (s3.buckets).",
            id="a foreign bucket in a join",
        ),
        pytest.param(
            '[s3]\nbuckets = "team-*"',
            "Processing",
            {
                "A": {
                    "Std:Join": {
                        "On": "",
                        "Values": ["https://other.s3.eu-west-1.amazonaws.com/", {"Get": "Execution.PipelineName"}],
                    }
                }
            },
            "error Steps[0].Arguments.A: step 'S' names the bucket 'other', which is not one of the team's. Allowed "
            "are 'team-*' (s3.buckets).",
            id="a foreign bucket in a URL of S3",
        ),
        pytest.param(
            "[s3]\npublic = false",
            "Training",
            {"A": [{"S3Uri": "s3://sagemaker-sample-files/x"}]},
            "error Steps[0].Arguments.A[0].S3Uri: step 'S' reads from 'sagemaker-sample-files', a public bucket that "
            "others may change. Copy the data to a bucket of the team (s3.public).",
            id="public data",
        ),
    ],
)
def test_a_finding_says_where_what_and_how_to_mend_it(policy: str, kind: str, arguments: Any, expected: str) -> None:
    assert messages_of(policy, step(kind, arguments)) == [expected]


@pytest.mark.parametrize(
    ("policy", "kind", "arguments"),
    [
        (VPC, "Lambda", {}),
        (VPC, "Transform", {"TransformResources": {}}),
        ('[encryption]\noutput_keys = "k"', "Processing", {}),
        ('[encryption]\nvolume_keys = "k"', "Training", {"ResourceConfig": {"InstanceType": "ml.g5.xlarge"}}),
        ('[tags]\nrequired = "team"', "RegisterModel", {}),
        ('[roles]\nallowed = "x"', "Training", {}),
        ("[network]\nisolation = true", "Training", {"EnableNetworkIsolation": True}),
        ('[s3]\nbuckets = "team-*"', "Training", {"A": {"Get": "Execution.PipelineName"}, "B": "s3://team-a/x"}),
    ],
)
def test_what_a_rule_does_not_reach_passes(policy: str, kind: str, arguments: Any) -> None:
    document = step(kind, arguments)
    if kind == "Lambda":
        document["Steps"][0]["FunctionArn"] = "arn:aws:lambda:us-east-1:123456789012:function:f"
    assert messages_of(policy, document) == []
    assert (
        diff_definitions(
            parse_definition(document), with_team_defaults(parse_definition(document), parse_policy(policy))
        )
        == ()
    ), "and nothing is filled in"


@pytest.mark.parametrize(
    ("parameter", "severities"),
    [
        ({"DefaultValue": "ml.m5.large"}, ["error"]),
        ({"DefaultValue": "ml.p4d.24xlarge"}, ["error", "error"]),
        ({"DefaultValue": "ml.m5.large", "EnumValues": ["ml.m5.large", "ml.m5.xlarge"]}, []),
        ({"EnumValues": ["ml.m5.large", "ml.p4d.24xlarge"]}, ["error"]),
    ],
    ids=["open", "a refused default", "closed", "a refused choice"],
)
def test_a_parameter_is_checked_by_what_it_allows(parameter: Any, severities: list[str]) -> None:
    document = step(
        "Training",
        {"ResourceConfig": {"InstanceType": {"Get": "Parameters.Type"}}},
        parameters=[{"Name": "Type", "Type": "String", **parameter}],
    )
    found = findings_of('[instances]\nallowed = "ml.m5.*"', document)
    assert [finding.severity.value for finding in found] == severities


def test_an_exception_leaves_its_steps_alone() -> None:
    policy = '[network]\nisolation = true\n[[exceptions]]\nrule = "team-isolation"\nstep = "Down*"\nreason = "loads"'
    document = {"Steps": [{"Name": name, "Type": "Training", "Arguments": {}} for name in ("Download", "Train")]}
    assert [finding.path for finding in findings_of(policy, document)] == ["Steps[1].Arguments.EnableNetworkIsolation"]
    steps = with_team_defaults(parse_definition(document), parse_policy(policy)).steps
    assert [step.arguments for step in steps] == [{}, {"EnableNetworkIsolation": True}]


def test_steps_in_branches_and_bodies_are_held_to_the_policy() -> None:
    inner = {"Name": "Inner", "Type": "Training", "Arguments": {}}
    body = {"Name": "Body", "Type": "Training", "Arguments": {}}
    document = {
        "Steps": [
            {"Name": "C", "Type": "Condition", "Arguments": {"Conditions": [], "IfSteps": [inner], "ElseSteps": []}},
            {
                "Name": "E",
                "Type": "ForEach",
                "Arguments": {"IterableItems": [1], "MaxConcurrency": 1, "ForEachBody": [body]},
            },
        ]
    }
    policy = "[network]\nisolation = true"
    assert [finding.path for finding in findings_of(policy, document)] == [
        "Steps[0].Arguments.IfSteps[0].Arguments.EnableNetworkIsolation",
        "Steps[1].Arguments.ForEachBody[0].Arguments.EnableNetworkIsolation",
    ]
    applied = with_team_defaults(parse_definition(document), parse_policy(policy))
    assert check_definition(applied, rules=[make_team_rule(parse_policy(policy))]) == ()


def test_the_role_of_the_pipeline_itself_is_held_to_the_policy() -> None:
    policy = parse_policy('[roles]\nallowed = "arn:aws:iam::123456789012:role/SageMaker*"')
    assert check_pipeline_role("arn:aws:iam::123456789012:role/SageMakerTeam", policy) == ()
    assert check_pipeline_role(None, policy) == ()
    (finding,) = check_pipeline_role("arn:aws:iam::123456789012:role/Admin", policy)
    assert (finding.rule, finding.severity) == ("team-roles", Severity.ERROR)
    assert "role/Admin' is not allowed" in finding.message

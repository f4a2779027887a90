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
    shape_kinds,
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


# What a value can be

BOUND = '[s3]\nbuckets = "team-*"\n[instances]\nallowed = "ml.m5.*"\n[accounts]\nallowed = "123456789012"\n'


def processing(name: str, **arguments: Any) -> dict[str, Any]:
    return {"Name": name, "Type": "Processing", "Arguments": arguments}


def output_at(uri: Any) -> dict[str, Any]:
    output = {"OutputName": "train", "S3Output": {"S3Uri": uri, "LocalPath": "/o", "S3UploadMode": "EndOfJob"}}
    return {"ProcessingOutputConfig": {"Outputs": [output]}}


def input_from(uri: Any) -> dict[str, Any]:
    return {"ProcessingInputs": [{"InputName": "i", "S3Input": {"S3Uri": uri, "LocalPath": "/i"}}]}


@pytest.mark.parametrize(
    ("written", "rules"),
    [
        ("s3://team-data/x", []),
        ("s3://other/x", ["team-s3", "team-s3"]),
        ({"Std:Join": {"On": "/", "Values": ["s3:/", "team-data", {"Get": "Execution.PipelineExecutionId"}]}}, []),
        ({"Std:Join": {"On": "", "Values": ["s3://team", {"Get": "Execution.PipelineExecutionId"}]}}, ["team-s3"] * 2),
    ],
    ids=["a literal", "another bucket", "known up to its bucket", "a bucket with an unknown end"],
)
def test_what_a_step_writes_is_known_to_the_step_that_reads_it(written: Any, rules: list[str]) -> None:
    read = {"Get": "Steps.A.ProcessingOutputConfig.Outputs['train'].S3Output.S3Uri"}
    document = {"Steps": [processing("A", **output_at(written)), processing("B", **input_from(read))]}
    assert [finding.rule for finding in findings_of(BOUND, document)] == rules


def test_what_a_request_claims_of_an_answer_is_not_believed() -> None:
    claim = processing("A", ExitMessage="arn:aws:iam::123456789012:role/x")
    document = {"Steps": [claim, processing("B", RoleArn={"Get": "Steps.A.ExitMessage"})]}
    found = findings_of('[roles]\nallowed = "*"', document)
    assert ["Steps.A.ExitMessage" in finding.fix for finding in found] == [True]


def test_a_model_lies_below_the_output_of_its_training() -> None:
    model = {"Get": "Steps.T.ModelArtifacts.S3ModelArtifacts"}
    for bucket, expected in (("team-data", 0), ("other", 2)):
        train = {
            "Name": "T",
            "Type": "Training",
            "Arguments": {"OutputDataConfig": {"S3OutputPath": f"s3://{bucket}/m"}},
        }
        create = {"Name": "M", "Type": "Model", "Arguments": {"PrimaryContainer": {"ModelDataUrl": model}}}
        assert len(findings_of(BOUND, {"Steps": [train, create]})) == expected


@pytest.mark.parametrize(
    ("allowed", "count"),
    [("Steps.L.OutputParameters['uri']", 0), ("Steps.L.*", 0), ("Steps.X.*", 1), ("Parameters.*", 1)],
)
def test_what_is_not_known_may_be_allowed_by_name(allowed: str, count: int) -> None:
    function = {
        "Name": "L",
        "Type": "Lambda",
        "FunctionArn": "arn:aws:lambda:us-east-1:123456789012:function:f",
        "Arguments": {},
        "OutputParameters": [{"OutputName": "uri", "OutputType": "String"}],
    }
    document = {"Steps": [function, processing("B", **input_from({"Get": "Steps.L.OutputParameters['uri']"}))]}
    policy = f'{BOUND}[unknown]\nallowed = "{allowed}"\n'
    found = findings_of(policy, document)
    assert len(found) == count
    assert all("unknown.allowed of the policy: 'Steps.L.OutputParameters.uri'" in finding.fix for finding in found)


def test_too_many_alternatives_are_not_known() -> None:
    names = [f"P{index}" for index in range(6)]
    parameters = [
        {"Name": name, "Type": "String", "DefaultValue": "a", "EnumValues": ["a", "b", "c", "d"]} for name in names
    ]
    uri = {"Std:Join": {"On": "", "Values": ["s3://team-", *({"Get": f"Parameters.{name}"} for name in names)]}}
    document = {"Parameters": parameters, "Steps": [processing("B", **input_from(uri))]}
    (finding,) = findings_of(BOUND, document)
    assert "whoever starts the pipeline may choose any bucket" in finding.message


def test_the_items_of_a_loop_are_all_looked_at() -> None:
    body = {
        "Name": "T",
        "Type": "Training",
        "Arguments": {"ResourceConfig": {"InstanceType": {"Get": "ForEach.CurrentItem.type"}}},
    }
    items: list[Any] = [{"type": "ml.m5.large"}, {"type": "ml.p4d.24xlarge"}]
    arguments = {"IterableItems": items, "MaxConcurrency": 1, "ForEachBody": [body]}
    document = {"Steps": [{"Name": "F", "Type": "ForEach", "Arguments": arguments}]}
    (finding,) = findings_of(BOUND, document)
    assert "'ml.p4d.24xlarge'" in finding.message


def test_a_step_type_that_nobody_knows_is_refused_unless_an_exception_lets_it_pass() -> None:
    document = {"Steps": [{"Name": "S", "Type": "training", "Arguments": {"ResourceConfig": {}}}]}
    assert [finding.rule for finding in findings_of("", document)] == ["team-unplaced"]
    exception = '[[exceptions]]\nrule = "team-unplaced"\nstep = "S"\nreason = "tried"'
    assert findings_of(exception, document) == []


def test_a_member_that_the_table_does_not_place_is_refused_where_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = {name: kind for name, kind in shape_kinds.SHAPE_KINDS.items() if name != "DirectoryPath"}
    monkeypatch.setattr(shape_kinds, "SHAPE_KINDS", kinds)
    unused = step("Training", {"RoleArn": "r"})
    used = step("Training", {"CheckpointConfig": {"S3Uri": "s3://b", "LocalPath": "/opt/ml/checkpoints"}})
    assert findings_of("", unused) == []
    assert [finding.path for finding in findings_of("", used)] == ["Steps[0].Arguments.CheckpointConfig.LocalPath"]


# Closing parameters


def test_an_open_parameter_is_closed_with_what_the_policy_allows() -> None:
    arguments = {
        "RoleArn": {"Get": "Parameters.Role"},
        "ResourceConfig": {"InstanceType": {"Get": "Parameters.Type"}, "VolumeKmsKeyId": {"Get": "Parameters.Key"}},
    }
    names = {"Role": "role/a", "Type": "ml.m5.large", "Key": "k1"}
    parameters = [{"Name": name, "Type": "String", "DefaultValue": value} for name, value in names.items()]
    policy = parse_policy(
        '[roles]\nallowed = "role/*"\n[instances]\nallowed = ["ml.m5.large", "ml.m5.?xlarge"]\n'
        '[encryption]\nvolume_keys = ["k1", "k2"]'
    )
    closed = with_team_defaults(parse_definition(step("Training", arguments, parameters=parameters)), policy)
    assert closed.parameter("Type").enum_values == ("ml.m5.large", "ml.m5.2xlarge", "ml.m5.4xlarge")
    assert closed.parameter("Key").enum_values == ("k1", "k2")
    assert closed.parameter("Role").enum_values == (), "what a pattern allows cannot be listed"
    found = check_definition(closed, rules=[make_team_rule(policy)])
    assert [finding.rule for finding in found] == ["team-roles"]


def test_a_star_in_a_registry_stands_for_no_slash() -> None:
    policy = '[images]\nallowed = "*.dkr.ecr.*.amazonaws.com/sagemaker-*"'
    for image, count in (
        ("683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1", 0),
        ("evil.example/a.dkr.ecr.b.amazonaws.com/sagemaker-xgboost", 1),
    ):
        assert len(findings_of(policy, step("Processing", {"AppSpecification": {"ImageUri": image}}))) == count

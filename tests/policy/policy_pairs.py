"""Pairs of definitions from every governed member of every type of step: one keeps a policy, one breaks one key of it.

``python -m tests.policy.policy_pairs`` (``make evasions``) judges all of them and tells what got through and what was
refused without a reason. The judge of what a member means is its name here, not the package's table of shapes; shapes
are only walked to find the members.
"""

from __future__ import annotations

import copy
import json
import sys
from collections import Counter
from dataclasses import dataclass, field
from itertools import count, pairwise
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.definition import parse_definition
from airflow_sm_pipelines.policy import check_definition, make_team_rule, parse_policy
from airflow_sm_pipelines.service_model import LINEAGE_CALLS, STEP_CALLS, load_service_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from airflow_sm_pipelines.service_model import Shape

KEY = "arn:aws:kms:us-east-1:123456789012:key/good"
ROLE = "arn:aws:iam::123456789012:role/SageMakerTeam"
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/train:1"
POLICY = f"""
[network]
subnets = ["subnet-1", "subnet-2"]
security_groups = ["sg-1"]
isolation = true
traffic_encryption = true
[encryption]
volume_keys = "{KEY}"
output_keys = "{KEY}"
[roles]
allowed = "arn:aws:iam::123456789012:role/SageMaker*"
[accounts]
allowed = "123456789012"
[instances]
allowed = "ml.m5.*"
max_count = 4
max_volume_gb = 100
[run_time]
max_seconds = 3600
[spot]
required = true
max_wait_seconds = 7200
[training]
remote_debug = false
max_keep_alive_seconds = 60
[tags]
required = ["team"]
[images]
allowed = "123456789012.dkr.ecr.*.amazonaws.com/team/*"
[s3]
public = false
buckets = "team-*"
"""
NAMED = '[unknown]\nallowed = ["Parameters.Open", "Steps.Ask.OutputParameters*", "Steps.Ask.PropertyFiles.F"]\n'
TEAM = parse_policy(POLICY)
TEAM_BY_NAME = parse_policy(POLICY + NAMED)


@dataclass(frozen=True)
class Values:
    """What members of some names may hold.

    :param rule: the name of the rule that the bad ones break.
    """

    rule: str
    good: tuple[Any, ...]
    bad: tuple[Any, ...]


S3_GOOD = ("s3://team-data/a/b", "https://team-data.s3.us-east-1.amazonaws.com/a/b")
S3_BAD = (
    "s3://other/a/b",
    "s3://team",
    "https://other.s3.us-east-1.amazonaws.com/a",
    "https://s3.us-east-1.amazonaws.com/other/a",
    "https://other.s3.dualstack.us-east-1.amazonaws.com/a",
    "s3://jumpstart-cache-prod/a",
)
TEXTS = Values(
    "team-s3",
    ("--out=s3://team-data/x", '{"in": "s3://team-data/x"}', "plain"),
    (
        "s3://other/x",
        "--out=s3://other/x",
        "cp s3://team-data/a s3://other/b",
        '{"in": {"uri": "s3:\\/\\/other\\/x"}}',
        "https://other.s3.amazonaws.com/x",
        "s3a://other/x",
    ),
)
ARNS = Values(
    "team-accounts",
    ("arn:aws:sagemaker:us-east-1:123456789012:thing/x", "thing"),
    ("arn:aws:sagemaker:us-east-1:999999999999:thing/x",),
)
_TRUE = (True,)
_NAMES: dict[str, Values] = {
    "RoleArn ExecutionRoleArn ValidationRole ClusterRoleArn": Values(
        "team-roles", (ROLE,), ("arn:aws:iam::999999999999:role/SageMakerTeam", "arn:aws:iam::123456789012:role/Admin")
    ),
    "VolumeKmsKeyId": Values("team-volume-key", (KEY,), (f"{KEY}x", "alias/other")),
    "KmsKeyId": Values("team-output-key", (KEY,), (f"{KEY}x", "alias/other")),
    "ImageUri TrainingImage RuleEvaluatorImage Image": Values(
        "team-images",
        (IMAGE,),
        (
            "docker.io/miner",
            "evil.example/123456789012.dkr.ecr.us-east-1.amazonaws.com/team/x",
            "999999999999.dkr.ecr.us-east-1.amazonaws.com/team/x",
        ),
    ),
    "InstanceType SelectedInstanceType": Values(
        "team-instance-types", ("ml.m5.large",), ("ml.p4d.24xlarge", "ML.M5.LARGE")
    ),
    "InstanceCount SelectedInstanceCount InitialInstanceCount MaxInstanceCount MinInstanceCount": Values(
        "team-instance-count", (1, 4, "4"), (5, 100, "100", "many")
    ),
    "VolumeSizeInGB": Values("team-volume-size", (1, "100"), (101, "1000", 1e6)),
    "MaxRuntimeInSeconds MaxAutoMLJobRuntimeInSeconds MaxRuntimePerTrainingJobInSeconds": Values(
        "team-run-time", (60, "3600"), (3601, "999999")
    ),
    "MaxWaitTimeInSeconds": Values("team-spot", (7200,), (7201, "99999")),
    "KeepAlivePeriodInSeconds": Values("team-keep-alive", (0, 60), (61, "3600")),
    "EnableRemoteDebug EnableSSMAccess": Values("team-remote-debug", (False,), (True, "true", 1)),
    "EnableNetworkIsolation": Values("team-isolation", _TRUE, (False, "True", 1, "false")),
    "EnableInterContainerTrafficEncryption": Values("team-traffic-encryption", _TRUE, (False, "true", 0)),
    "EnableManagedSpotTraining": Values("team-spot", _TRUE, (False, 1)),
    "Subnets": Values("team-vpc", ("subnet-1", "subnet-2"), ("subnet-9",)),
    "SecurityGroupIds": Values("team-vpc", ("sg-1",), ("sg-9", "sg-11")),
    "S3Uri S3OutputPath OutputS3Uri DestinationS3Uri ModelDataUrl ManifestS3Uri SamplePayloadUrl ArtifactUrl "
    "ShapBaselineUri FeatureSpecificationS3Uri S3FailurePath": Values("team-s3", S3_GOOD, S3_BAD),
    "ModelPackageName AlgorithmName HubContentArn TrainingPlanArn TrainingPlanArns MlReservationArn ErrorTopic "
    "SuccessTopic RepositoryCredentialsProviderArn TrainingRepositoryCredentialsProviderArn EvaluatorArn BaseModelArn "
    "DatasetArn MlflowResourceArn SourceModelPackageArn ModelPackageGroupArn ModelPackageGroupName": ARNS,
    "Environment HyperParameters StaticHyperParameters RuleParameters ProfilingParameters CollectionParameters "
    "HookParameters ContainerArguments ContainerEntrypoint QueryString SourceUri JobConfigDocument "
    "ModelCardContent": TEXTS,
}
BY_NAME: dict[str, Values] = {name: values for names, values in _NAMES.items() for name in names.split()}
FREE_PLACES = (
    ("ModelPackageName",),  # of a new package: a plain name
    ("HyperParameterTuningJobConfig", "ResourceLimits", "MaxRuntimeInSeconds"),  # of the whole search
)
DEMANDED: dict[str, Any] = {
    "VolumeKmsKeyId": KEY,
    "KmsKeyId": KEY,
    "EnableNetworkIsolation": True,
    "EnableInterContainerTrafficEncryption": True,
    "EnableManagedSpotTraining": True,
    "VpcConfig": {"Subnets": ["subnet-1"], "SecurityGroupIds": ["sg-1"]},
    "MaxRuntimeInSeconds": 60,
    "MaxAutoMLJobRuntimeInSeconds": 60,
}
MADE = ("NetworkConfig", "StoppingCondition", "AutoMLJobConfig", "SecurityConfig", "CompletionCriteria")
TAGS = [{"Key": "team", "Value": "risk"}]
WITHOUT_TAGS = ("RegisterModel", "Lineage")

Path = tuple["str | int", ...]


@dataclass
class Member:
    """A governed place of a step type.

    :param path: from the step, so ``("Arguments", "RoleArn")``.
    """

    step_type: str
    path: Path
    values: Values


@dataclass
class Case:
    """One definition and what the policy should say of it.

    :param rule: what it breaks; empty for one that keeps everything.
    """

    title: str
    document: Any
    rule: str
    by_name: bool = False
    given: dict[str, Any] | None = None


# --- the members ------------------------------------------------------------------------------------------------------


def iter_members() -> Iterator[Member]:
    """Every governed member of every step type."""
    model = load_service_model()
    for step_type, call in STEP_CALLS.items():
        if call.operation in model.operation_names:
            for path in _iter_leaves(model.get_request_shape(call.operation), ()):
                yield from _find_member(step_type, path)
    for key, call in LINEAGE_CALLS.items():
        for path in _iter_leaves(model.get_request_shape(call.operation), (key, 0)):
            yield from _find_member("Lineage", path)
    for step_type, place, values in WRITTEN:
        yield Member(step_type, place, values)


def _iter_leaves(shape: Shape, path: Path) -> Iterator[Path]:
    if shape.type_name == "structure":
        for name, member in shape.members.items():
            yield from _iter_leaves(member, (*path, name))
    elif shape.type_name == "list":
        yield from _iter_leaves(shape.member, (*path, 0))
    elif shape.type_name == "map":
        yield from _iter_leaves(shape.value, (*path, "k"))
    else:
        yield path


def _find_member(step_type: str, path: Path) -> Iterator[Member]:
    names = [part for part in path if isinstance(part, str)]
    name = names[-2] if names[-1] == "k" and len(names) > 1 else names[-1]
    values = BY_NAME.get(name)
    if values is None or path in FREE_PLACES:
        return
    if step_type == "EndpointConfig" and path == ("KmsKeyId",):
        values = BY_NAME["VolumeKmsKeyId"]
    yield Member(step_type, ("Arguments", *path), values)


_EMR = ("Arguments", "ClusterConfig")
WRITTEN: tuple[tuple[str, Path, Values], ...] = (
    ("Lambda", ("FunctionArn",), ARNS),
    ("Lambda", ("Arguments", "input"), TEXTS),
    ("Lambda", ("Arguments", "nested", "deep"), TEXTS),
    ("Callback", ("SqsQueueUrl",), Values(
        "team-accounts",
        ("https://sqs.us-east-1.amazonaws.com/123456789012/q",),
        ("https://sqs.us-east-1.amazonaws.com/999999999999/q", "https://example.com/q"),
    )),
    ("Callback", ("Arguments", "input"), TEXTS),
    ("QualityCheck", ("SuppliedBaselineStatistics",), Values("team-s3", S3_GOOD, S3_BAD)),
    ("ClarifyCheck", ("SuppliedBaselineConstraints",), Values("team-s3", S3_GOOD, S3_BAD)),
    ("EMR", ("Arguments", "StepConfig", "HadoopJarStep", "Jar"), TEXTS),
    ("EMR", ("Arguments", "StepConfig", "HadoopJarStep", "Args", 0), TEXTS),
    ("EMR", (*_EMR, "Instances", "InstanceGroups", 0, "InstanceType"), BY_NAME["InstanceType"]),
    ("EMR", (*_EMR, "Instances", "InstanceGroups", 0, "InstanceCount"), BY_NAME["InstanceCount"]),
    ("EMR", (*_EMR, "Instances", "Ec2SubnetId"), BY_NAME["Subnets"]),
    ("EMR", (*_EMR, "ServiceRole"), BY_NAME["RoleArn"]),
    ("EMR", (*_EMR, "LogUri"), Values("team-s3", S3_GOOD, S3_BAD)),
    ("EMRServerless", ("Arguments", "ExecutionRoleArn"), BY_NAME["RoleArn"]),
    ("EMRServerless", ("Arguments", "JobConfig", "executionRoleArn"), BY_NAME["RoleArn"]),
    ("EMRServerless", ("Arguments", "JobConfig", "jobDriver", "sparkSubmit", "entryPointArguments", 0), TEXTS),
    ("Athena", ("Arguments", "QueryString"), TEXTS),
    ("Athena", ("Arguments", "ResultConfiguration", "OutputLocation"), Values("team-s3", S3_GOOD, S3_BAD)),
    ("BedrockCustomModel", ("Arguments", "roleArn"), BY_NAME["RoleArn"]),
    ("BedrockCustomModel", ("Arguments", "customModelKmsKeyId"), BY_NAME["KmsKeyId"]),
    ("BedrockCustomModel", ("Arguments", "trainingDataConfig", "s3Uri"), Values("team-s3", S3_GOOD, S3_BAD)),
    ("Cleanup", ("Arguments", "Resources", "S3", 0, "S3Uris", 0), Values("team-s3", S3_GOOD, S3_BAD)),
)  # fmt: skip
"""Members of step types without a shape, and of what stands beside the arguments."""


# --- the documents ----------------------------------------------------------------------------------------------------


def make_step(member: Member, value: Any) -> dict[str, Any]:
    """A step that keeps the policy in everything but this value."""
    step: dict[str, Any] = {"Name": "S", "Type": member.step_type, "Arguments": {}}
    call = STEP_CALLS.get(member.step_type)
    shape = load_service_model().get_request_shape(call.operation) if call else None
    if member.step_type not in WITHOUT_TAGS and call is not None:
        step["Arguments"]["Tags"] = copy.deepcopy(TAGS)
    if member.step_type == "EndpointConfig":
        step["Arguments"]["ExecutionRoleArn"] = ROLE
    put(step, member.path, value)
    if shape is not None:
        _fill(shape, step["Arguments"], is_root=True)
    return step


def put(root: Any, path: Path, value: Any) -> None:
    """Set a value, making what is on the way."""
    here = root
    for part, following in pairwise(path):
        empty: Any = [] if isinstance(following, int) else {}
        if isinstance(part, int):
            if len(here) <= part:
                here.append(empty)
            here = here[part]
        else:
            here = here.setdefault(part, empty)
    if isinstance(path[-1], int):
        here.append(value)
    else:
        here[path[-1]] = value


def _fill(shape: Shape, value: Any, *, is_root: bool = False) -> None:
    """Write what a policy demands into every structure that is there."""
    if shape.type_name == "structure" and isinstance(value, dict):
        for name, member in shape.members.items():
            if (
                name in DEMANDED
                and name not in value
                and (name, shape.name) != ("MaxRuntimeInSeconds", "ResourceLimits")
            ):
                value[name] = copy.deepcopy(DEMANDED[name])
            elif name in MADE and name not in value:
                value[name] = {}
            if name in value:
                _fill(member, value[name])
        if "Subnets" in shape.members:
            value.setdefault("Subnets", ["subnet-1"])
            value.setdefault("SecurityGroupIds", ["sg-1"])
    elif shape.type_name == "list" and isinstance(value, list):
        for item in value:
            _fill(shape.member, item)


ASK = {
    "Name": "Ask",
    "Type": "Processing",
    "Arguments": {},
    "PropertyFiles": [{"PropertyFileName": "F", "OutputName": "o", "FilePath": "f.json"}],
}
ASK_LAMBDA = {
    "Name": "Ask",
    "Type": "Lambda",
    "FunctionArn": "arn:aws:lambda:us-east-1:123456789012:function:f",
    "Arguments": {},
    "OutputParameters": [{"OutputName": "x", "OutputType": "String"}],
}


def document(*steps: Any, parameters: Any = ()) -> dict[str, Any]:
    return {"Version": "2020-12-01", "Parameters": list(parameters), "Steps": list(steps)}


def parameter(name: str, value: Any, **more: Any) -> dict[str, Any]:
    kinds = {bool: "Boolean", int: "Integer", float: "Float", str: "String"}
    return {"Name": name, "Type": kinds[type(value)], "DefaultValue": value, **more}


def get(text: str) -> dict[str, str]:
    return {"Get": text}


def join(*values: Any, on: str = "") -> dict[str, Any]:
    return {"Std:Join": {"On": on, "Values": list(values)}}


def condition(*, then: Any = (), otherwise: Any = ()) -> dict[str, Any]:
    conditions = [{"Type": "Equals", "LeftValue": 1, "RightValue": 1}]
    arguments = {"Conditions": conditions, "IfSteps": list(then), "ElseSteps": list(otherwise)}
    return {"Name": "C", "Type": "Condition", "Arguments": arguments}


def loop(step: Any, items: Any) -> dict[str, Any]:
    return {
        "Name": "F",
        "Type": "ForEach",
        "Arguments": {"IterableItems": items, "MaxConcurrency": 1, "ForEachBody": [step]},
    }


@dataclass
class Way:
    """One way to write a value.

    :param make: the document, from the member and the value.
    :param fits: whether the value can be written so.
    """

    name: str
    make: Callable[[Member, Any], Any]
    fits: Callable[[Any], bool] = field(default=lambda value: True)
    by_name: bool = False
    is_given: bool = False


def _text(value: Any) -> bool:
    return isinstance(value, str) and len(value) > 2


def _with_parameter(member: Member, value: Any, **more: Any) -> Any:
    return document(make_step(member, get("Parameters.Open")), parameters=[parameter("Open", value, **more)])


def _joined(make: Callable[[str], Any]) -> Callable[[Member, Any], Any]:
    return lambda member, value: document(make_step(member, make(value)))


def _join_with_enum(member: Member, value: str) -> Any:
    half = len(value) // 2
    closed = parameter("Half", value[half:], EnumValues=[value[half:]])
    return document(make_step(member, join(value[:half], get("Parameters.Half"))), parameters=[closed])


def _listed_in_a_parameter(member: Member, value: Any) -> Any:
    items = json.dumps([value])
    closed = parameter("Items", items, EnumValues=[items])
    return document(loop(make_step(member, get("ForEach.CurrentItem")), get("Parameters.Items")), parameters=[closed])


def _item_from_a_parameter(member: Member, value: Any) -> Any:
    closed = parameter("Item", value, EnumValues=[value])
    step = make_step(member, get("ForEach.CurrentItem"))
    return document(loop(step, [get("Parameters.Item")]), parameters=[closed])


def _second_step(member: Member, value: Any) -> Any:
    first = make_step(member, value)
    second = {**copy.deepcopy(first), "Name": "T"}
    return document(first, second)


WAYS = (
    Way("literal", lambda member, value: document(make_step(member, value))),
    Way("second step", _second_step),
    Way("in the If branch", lambda member, value: document(condition(then=[make_step(member, value)]))),
    Way("in the Else branch", lambda member, value: document(condition(otherwise=[make_step(member, value)]))),
    Way(
        "two conditions deep",
        lambda member, value: document(
            condition(then=[{**condition(otherwise=[make_step(member, value)]), "Name": "D"}])
        ),
    ),
    Way("closed parameter", lambda member, value: _with_parameter(member, value, EnumValues=[value])),
    Way("open parameter, allowed by name", lambda member, value: _with_parameter(member, value), by_name=True),
    Way("open parameter, at the start", lambda member, value: _with_parameter(member, value), is_given=True),
    Way("Join of one", _joined(lambda value: join(value)), _text),
    Way("Join of two", _joined(lambda value: join(value[:3], value[3:])), _text),
    Way("Join of characters", _joined(lambda value: join(*value)), _text),
    Way("Join on a separator", _joined(lambda value: join(*value.split("/"), on="/")), lambda v: _text(v) and "/" in v),
    Way("Join in a Join", _joined(lambda value: join(value[:2], join(join(value[2:4]), value[4:]))), _text),
    Way("Join with a closed parameter", _join_with_enum, _text),
    Way("item of a loop", lambda member, value: document(loop(make_step(member, get("ForEach.CurrentItem")), [value]))),
    Way(
        "member of an item",
        lambda member, value: document(loop(make_step(member, get("ForEach.CurrentItem.x")), [{"x": value}])),
    ),
    Way(
        "member of JSON text",
        lambda member, value: document(
            loop(make_step(member, get("ForEach.CurrentItem['x'][0]")), [json.dumps({"x": [value]})])
        ),
    ),
    Way("list in a parameter", _listed_in_a_parameter),
    Way("parameter as an item", _item_from_a_parameter),
    Way("literal in a loop", lambda member, value: document(loop(make_step(member, value), ["a"]))),
)


# --- the cases --------------------------------------------------------------------------------------------------------


def iter_cases(every: int = 1) -> Iterator[tuple[Case, Case]]:
    """Every pair: one that keeps the policy, one that breaks one rule of it.

    :param every: take only one pair of so many; the others are not built.
    """
    turn = count()
    for member in iter_members():
        title = f"{member.step_type} {'.'.join(map(str, member.path))}"
        for way in WAYS:
            good = [value for value in member.values.good if way.fits(value)]
            for index, bad in enumerate(value for value in member.values.bad if way.fits(value)):
                if good and next(turn) % every == 0:
                    kept = good[index % len(good)]
                    yield _case(title, member, way, kept, ""), _case(title, member, way, bad, member.values.rule)
        if next(turn) % every == 0:
            yield from _unknown_cases(title, member)
        if next(turn) % every == 0:
            yield from _omission_cases(member)
    yield from _document_cases()


def _document_cases() -> Iterator[tuple[Case, Case]]:
    """An expression that reads a document on S3, wherever it stands."""
    for address in S3_BAD:
        pair = []
        for uri, rule in (("s3://team-data/a.json", ""), (address, "team-s3")):
            read = {"Std:JsonGet": {"S3Uri": uri, "Path": "a"}}
            in_condition = condition()
            in_condition["Arguments"]["Conditions"][0]["LeftValue"] = read
            made = document(in_condition, {**ASK_LAMBDA, "Arguments": {"x": join("a", read)}})
            pair.append(Case(f"reads {uri}", made, rule))
        yield pair[0], pair[1]


def _case(title: str, member: Member, way: Way, value: Any, rule: str) -> Case:
    made = way.make(member, value)
    given = {"Open": value} if way.is_given else None
    return Case(f"{title}, {way.name}: {value!r}", made, rule, by_name=way.by_name, given=given)


def _unknown_cases(title: str, member: Member) -> Iterator[tuple[Case, Case]]:
    """What nothing tells before the execution: refused, or allowed by name. Text may hold anything."""
    if member.values is TEXTS:
        return
    read = {"Std:JsonGet": {"PropertyFile": get("Steps.Ask.PropertyFiles.F"), "Path": "a"}}
    given = get("Steps.Ask.OutputParameters['x']")
    ask_step = copy.deepcopy(ASK)
    ask_step["Arguments"] = make_step(Member("Processing", ("Arguments", "RoleArn"), member.values), ROLE)["Arguments"]
    for name, ask, value in (
        ("a property file", ask_step, read),
        ("another step's output", ASK_LAMBDA, given),
        ("a Join of it", ASK_LAMBDA, join(given, "")),
        ("an open parameter", ASK_LAMBDA, get("Parameters.Open")),
    ):
        made = document(ask, make_step(member, value), parameters=[{"Name": "Open", "Type": "String"}])
        yield (
            Case(f"{title}, from {name}, allowed by name", made, "", by_name=True),
            Case(f"{title}, from {name}", made, member.values.rule),
        )


def _omission_cases(member: Member) -> Iterator[tuple[Case, Case]]:
    """A demanded member that is left out or null, beside a governed one."""
    rules = {name: BY_NAME[name].rule for name in DEMANDED if name != "VpcConfig"} | {"VpcConfig": "team-vpc"}
    whole = make_step(member, member.values.good[0])
    for path, name in list(_iter_demanded(whole["Arguments"], ("Arguments",))):
        if path == member.path:
            continue
        rule = rules[name]
        if member.step_type == "EndpointConfig" and path == ("Arguments", "KmsKeyId"):
            rule = "team-volume-key"
        for what in ("left out", "null"):
            broken = copy.deepcopy(whole)
            owner: Any = broken
            for part in path[:-1]:
                owner = owner[part]
            if what == "null":
                owner[name] = None
            else:
                del owner[name]
            title = f"{member.step_type} with {member.path[-1]}, {'.'.join(map(str, path))} {what}"
            yield Case(f"{title}: whole", document(whole), ""), Case(title, document(broken), rule)


def _iter_demanded(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, dict):
        for name, item in value.items():
            if name in DEMANDED and not (name == "MaxRuntimeInSeconds" and "ResourceLimits" in path):
                yield (*path, name), name
            yield from _iter_demanded(item, (*path, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _iter_demanded(item, (*path, index))


def judge(case: Case) -> set[str]:
    """The rules that the policy finds broken."""
    team = TEAM_BY_NAME if case.by_name else TEAM
    rule = make_team_rule(team, given=case.given)
    return {finding.rule for finding in check_definition(parse_definition(case.document), rules=(rule,))}


def run_cases(cases: Iterable[tuple[Case, Case]]) -> tuple[Counter[str], list[str]]:
    """Judge pairs.

    :return: how many of each there were, and a line for each that was judged wrongly.
    """
    counts: Counter[str] = Counter()
    faults: list[str] = []
    for kept, broken in cases:
        counts["kept"] += 1
        counts["broken"] += 1
        found = judge(kept)
        if found:
            faults.append(f"refused without a reason ({', '.join(sorted(found))}): {kept.title}")
        found = judge(broken)
        if broken.rule not in found:
            faults.append(f"got through ({broken.rule}; found {', '.join(sorted(found)) or 'nothing'}): {broken.title}")
    return counts, faults


def main() -> int:
    """Judge all pairs, and print the figures and every fault."""
    counts, faults = run_cases(iter_cases())
    got_through = sum(fault.startswith("got through") for fault in faults)
    for fault in faults:
        print(fault)
    print(f"{counts['broken']} definitions that break the policy: {got_through} got through.")
    print(f"{counts['kept']} definitions that keep it: {len(faults) - got_through} refused.")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())

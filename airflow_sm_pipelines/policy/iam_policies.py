"""The IAM policies that pipelines need: the execution role's, Airflow's, and guards that deny what no policy asked for.

The execution role's policy is the least that it needs, read from the very definition: each S3 address by its prefix and
by whether the job reads or writes it, network interfaces in the named subnets and groups, packages in the named groups.
What the definition does not say cannot be in it: what step code itself calls, buckets that come from parameters without
a default, and the keys of buckets with a key of their own. :attr:`ExecutionRolePolicy.unknown` lists what was not
resolved.

The guards deny what a definition without a network or isolation would start, whoever deployed it: they hold where the
team's policy is not asked. Condition keys: "Actions, resources, and condition keys for Amazon SageMaker AI".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition import Missing
from airflow_sm_pipelines.definition.arns import Arn, is_arn, resource_name_of
from airflow_sm_pipelines.definition.image_uri import parse_image_uri
from airflow_sm_pipelines.definition.step_places import iter_step_places
from airflow_sm_pipelines.policy.governed_places import iter_governed_places
from airflow_sm_pipelines.policy.possible_values import ValueFinder
from airflow_sm_pipelines.policy.shape_kinds import Kind
from airflow_sm_pipelines.policy.text_search import find_bucket, iter_buckets

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airflow_sm_pipelines.definition import JsonObject, JsonValue, PipelineDefinition, Step
    from airflow_sm_pipelines.policy.governed_places import GovernedPlace

VERSION = "2012-10-17"

_GUARDED = (
    "sagemaker:CreateHyperParameterTuningJob",
    "sagemaker:CreateModel",
    "sagemaker:CreateProcessingJob",
    "sagemaker:CreateTrainingJob",
)

_JOBS = {
    "Processing": ("ProcessingJob", "processing-job"),
    "QualityCheck": ("ProcessingJob", "processing-job"),
    "ClarifyCheck": ("ProcessingJob", "processing-job"),
    "Training": ("TrainingJob", "training-job"),
    "Transform": ("TransformJob", "transform-job"),
    "Tuning": ("HyperParameterTuningJob", "hyper-parameter-tuning-job"),
    "AutoML": ("AutoMLJob", "automl-job"),
    "Model": ("Model", "model"),
    "EndpointConfig": ("EndpointConfig", "endpoint-config"),
    "Endpoint": ("Endpoint", "endpoint"),
    "InferenceComponent": ("InferenceComponent", "inference-component"),
}
_WITHOUT_STOP = ("Model", "EndpointConfig", "Endpoint", "InferenceComponent")
_INTERFACES = (
    "ec2:CreateNetworkInterfacePermission",
    "ec2:DeleteNetworkInterface",
    "ec2:DeleteNetworkInterfacePermission",
)
_NETWORK = (
    "ec2:DescribeDhcpOptions",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
)
"""What a job in a VPC asks, beside making its network interfaces.

Source: developer guide, "CreateTrainingJob API: Execution Role Permissions".
"""


@dataclass(frozen=True, slots=True)
class Account:
    """Where a pipeline lives, for the ARNs of policies.

    :param partition: ``aws``, ``aws-cn`` or ``aws-us-gov``.
    """

    id: str
    region: str
    partition: str = "aws"

    def arn(self, service: str, resource: str) -> str:
        """The ARN of something in this account and region."""
        return str(Arn(self.partition, service, self.region, self.id, resource))


def make_statement(
    sid: str,
    actions: Sequence[str],
    resources: Sequence[str],
    *,
    effect: str = "Allow",
    condition: JsonObject | None = None,
) -> JsonObject:
    """Make one statement. Its lists are sorted, so that the same definition gives the same text."""
    names: list[JsonValue] = [*sorted(set(actions))]
    places: list[JsonValue] = [*sorted(set(resources))]
    statement: JsonObject = {"Sid": sid, "Effect": effect, "Action": names, "Resource": places}
    if condition is not None:
        statement["Condition"] = condition
    return statement


def make_document(statements: Sequence[JsonObject]) -> JsonObject:
    """Put statements into a policy document."""
    return {"Version": VERSION, "Statement": list(statements)}


def make_vpc_guard() -> JsonObject:
    """Make a policy that denies jobs and models without subnets; attach it to the execution role."""
    condition: JsonObject = {"Null": {"sagemaker:VpcSubnets": "true"}}
    return make_document([make_statement("RequireVpc", _GUARDED, ["*"], effect="Deny", condition=condition)])


def make_isolation_guard() -> JsonObject:
    """Make a policy that denies jobs and models without network isolation; attach it to the execution role.

    A request that says nothing has no such key, which ``BoolIfExists`` would let pass, so a missing key is denied too.
    """
    off: JsonObject = {"Bool": {"sagemaker:NetworkIsolation": "false"}}
    absent: JsonObject = {"Null": {"sagemaker:NetworkIsolation": "true"}}
    return make_document(
        [
            make_statement("RequireNetworkIsolation", _GUARDED, ["*"], effect="Deny", condition=off),
            make_statement("RequireNetworkIsolationToBeSaid", _GUARDED, ["*"], effect="Deny", condition=absent),
        ]
    )


AIRFLOW_USES = ("deploy", "run", "stop", "delete")
"""What Airflow does with a pipeline, as ``iam airflow --for`` names it."""

_PIPELINE_ACTIONS: Mapping[str, tuple[str, ...]] = {
    "deploy": (
        "AddTags",
        "CreatePipeline",
        "DescribePipeline",
        "ListPipelineVersions",
        "ListTags",
        "UpdatePipeline",
        "UpdatePipelineVersion",
    ),
    "run": ("DescribePipeline", "ListPipelineExecutions", "StartPipelineExecution"),
    "stop": ("ListPipelineExecutions",),
    "delete": ("DeletePipeline", "DescribePipeline", "ListPipelineExecutions", "ListPipelineVersions", "ListTags"),
}
_EXECUTION_ACTIONS: Mapping[str, tuple[str, ...]] = {
    "run": (
        "DescribePipelineDefinitionForExecution",
        "DescribePipelineExecution",
        "ListPipelineExecutionSteps",
        "ListPipelineParametersForExecution",
        "RetryPipelineExecution",
    ),
    "stop": ("DescribePipelineExecution", "StopPipelineExecution"),
}
_OUTPUT_ACTIONS = (
    "DescribeAutoMLJob",
    "DescribeEndpoint",
    "DescribeEndpointConfig",
    "DescribeHyperParameterTuningJob",
    "DescribeInferenceComponent",
    "DescribeModel",
    "DescribeModelPackage",
    "DescribeProcessingJob",
    "DescribeTrainingJob",
    "DescribeTransformJob",
    "ListTrainingJobsForHyperParameterTuningJob",
)


def make_airflow_role_policy(
    account: Account,
    *,
    pipeline_name: str,
    execution_role_arn: str,
    bucket: str | None = None,
    uses: Sequence[str] = AIRFLOW_USES,
) -> JsonObject:
    """Make the policy of Airflow's role: to deploy, run, watch and stop one pipeline, and read its outputs and logs.

    :param execution_role_arn: the role it may hand to SageMaker, and no other.
    :param bucket: the bucket of large definitions, step code and property files; ``None`` for no access to any.
    :param uses: of :data:`AIRFLOW_USES`, what it does with the pipeline.
    """
    pipeline = account.arn("sagemaker", f"pipeline/{pipeline_name.lower()}")
    statements = []
    for sid, actions, place in (
        ("Pipeline", _PIPELINE_ACTIONS, pipeline),
        ("Executions", _EXECUTION_ACTIONS, f"{pipeline}/execution/*"),
    ):
        names = [f"sagemaker:{action}" for use in uses for action in actions.get(use, ())]
        if names:
            statements.append(make_statement(sid, names, [place]))
    if {"deploy", "run"} & set(uses):
        to_service: JsonObject = {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}
        statements += [
            make_statement("FindPipelines", ["sagemaker:ListPipelines"], ["*"]),
            make_statement("PassExecutionRole", ["iam:PassRole"], [execution_role_arn], condition=to_service),
        ]
    if "run" in uses:
        outputs = [f"sagemaker:{action}" for action in _OUTPUT_ACTIONS]
        logs = ["logs:DescribeLogStreams", "logs:GetLogEvents"]
        statements += [
            make_statement("Outputs", outputs, [account.arn("sagemaker", "*")]),
            make_statement("Logs", logs, [account.arn("logs", "log-group:/aws/sagemaker/*")]),
        ]
    if bucket is not None and {"deploy", "run"} & set(uses):
        actions_of = ["s3:GetObject", *(["s3:PutObject"] if "deploy" in uses else [])]
        statements.append(make_statement("Definitions", actions_of, [f"arn:{account.partition}:s3:::{bucket}/*"]))
    return make_document(statements)


@dataclass(frozen=True, slots=True)
class ExecutionRolePolicy:
    """A policy, and what it may lack.

    :param unknown: what of the definition could not be resolved, a sentence each.
    """

    document: JsonObject
    unknown: tuple[str, ...]


def make_execution_role_policy(
    definition: PipelineDefinition, account: Account, *, role_arn: str | None = None
) -> ExecutionRolePolicy:
    """Make the policy of the role that the pipeline's executions assume.

    :param role_arn: that role, which it passes to the jobs that name no other.
    """
    statements = [*_jobs(definition, account), *_calls(definition, account)]
    found: dict[Kind, set[str]] = {kind: set() for kind in (Kind.ROLE, Kind.IMAGE, Kind.OUTPUT_KEY)}
    unknown: list[str] = []
    network: dict[Kind, set[str]] = {Kind.SUBNET: set(), Kind.SECURITY_GROUP: set()}
    has_vpc = False
    finder = ValueFinder(definition)
    for place in iter_governed_places(definition):
        has_vpc = has_vpc or (place.kind is Kind.VPC and not isinstance(place.value, Missing))
        if place.kind in network:
            possible = finder.find(None if isinstance(place.value, Missing) else place.value, place.step)
            network[place.kind].update(map(str, possible.values) if not possible.texts else ["*"])
        kind = Kind.OUTPUT_KEY if place.kind is Kind.VOLUME_KEY else place.kind
        if kind not in found or isinstance(place.value, Missing):
            continue
        possible = finder.find(place.value, place.step)
        found[kind].update(str(item) for item in possible.values)
        if possible.texts and not possible.values and place.step is not None:
            what = "KMS key" if kind is Kind.OUTPUT_KEY else str(kind)
            unknown.append(f"The {what} of step {place.step.name!r} is known only in the execution.")
    roles, images, keys = (found[kind] for kind in (Kind.ROLE, Kind.IMAGE, Kind.OUTPUT_KEY))
    roles |= {role_arn} if role_arn else set()
    if roles:
        to_service: JsonObject = {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}
        statements.append(make_statement("PassRole", ["iam:PassRole"], sorted(roles), condition=to_service))
    statements += [*_buckets(definition, account), *_images(images, account, unknown), *_keys(keys, account)]
    if has_vpc:
        statements += _list_network(network, account)
    statements += [
        make_statement(
            "Logs",
            ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
            [account.arn("logs", "log-group:/aws/sagemaker/*")],
        ),
        make_statement(
            "Metrics",
            ["cloudwatch:PutMetricData"],
            ["*"],
            condition={"StringLike": {"cloudwatch:namespace": ["/aws/sagemaker/*", "aws/sagemaker/*"]}},
        ),
    ]
    return ExecutionRolePolicy(make_document(statements), tuple(dict.fromkeys(unknown)))


def _jobs(definition: PipelineDefinition, account: Account) -> Iterator[JsonObject]:
    types = {step.type for _, step in iter_step_places(definition)}
    for step_type, (noun, resource) in _JOBS.items():
        if step_type not in types or (step_type.endswith("Check") and "Processing" in types):
            continue
        actions = [f"sagemaker:Create{noun}", f"sagemaker:Describe{noun}", "sagemaker:AddTags"]
        if step_type not in _WITHOUT_STOP:
            actions.append(f"sagemaker:Stop{noun}")
        if step_type == "Tuning":
            actions.append("sagemaker:ListTrainingJobsForHyperParameterTuningJob")
        # SageMaker names what a pipeline makes after the execution, unless the definition keeps a name of its own.
        yield make_statement(f"Make{step_type}", actions, [account.arn("sagemaker", f"{resource}/*")])
    if "RegisterModel" in types:
        actions = [f"sagemaker:{verb}" for verb in ("CreateModelPackage", "DescribeModelPackage", "AddTags")]
        actions += ["sagemaker:CreateModelPackageGroup", "sagemaker:DescribeModelPackageGroup"]
        places = [*_list_package_places(definition, account)]
        yield make_statement("RegisterModel", actions, places)
    if definition.experiment_config is not None or "PipelineExperimentConfig" not in definition.to_json():
        verbs = [
            f"{verb}{noun}" for verb in ("Create", "Describe") for noun in ("Experiment", "Trial", "TrialComponent")
        ]
        verbs += ["AddTags", "AssociateTrialComponent", "UpdateTrialComponent"]
        places = [account.arn("sagemaker", f"experiment{part}/*") for part in ("", "-trial", "-trial-component")]
        yield make_statement("Experiments", [f"sagemaker:{verb}" for verb in verbs], places)


def _list_package_places(definition: PipelineDefinition, account: Account) -> Iterator[str]:
    """The packages and groups that a pipeline registers in: those it names, or all where one is not known."""
    finder = ValueFinder(definition)
    names: set[str] = set()
    for _, step in iter_step_places(definition):
        if step.type == "RegisterModel":
            group = step.arguments.get("ModelPackageGroupName")
            possible = finder.find(group, step)
            names |= {resource_name_of(str(value)) for value in possible.values if value is not None}
            if possible.texts or group is None:
                names.add("*")
    for name in sorted({"*"} if "*" in names else names):
        # The service writes a group's name in lower case in the ARNs of its packages.
        yield account.arn("sagemaker", f"model-package/{name.lower()}/*" if name != "*" else "model-package/*")
        yield account.arn("sagemaker", f"model-package-group/{name.lower()}")


def _list_network(network: dict[Kind, set[str]], account: Account) -> Iterator[JsonObject]:
    """Network interfaces in the subnets and security groups that the definition names."""
    places = [account.arn("ec2", f"subnet/{name}") for name in network[Kind.SUBNET] or {"*"}]
    places += [account.arn("ec2", f"security-group/{name}") for name in network[Kind.SECURITY_GROUP] or {"*"}]
    interfaces = account.arn("ec2", "network-interface/*")
    yield make_statement("MakeNetworkInterfaces", ["ec2:CreateNetworkInterface"], [*places, interfaces])
    yield make_statement("UseNetworkInterfaces", _INTERFACES, [interfaces])
    yield make_statement("Network", _NETWORK, ["*"])


def _calls(definition: PipelineDefinition, account: Account) -> Iterator[JsonObject]:
    steps = [step for _, step in iter_step_places(definition)]
    functions = _texts(definition, steps, "FunctionArn")
    if functions:
        yield make_statement("CallFunctions", ["lambda:InvokeFunction"], functions)
    queues = [
        str(Arn(account.partition, "sqs", match["region"], match["account"], match["name"]))
        for url in _texts(definition, steps, "SqsQueueUrl")
        if (match := re.match(r"https://sqs\.(?P<region>[^.]+)\.[^/]+/(?P<account>\d+)/(?P<name>.+)", url))
    ]
    if queues:
        yield make_statement("SendCallbacks", ["sqs:SendMessage"], queues)


def _texts(definition: PipelineDefinition, steps: list[Step], key: str) -> list[str]:
    finder = ValueFinder(definition)
    return [
        str(item)
        for step in steps
        if step.attributes.get(key) is not None
        for item in finder.find(step.attributes[key], step).values
    ]


def _buckets(definition: PipelineDefinition, account: Account) -> Iterator[JsonObject]:
    """What the jobs read and write, by prefix; of text that names an address nobody knows which of both."""
    buckets: set[str] = set()
    reads: set[str] = set()
    writes: set[str] = set()
    deletes: set[str] = set()
    finder = ValueFinder(definition)
    for place in iter_governed_places(definition):
        if place.kind not in (Kind.S3, Kind.TEXT) or isinstance(place.value, Missing):
            continue
        possible = finder.find(place.value, place.step)
        texts = [*((str(value),) for value in possible.values), *possible.texts]
        for text in texts:
            for address in [find_bucket(text)] if place.kind is Kind.S3 else iter_buckets(text):
                if address is None or address.name is None:
                    continue
                buckets.add(f"arn:{account.partition}:s3:::{address.name}")
                # A manifest names objects anywhere in its bucket.
                key = "" if "Manifest" in str(place.owner.get("S3DataType")) else address.key
                objects = f"arn:{account.partition}:s3:::{address.name}/{key}*"
                access = _find_access(place)
                reads |= {objects} if "read" in access else set()
                writes |= {objects} if "write" in access else set()
                deletes |= {objects} if "delete" in access else set()
    if buckets:
        yield make_statement("ListBuckets", ["s3:GetBucketLocation", "s3:ListBucket"], sorted(buckets))
    for sid, actions, objects_of in (
        ("ReadObjects", ["s3:GetObject"], reads),
        ("WriteObjects", ["s3:AbortMultipartUpload", "s3:PutObject"], writes),
        ("DeleteObjects", ["s3:DeleteObject"], deletes),
    ):
        if objects_of:
            yield make_statement(sid, actions, sorted(objects_of))


_WRITTEN = ("DestinationS3Uri", "S3FailurePath", "S3OutputPath")
_WRITTEN_AND_READ = ("OutputS3Uri", "LogUri", "OutputLocation")


def _find_access(place: GovernedPlace) -> tuple[str, ...]:
    """What is done at an S3 address, by the member that holds it."""
    names = [part for part in place.path if isinstance(part, str)]
    step = place.step
    if place.kind is Kind.TEXT or names[-1] in _WRITTEN_AND_READ or "CheckpointConfig" in names:
        return ("read", "write")
    if step is not None and step.type == "Cleanup":
        return ("delete",)
    if names[-1] not in _WRITTEN and "S3Output" not in names:
        return ("read",)
    # The service reads property files, and the reports of checks, with the same role.
    is_read = step is not None and (bool(step.property_files) or step.type.endswith("Check"))
    return ("read", "write") if is_read else ("write",)


def _images(images: set[str], account: Account, unknown: list[str]) -> Iterator[JsonObject]:
    repositories = []
    for image in sorted(images):
        uri = parse_image_uri(image)
        if uri.account and uri.region:
            place = Arn(account.partition, "ecr", uri.region, uri.account, f"repository/{uri.repository}")
            repositories.append(str(place))
        else:
            unknown.append(f"The image {image!r} is not in ECR; its registry asks for no IAM permission.")
    if repositories:
        verbs = ("BatchCheckLayerAvailability", "BatchGetImage", "GetDownloadUrlForLayer")
        yield make_statement("PullImages", [f"ecr:{verb}" for verb in verbs], repositories)
        yield make_statement("LogInToRegistry", ["ecr:GetAuthorizationToken"], ["*"])


def _keys(keys: set[str], account: Account) -> Iterator[JsonObject]:
    if keys:
        arns = [key if is_arn(key) else account.arn("kms", f"key/{key}") for key in keys]
        aliases = [key for key in keys if key.startswith("alias/")]
        plain = [arn for arn in arns if "key/alias/" not in arn]
        verbs = ("Decrypt", "DescribeKey", "Encrypt", "GenerateDataKey*", "ReEncrypt*")
        actions = [f"kms:{verb}" for verb in verbs]
        # A volume's key is used by EC2 through a grant, which only a service of AWS may be given.
        for_aws: JsonObject = {"kms:GrantIsForAWSResource": "true"}
        if plain:
            yield make_statement("UseKeys", actions, plain)
            yield make_statement("GrantKeys", ["kms:CreateGrant"], plain, condition={"Bool": for_aws})
        if aliases:
            condition: JsonObject = {"ForAnyValue:StringEquals": {"kms:ResourceAliases": [*sorted(aliases)]}}
            every_key = [account.arn("kms", "key/*")]
            yield make_statement("UseKeysByAlias", actions, every_key, condition=condition)
            both: JsonObject = {**condition, "Bool": for_aws}
            yield make_statement("GrantKeysByAlias", ["kms:CreateGrant"], every_key, condition=both)

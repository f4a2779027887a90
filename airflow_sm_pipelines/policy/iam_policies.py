"""The IAM policies that pipelines need: the execution role's, Airflow's, and guards that deny what no policy asked for.

The execution role's policy is the least that it needs, read from the very definition. What the definition does not say
cannot be in it: what step code itself calls, buckets that come from parameters without a default, and the keys of
buckets with a key of their own. :attr:`ExecutionRolePolicy.unknown` lists what was not resolved.

The guards deny what a definition without a network or isolation would start, whoever deployed it: they hold where the
team's policy is not asked. Condition keys: "Actions, resources, and condition keys for Amazon SageMaker AI".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition import Missing
from airflow_sm_pipelines.definition.arns import Arn, is_arn
from airflow_sm_pipelines.definition.image_uri import parse_image_uri
from airflow_sm_pipelines.definition.step_places import iter_step_places
from airflow_sm_pipelines.policy.governed_places import iter_governed_places
from airflow_sm_pipelines.policy.possible_values import ValueFinder
from airflow_sm_pipelines.policy.shape_kinds import Kind
from airflow_sm_pipelines.policy.text_search import find_bucket, iter_buckets

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_sm_pipelines.definition import JsonObject, JsonValue, PipelineDefinition, Step

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
_NETWORK = (
    "ec2:CreateNetworkInterface",
    "ec2:CreateNetworkInterfacePermission",
    "ec2:DeleteNetworkInterface",
    "ec2:DeleteNetworkInterfacePermission",
    "ec2:DescribeDhcpOptions",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
)
"""What a job in a VPC needs; source: developer guide, "CreateTrainingJob API: Execution Role Permissions"."""


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


def make_airflow_role_policy(
    account: Account, *, pipeline_name: str, execution_role_arn: str, bucket: str | None = None
) -> JsonObject:
    """Make the policy of Airflow's role: to deploy, run, watch and stop one pipeline, and read its outputs and logs.

    :param execution_role_arn: the role it may hand to SageMaker, and no other.
    :param bucket: the bucket of large definitions, step code and property files; ``None`` for no access to any.
    """
    pipeline = account.arn("sagemaker", f"pipeline/{pipeline_name.lower()}")
    statements = [
        make_statement(
            "Pipeline",
            [
                f"sagemaker:{action}"
                for action in (
                    "AddTags",
                    "CreatePipeline",
                    "DeletePipeline",
                    "DescribePipeline",
                    "ListPipelineExecutions",
                    "ListPipelineVersions",
                    "ListTags",
                    "StartPipelineExecution",
                    "UpdatePipeline",
                    "UpdatePipelineVersion",
                )
            ],
            [pipeline],
        ),
        make_statement(
            "Executions",
            [
                f"sagemaker:{action}"
                for action in (
                    "DescribePipelineDefinitionForExecution",
                    "DescribePipelineExecution",
                    "ListPipelineExecutionSteps",
                    "RetryPipelineExecution",
                    "StopPipelineExecution",
                )
            ],
            [f"{pipeline}/execution/*"],
        ),
        make_statement("FindPipelines", ["sagemaker:ListPipelines"], ["*"]),
        make_statement(
            "Outputs",
            [
                f"sagemaker:{action}"
                for action in (
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
            ],
            [account.arn("sagemaker", "*")],
        ),
        make_statement(
            "PassExecutionRole",
            ["iam:PassRole"],
            [execution_role_arn],
            condition={"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
        ),
        make_statement(
            "Logs",
            ["logs:DescribeLogStreams", "logs:GetLogEvents"],
            [account.arn("logs", "log-group:/aws/sagemaker/*")],
        ),
    ]
    if bucket is not None:
        statements.append(
            make_statement(
                "Definitions",
                ["s3:GetObject", "s3:PutObject"],
                [f"arn:{account.partition}:s3:::{bucket}/*"],
            )
        )
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
    has_vpc = False
    finder = ValueFinder(definition)
    for place in iter_governed_places(definition):
        has_vpc = has_vpc or (place.kind is Kind.VPC and not isinstance(place.value, Missing))
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
        statements.append(make_statement("Network", _NETWORK, ["*"]))
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
        places = [account.arn("sagemaker", "model-package/*"), account.arn("sagemaker", "model-package-group/*")]
        yield make_statement("RegisterModel", actions, places)
    if definition.experiment_config is not None or "PipelineExperimentConfig" not in definition.to_json():
        verbs = [
            f"{verb}{noun}" for verb in ("Create", "Describe") for noun in ("Experiment", "Trial", "TrialComponent")
        ]
        verbs += ["AddTags", "AssociateTrialComponent", "UpdateTrialComponent"]
        places = [account.arn("sagemaker", f"experiment{part}/*") for part in ("", "-trial", "-trial-component")]
        yield make_statement("Experiments", [f"sagemaker:{verb}" for verb in verbs], places)


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
    buckets: set[str | None] = set()
    finder = ValueFinder(definition)
    for place in iter_governed_places(definition):
        if place.kind in (Kind.S3, Kind.TEXT) and not isinstance(place.value, Missing):
            possible = finder.find(place.value, place.step)
            texts = [*((str(value),) for value in possible.values), *possible.texts]
            for text in texts:
                addresses = [find_bucket(text)] if place.kind is Kind.S3 else iter_buckets(text)
                buckets |= {address.name for address in addresses if address is not None}
    names = sorted(bucket for bucket in buckets if bucket)
    if names:
        arns = [f"arn:{account.partition}:s3:::{name}" for name in names]
        yield make_statement("ListBuckets", ["s3:GetBucketLocation", "s3:ListBucket"], arns)
        objects = ["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"]
        yield make_statement("ReadAndWriteObjects", objects, [f"{arn}/*" for arn in arns])


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
        verbs = ("CreateGrant", "Decrypt", "DescribeKey", "Encrypt", "GenerateDataKey*", "ReEncrypt*")
        actions = [f"kms:{verb}" for verb in verbs]
        if plain:
            yield make_statement("UseKeys", actions, plain)
        if aliases:
            condition: JsonObject = {"ForAnyValue:StringEquals": {"kms:ResourceAliases": [*sorted(aliases)]}}
            yield make_statement("UseKeysByAlias", actions, [account.arn("kms", "key/*")], condition=condition)

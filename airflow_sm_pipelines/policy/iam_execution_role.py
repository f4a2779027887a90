"""The least that a pipeline's execution role needs, read from the very definition.

What the definition does not say cannot be in it: what step code itself calls, buckets that come from parameters
without a default, and the keys of buckets with a key of their own. :attr:`ExecutionRolePolicy.unknown` lists what was
not resolved.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition import Missing
from airflow_sm_pipelines.definition.json_value import iter_values
from airflow_sm_pipelines.definition.step_places import iter_step_places
from airflow_sm_pipelines.policy.iam_guards import Account, make_document, make_statement
from airflow_sm_pipelines.policy.job_fields import JOB_FIELDS, iter_field
from airflow_sm_pipelines.policy.possible_values import find_possible_values
from airflow_sm_pipelines.policy.s3_places import find_bucket

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_sm_pipelines.definition import JsonObject, PipelineDefinition, Step

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
_ECR = re.compile(r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/(?P<name>[^:@]+)")
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
class ExecutionRolePolicy:
    """A policy, and what of the definition could not be put in it.

    :param unknown: sentences for people.
    """

    document: JsonObject
    unknown: tuple[str, ...]


def make_execution_role_policy(
    definition: PipelineDefinition, account: Account, *, role_arn: str | None = None
) -> ExecutionRolePolicy:
    """The policy of the role that the pipeline's executions assume.

    :param role_arn: that role, which it hands on to the jobs that name no other.
    """
    statements = [*_jobs(definition, account), *_calls(definition)]
    roles, images, keys, unknown = set[str](), set[str](), set[str](), list[str]()
    has_vpc = False
    for _, step in iter_step_places(definition):
        fields = JOB_FIELDS.get(step.type)
        if fields is None:
            continue
        for what, wanted, found in (
            ("role", fields.roles, roles),
            ("image", fields.images, images),
            ("KMS key", (*fields.volume_keys, *fields.output_keys), keys),
        ):
            for field in wanted:
                for _, value in iter_field(step.arguments, field):
                    if isinstance(value, Missing):
                        continue
                    possible = find_possible_values(value, definition)
                    found.update(str(item) for item in possible.values)
                    if possible.is_open and not possible.values:
                        unknown.append(f"The {what} of step {step.name!r} is known only in the execution.")
        vpcs = (value for field in fields.vpc for _, value in iter_field(step.arguments, field))
        has_vpc = has_vpc or any(not isinstance(value, Missing) for value in vpcs)
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


def _calls(definition: PipelineDefinition) -> Iterator[JsonObject]:
    steps = [step for _, step in iter_step_places(definition)]
    functions = _texts(definition, steps, "FunctionArn")
    if functions:
        yield make_statement("CallFunctions", ["lambda:InvokeFunction"], functions)
    queues = [
        f"arn:aws:sqs:{match['region']}:{match['account']}:{match['name']}"
        for url in _texts(definition, steps, "SqsQueueUrl")
        if (match := re.match(r"https://sqs\.(?P<region>[^.]+)\.[^/]+/(?P<account>\d+)/(?P<name>.+)", url))
    ]
    if queues:
        yield make_statement("SendCallbacks", ["sqs:SendMessage"], queues)


def _texts(definition: PipelineDefinition, steps: list[Step], key: str) -> list[str]:
    found = []
    for step in steps:
        value = step.attributes.get(key)
        if value is not None:
            found += [str(item) for item in find_possible_values(value, definition).values]
    return found


def _buckets(definition: PipelineDefinition, account: Account) -> Iterator[JsonObject]:
    values = [parameter.default for parameter in definition.parameters if isinstance(parameter.default, str)]
    buckets = {find_bucket(value) for value in values}
    for _, step in iter_step_places(definition):
        for _, operand in step.iter_operands():
            buckets |= {find_bucket(value) for _, value in iter_values(operand) if isinstance(value, (str, dict))}
    names = sorted(bucket for bucket in buckets if bucket)
    if names:
        arns = [f"arn:{account.partition}:s3:::{name}" for name in names]
        yield make_statement("ListBuckets", ["s3:GetBucketLocation", "s3:ListBucket"], arns)
        objects = ["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"]
        yield make_statement("ReadAndWriteObjects", objects, [f"{arn}/*" for arn in arns])


def _images(images: set[str], account: Account, unknown: list[str]) -> Iterator[JsonObject]:
    repositories = []
    for image in sorted(images):
        match = _ECR.match(image)
        if match:
            place = f"{match['region']}:{match['account']}:repository/{match['name']}"
            repositories.append(f"arn:{account.partition}:ecr:{place}")
        else:
            unknown.append(f"The image {image!r} is not in ECR; its registry asks for no IAM permission.")
    if repositories:
        verbs = ("BatchCheckLayerAvailability", "BatchGetImage", "GetDownloadUrlForLayer")
        yield make_statement("PullImages", [f"ecr:{verb}" for verb in verbs], repositories)
        yield make_statement("LogInToRegistry", ["ecr:GetAuthorizationToken"], ["*"])


def _keys(keys: set[str], account: Account) -> Iterator[JsonObject]:
    if keys:
        arns = [key if key.startswith("arn:") else account.arn("kms", f"key/{key}") for key in keys]
        aliases = [key for key in keys if key.startswith("alias/")]
        plain = [arn for arn in arns if "key/alias/" not in arn]
        verbs = ("CreateGrant", "Decrypt", "DescribeKey", "Encrypt", "GenerateDataKey*", "ReEncrypt*")
        actions = [f"kms:{verb}" for verb in verbs]
        if plain:
            yield make_statement("UseKeys", actions, plain)
        if aliases:
            condition: JsonObject = {"ForAnyValue:StringEquals": {"kms:ResourceAliases": [*sorted(aliases)]}}
            yield make_statement("UseKeysByAlias", actions, [account.arn("kms", "key/*")], condition=condition)

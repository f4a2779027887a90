"""IAM policies that need no definition: the guards of AWS's guide, and what the Airflow role calls.

The guards deny what a definition without a network or isolation would start, whoever deployed it: they hold where the
team's policy is not asked. Condition keys: "Actions, resources, and condition keys for Amazon SageMaker AI".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_sm_pipelines.definition import JsonObject, JsonValue

VERSION = "2012-10-17"

_GUARDED = (
    "sagemaker:CreateHyperParameterTuningJob",
    "sagemaker:CreateModel",
    "sagemaker:CreateProcessingJob",
    "sagemaker:CreateTrainingJob",
)


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
        return f"arn:{self.partition}:{service}:{self.region}:{self.id}:{resource}"


def make_statement(
    sid: str,
    actions: Sequence[str],
    resources: Sequence[str],
    *,
    effect: str = "Allow",
    condition: JsonObject | None = None,
) -> JsonObject:
    """One statement, its lists sorted so that the same definition gives the same text."""
    names: list[JsonValue] = [*sorted(set(actions))]
    places: list[JsonValue] = [*sorted(set(resources))]
    statement: JsonObject = {"Sid": sid, "Effect": effect, "Action": names, "Resource": places}
    if condition is not None:
        statement["Condition"] = condition
    return statement


def make_document(statements: Sequence[JsonObject]) -> JsonObject:
    """The statements as a policy document."""
    return {"Version": VERSION, "Statement": list(statements)}


def make_vpc_guard() -> JsonObject:
    """Denies jobs and models without subnets; attach it to the execution role."""
    condition: JsonObject = {"Null": {"sagemaker:VpcSubnets": "true"}}
    return make_document([make_statement("RequireVpc", _GUARDED, ["*"], effect="Deny", condition=condition)])


def make_isolation_guard() -> JsonObject:
    """Denies jobs and models without network isolation; attach it to the execution role.

    Where the request says nothing the key is absent, which ``BoolIfExists`` would pass, so its absence is denied too.
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
    """What Airflow's role needs to deploy, run, watch and stop one pipeline, and to read its outputs and logs.

    :param execution_role_arn: the role it may hand to SageMaker, and no other.
    :param bucket: where large definitions, step code and property files are; none where that is ``None``.
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

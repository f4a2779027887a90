"""The command ``iam``: the policies that a pipeline's roles need."""

from __future__ import annotations

import json
import os
import re
import sys
from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.sources import UnreadableSourceError, read_source
from airflow_sm_pipelines.definition import parse_definition

if TYPE_CHECKING:
    import argparse

    from airflow_sm_pipelines.definition import JsonObject
    from airflow_sm_pipelines.policy.iam_guards import Account

_ROLE = re.compile(r"arn:(?P<partition>aws[a-z-]*):iam::(?P<account>\d{12}):role/.+")


def run_iam(arguments: argparse.Namespace) -> int:
    """Write one policy as JSON; what could not be put in it goes to standard error."""
    print(json.dumps(_make(arguments), indent=2))
    return 0


def _make(arguments: argparse.Namespace) -> JsonObject:
    from airflow_sm_pipelines.policy import iam_guards
    from airflow_sm_pipelines.policy.iam_execution_role import make_execution_role_policy

    if arguments.role == "require-vpc":
        return iam_guards.make_vpc_guard()
    if arguments.role == "require-isolation":
        return iam_guards.make_isolation_guard()
    account = _find_account(arguments)
    if arguments.role == "airflow":
        if not arguments.pipeline_name:
            raise UnreadableSourceError("The Airflow role is for one pipeline: name it with --pipeline-name.")
        return iam_guards.make_airflow_role_policy(
            account,
            pipeline_name=arguments.pipeline_name,
            execution_role_arn=arguments.role_arn,
            bucket=arguments.default_bucket,
        )
    if arguments.source is None:
        raise UnreadableSourceError("The execution role's policy is read from a definition: name it after 'execution'.")
    source = read_source(arguments.source, arguments)
    made = make_execution_role_policy(
        parse_definition(source.text, name=source.name), account, role_arn=arguments.role_arn
    )
    for sentence in made.unknown:
        print(f"note: {sentence}", file=sys.stderr)
    return made.document


def _find_account(arguments: argparse.Namespace) -> Account:
    """The account and partition of the role's ARN, and the region; AWS is not asked."""
    from airflow_sm_pipelines.policy.iam_guards import Account

    match = _ROLE.fullmatch(arguments.role_arn or "")
    if match is None:
        raise UnreadableSourceError("Name the execution role with --role-arn arn:aws:iam::ACCOUNT:role/NAME.")
    region = arguments.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if not region:
        raise UnreadableSourceError("Name the region with --region, or set AWS_REGION.")
    return Account(match["account"], region, match["partition"])

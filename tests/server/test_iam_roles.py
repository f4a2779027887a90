"""Roles that exist when they are needed, and permissions that are granted when they are asked for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.server.endpoint_stand_in import Endpoint

POLICY = json.dumps({"Version": "2012-10-17", "Statement": []})


def test_every_simulated_action_is_allowed_on_every_resource(endpoint: Endpoint) -> None:
    pages = (
        endpoint.client("iam")
        .get_paginator("simulate_principal_policy")
        .paginate(
            PolicySourceArn="arn:aws:iam::111122223333:role/Any",
            ActionNames=["s3:PutObject", "sagemaker:CreatePipeline"],
            ResourceArns=["arn:aws:s3:::a/*", "arn:aws:s3:::b/*"],
        )
    )
    results = [result for page in pages for result in page["EvaluationResults"]]
    assert {(result["EvalActionName"], result["EvalResourceName"]) for result in results} == {
        (action, resource)
        for action in ("s3:PutObject", "sagemaker:CreatePipeline")
        for resource in ("arn:aws:s3:::a/*", "arn:aws:s3:::b/*")
    }
    assert {result["EvalDecision"] for result in results} == {"allowed"}


def test_a_role_whose_permissions_were_asked_for_exists_and_trusts_sagemaker(endpoint: Endpoint) -> None:
    iam = endpoint.client("iam")
    iam.simulate_principal_policy(
        PolicySourceArn="arn:aws:iam::111122223333:role/service-role/Exec", ActionNames=["a:b"]
    )
    role = iam.get_role(RoleName="Exec")["Role"]
    assert role["Arn"] == "arn:aws:iam::123456789012:role/service-role/Exec"
    (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert "sagemaker.amazonaws.com" in statement["Principal"]["Service"]


def test_a_role_named_in_a_script_resolves_to_an_arn(endpoint: Endpoint) -> None:
    role = endpoint.client("iam").get_role(RoleName="SageMakerExecution")["Role"]
    assert role["Arn"] == "arn:aws:iam::123456789012:role/SageMakerExecution"


def test_a_role_nobody_made_can_still_be_created(endpoint: Endpoint) -> None:
    iam = endpoint.client("iam")
    iam.get_role(RoleName="Mine")
    iam.create_role(RoleName="Mine", AssumeRolePolicyDocument=POLICY, Description="made by hand")
    assert iam.get_role(RoleName="Mine")["Role"]["Description"] == "made by hand"
    with pytest.raises(iam.exceptions.EntityAlreadyExistsException):
        iam.create_role(RoleName="Mine", AssumeRolePolicyDocument=POLICY)


def test_managed_policies_can_be_attached(endpoint: Endpoint) -> None:
    iam = endpoint.client("iam")
    iam.create_role(RoleName="Mine", AssumeRolePolicyDocument=POLICY)
    iam.attach_role_policy(
        RoleName="Mine", PolicyArn="arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
    )
    (attached,) = iam.list_attached_role_policies(RoleName="Mine")["AttachedPolicies"]
    assert attached["PolicyName"] == "AWSLambdaBasicExecutionRole"

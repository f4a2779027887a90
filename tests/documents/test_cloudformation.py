"""What the functions of a CloudFormation template give, and what only a deployment knows."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_sm_pipelines.documents.cloudformation import TemplateResolver
from airflow_sm_pipelines.documents.placeholders import Unknowns, Variables

TEMPLATE: dict[str, Any] = {
    "Parameters": {
        "Env": {"Type": "String", "Default": "dev"},
        "Count": {"Type": "Number", "Default": 2},
        "Subnets": {"Type": "CommaDelimitedList", "Default": "a,b"},
        "Image": {"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/images/x"},
        "Bucket": {"Type": "String"},
    },
    "Mappings": {"Sizes": {"dev": {"Type": "ml.m5.large"}}},
    "Conditions": {
        "IsDev": {"Fn::Equals": [{"Ref": "Env"}, "dev"]},
        "IsNot": {"Fn::Not": [{"Condition": "IsDev"}]},
        "IsHere": {"Fn::Equals": [{"Ref": "AWS::Region"}, "eu-west-1"]},
        "Either": {"Fn::Or": [{"Condition": "IsHere"}, {"Condition": "IsDev"}]},
        "Both": {"Fn::And": [{"Condition": "IsHere"}, {"Condition": "IsDev"}]},
        "Loop": {"Condition": "Loop"},
    },
}


def resolve(value: Any, *settings: str) -> Any:
    unknowns = Unknowns()
    resolved = TemplateResolver(TEMPLATE, Variables(settings), unknowns).resolve(value)
    return unknowns.show(resolved) if isinstance(resolved, str) else resolved


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"Ref": "Env"}, "dev"),
        ({"Ref": "Count"}, "2"),
        ({"Ref": "Subnets"}, ["a", "b"]),
        ({"Ref": "Image"}, "${Image}"),
        ({"Ref": "Bucket"}, "${Bucket}"),
        ({"Ref": "AWS::Region"}, "${AWS::Region}"),
        ({"Fn::Sub": "s3://${Bucket}/${Env}/${!HOME}/${Role.Arn}"}, "s3://${Bucket}/dev/${HOME}/${Role.Arn}"),
        ({"Fn::Sub": ["${A}-${Env}-${Subnets}", {"A": {"Ref": "Count"}}]}, "2-dev-a,b"),
        ({"Fn::GetAtt": ["Role", "Arn"]}, "${Role.Arn}"),
        ({"Fn::GetAtt": "Role.Arn"}, "${Role.Arn}"),
        ({"Fn::Join": ["-", ["x", {"Ref": "Env"}, {"Ref": "Bucket"}]]}, "x-dev-${Bucket}"),
        ({"Fn::Join": [",", {"Ref": "Subnets"}]}, "a,b"),
        ({"Fn::FindInMap": ["Sizes", {"Ref": "Env"}, "Type"]}, "ml.m5.large"),
        ({"Fn::FindInMap": ["Sizes", "prod", "Type"]}, '${FindInMap ["Sizes", "prod", "Type"]}'),
        ({"Fn::Select": [1, {"Ref": "Subnets"}]}, "b"),
        ({"Fn::Select": ["0", {"Fn::Split": ["-", "x-y"]}]}, "x"),
        ({"Fn::If": ["IsDev", "small", "big"]}, "small"),
        ({"Fn::If": ["IsNot", "small", "big"]}, "big"),
        ({"Fn::If": ["Either", 1, 2]}, 1),
        ({"Fn::If": ["IsHere", 1, 2]}, '${If ["IsHere", 1, 2]}'),
        ({"Fn::If": ["Both", 1, 2]}, '${If ["Both", 1, 2]}'),
        ({"Fn::If": ["Loop", 1, 2]}, '${If ["Loop", 1, 2]}'),
        ({"A": {"Ref": "AWS::NoValue"}, "B": [1, {"Ref": "AWS::NoValue"}]}, {"B": [1]}),
        ({"Fn::Base64": "a"}, "YQ=="),
        ({"Fn::ImportValue": "shared"}, "${ImportValue shared}"),
        ({"Fn::Transform": {"Name": "AWS::Include"}}, '${Transform {"Name": "AWS::Include"}}'),
        ("x-{{resolve:ssm:/a/b}}", "x-{{resolve:ssm:/a/b}}"),
    ],
)
def test_a_function_gives_what_the_template_says(value: Any, expected: Any) -> None:
    assert resolve(value) == expected


@pytest.mark.parametrize(
    ("value", "setting", "expected"),
    [
        ({"Fn::Sub": "${Bucket}"}, "Bucket=b", "b"),
        ({"Ref": "Env"}, "Env=prod", "prod"),
        ({"Fn::If": ["IsHere", 1, 2]}, "AWS::Region=eu-west-1", 1),
        ({"Fn::GetAtt": ["Role", "Arn"]}, "Role.Arn=arn", "arn"),
        ({"Fn::ImportValue": "shared"}, "shared=x", "x"),
    ],
)
def test_a_value_that_is_given_goes_before_the_templates(value: Any, setting: str, expected: Any) -> None:
    assert resolve(value, setting) == expected

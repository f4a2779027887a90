"""Where state machines are kept, and the places in those files."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_sm_pipelines.documents import Variables
from airflow_sm_pipelines.exceptions import MigrationError
from airflow_sm_pipelines.migrate.stepfunctions import HeldMachine, find_machines
from airflow_sm_pipelines.migrate.stepfunctions.machine_files import translate_schedule

MACHINE = {"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "${Function}", "End": True}}}
TEXT = json.dumps(MACHINE, indent=2)


def find(text: str, name: str, *defined: str, files: dict[str, str] | None = None) -> tuple[HeldMachine, ...]:
    """The machines of a file."""

    def read(uri: str) -> bytes | None:
        return (files or {})[uri].encode() if uri in (files or {}) else None

    return find_machines(text.encode(), name=name, variables=Variables(defined), read=read)


def resource(held: HeldMachine) -> Any:
    document: Any = held.document
    return document["States"]["A"]["Resource"]


def indent(text: str, by: int) -> str:
    return "\n".join(" " * by + line for line in text.splitlines())


TERRAFORM = f"""
resource "aws_sfn_state_machine" "flow" {{
  name       = "flow"
  definition = <<EOF
{TEXT}
EOF
}}
"""

ENCODED = """
resource "aws_sfn_state_machine" "flow" {
  definition = jsonencode({
    StartAt = "A" # the first
    States = {
      A = { Type = "Task", Resource = aws_lambda_function.work.arn, End = true }
    }
  })
}
"""

CLOUDFORMATION = f"""
Parameters:
  Function: {{Type: String, Default: arn:aws:lambda:us-east-1:123456789012:function:work}}
Resources:
  Flow:
    Type: AWS::StepFunctions::StateMachine
    Properties:
      DefinitionString: !Sub |
{indent(TEXT, 8)}
"""

SAM = """
Resources:
  Flow:
    Type: AWS::Serverless::StateMachine
    Properties:
      DefinitionUri: flow.asl.json
      DefinitionSubstitutions: {Function: !GetAtt Work.Arn}
      Events:
        Nightly: {Type: Schedule, Properties: {Schedule: "cron(0 3 ? * 2 *)"}}
"""

SERVERLESS = """
stepFunctions:
  stateMachines:
    flow:
      definition:
        StartAt: A
        States:
          A: {Type: Task, Resource: {Fn::GetAtt: [Work, Arn]}, End: true}
"""


@pytest.mark.parametrize(
    ("text", "name", "files", "found", "place"),
    [
        (TEXT, "m.asl.json", {}, "${Function}", "m.asl.json:4:10"),
        (TEXT.replace('"${Function}"', "${Function}"), "m.asl.json", {}, "${Function}", "m.asl.json:4:10"),
        ("StartAt: A\nStates:\n  A: {Type: Task, Resource: r, End: true}\n", "m.asl.yaml", {}, "r", "m.asl.yaml:3:6"),
        (
            json.dumps({"stateMachineArn": "arn", "name": "flow", "definition": TEXT}),
            "a.json",
            {},
            "${Function}",
            "a.json:1:113",
        ),
        (TERRAFORM, "main.tf", {}, "${Function}", "main.tf:8:10"),
        (ENCODED, "main.tf", {}, "${aws_lambda_function.work.arn}", "main.tf:3:1"),
        (
            CLOUDFORMATION,
            "t.yaml",
            {},
            "arn:aws:lambda:us-east-1:123456789012:function:work",
            "t.yaml:12:18",
        ),
        (SAM, "t.yaml", {"flow.asl.json": TEXT}, "${Work.Arn}", "flow.asl.json:4:10"),
        (SERVERLESS, "serverless.yml", {}, "${Work.Arn}", "serverless.yml:8:14"),
        (
            json.dumps({"cells": [{"outputs": [{"text": ["made:\n", TEXT]}]}]}),
            "n.ipynb",
            {},
            "${Function}",
            "n.ipynb:output 1:1",
        ),
    ],
    ids=[
        *("itself", "a bare placeholder", "YAML", "an answer", "a heredoc", "jsonencode", "CloudFormation"),
        *("SAM", "Serverless", "a notebook"),
    ],
)
def test_a_machine_is_found_in(text: str, name: str, files: dict[str, str], found: str, place: str) -> None:
    (held,) = find(text, name, files=files)
    assert resource(held) == found
    assert held.locate(("States", "A")) == place


def test_what_starts_a_machine_is_told() -> None:
    (held,) = find(SAM, "t.yaml", files={"flow.asl.json": TEXT})
    assert held.starts == ("Nightly (Schedule: cron(0 3 ? * 2 *))",)
    assert held.schedule == "0 3 * * 1"


@pytest.mark.parametrize(
    ("expression", "cron"),
    [
        ("rate(1 day)", "0 0 * * *"),
        ("rate(5 minutes)", "*/5 * * * *"),
        ("rate(7 minutes)", None),
        ("rate(2 days)", None),
        ("cron(15 10 * * ? *)", "15 10 * * *"),
        ("cron(0 18 ? * MON-FRI *)", "0 18 * * MON-FRI"),
        ("cron(0 8 1 * ? 2027)", None),
        ("cron(0 8 L * ? *)", None),
    ],
)
def test_a_schedule_is_airflows_or_none(expression: str, cron: str | None) -> None:
    assert translate_schedule(expression) == cron


@pytest.mark.parametrize(
    ("text", "name", "problem"),
    [
        (SAM, "t.yaml", "t.yaml:6:7: the definition of Flow stands elsewhere: give that file."),
        (TERRAFORM.replace('"States"', '"States'), "main.tf", "main.tf:7:"),
        (
            "StartAt: A\nStates:\n  A: {Type: Pass, Next: yes}\n  yes: {Type: Pass, End: true}\n",
            "m.yaml",
            "write it in quotes",
        ),
        ("\x00\x01", "m.json", "m.json:1:1: this is not YAML: unacceptable character"),
        ("", "m.json", "m.json:1:1: this holds no state machine"),
    ],
    ids=["a file that is not there", "broken text in a heredoc", "a key that is no text", "bytes", "nothing"],
)
def test_it_says_what_is_wrong(text: str, name: str, problem: str) -> None:
    with pytest.raises(MigrationError) as refused:
        find(text, name)
    assert problem in str(refused.value)

"""What stands beside a step's arguments is held against what the service knows."""

from __future__ import annotations

from airflow_sm_pipelines.definition import parse_definition
from airflow_sm_pipelines.policy import check_definition
from tests.policy.found_lines import findings_of


def test_unknown_steps_and_keys_are_only_warned_of() -> None:
    document = {
        "Steps": [{"Name": "S", "Type": "Trainning", "Argumets": {}}],
        "Comment": 1,
        "Version": "2030-01-01",
    }
    assert findings_of(document) == [
        "warning Version: '2030-01-01' is not a version of the pipeline definition that is known here.",
        "warning Comment: 'Comment' is not a key of a pipeline definition that is known here.",
        "warning Steps[0].Type: step 'S' is of the type 'Trainning', which is not known here. Did you mean 'Training'?",
        (
            "warning Steps[0].Argumets: 'Argumets' of step 'S' is not a key of a step that is known here. "
            "Did you mean 'Arguments'?"
        ),
    ]


def test_settings_of_steps_have_limits_too() -> None:
    policy = {"ExceptionType": ["Step.Throttling"], "MaxAttempts": 21, "ExpireAfterMin": 0}
    each = {
        "IterableItems": ["a"] * 101,
        "MaxConcurrency": 51,
        "Selector": {"Pick": "Best", "Field": {"Get": "IterationOutput.B.X"}},
        "ForEachBody": [{"Name": "B", "Type": "Callback", "Arguments": {"SqsQueueUrl": "q"}}],
    }
    document = {
        "Steps": [
            {"Name": "L", "Type": "Lambda", "RetryPolicies": [policy], "CacheConfig": {"ExpireAfter": "soon"}},
            {"Name": "E", "Type": "ForEach", "Arguments": each},
            {"Name": "C", "Type": "Condition", "Arguments": {"Conditions": []}},
        ]
    }
    found = check_definition(parse_definition(document))
    assert [(finding.severity.value, finding.path) for finding in found] == [
        ("error", "Steps[0]"),
        ("error", "Steps[0].RetryPolicies[0]"),
        ("error", "Steps[0].RetryPolicies[0].MaxAttempts"),
        ("error", "Steps[0].RetryPolicies[0].ExpireAfterMin"),
        ("warning", "Steps[0].RetryPolicies[0].ExceptionType"),
        ("error", "Steps[0].CacheConfig.ExpireAfter"),
        ("error", "Steps[1].Arguments.MaxConcurrency"),
        ("error", "Steps[1].Arguments.IterableItems"),
        ("error", "Steps[1].Arguments.Selector"),
        ("error", "Steps[1].Arguments.ForEachBody[0]"),
        ("warning", "Steps[2].Arguments.Conditions"),
    ]
    assert found[-2].fix == "It stands beside 'Arguments', not in it: move 'SqsQueueUrl' there."

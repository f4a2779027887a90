"""Names, lengths and counts are held against the limits of the service."""

from __future__ import annotations

from tests.policy.found_lines import findings_of


def test_names_and_lengths_are_held_against_the_service() -> None:
    document = {
        "Parameters": [{"Name": "a b"}, {"Name": "x", "DefaultValue": "y" * 5000}],
        "Steps": [{"Name": "n" * 65, "Type": "Training", "Arguments": {}, "Description": "d" * 4000}],
    }
    found = [finding for finding in findings_of(document) if "Arguments" not in finding]
    assert found == [
        "error Parameters[0].Name: the parameter's name: 'a b' does not match '[A-Za-z0-9\\\\-_]*'.",
        "error Parameters[1].DefaultValue: the default of 'x': too long: 5000 characters, at most 1024 allowed.",
        "error Steps[0].Name: the step's name: too long: 65 characters, at most 64 allowed.",
        (
            f"error Steps[0].Description: the Description of step '{'n' * 65}': "
            "too long: 4000 characters, at most 3072 allowed."
        ),
    ]


def test_a_large_pipeline_is_told_its_limits() -> None:
    parameters = [{"Name": f"P{index}"} for index in range(201)]
    document = {"Parameters": parameters, "Steps": [], "Metadata": {"x": "y" * 1_100_000}}
    found = findings_of(document)
    assert [line.split(":")[0] for line in found] == ["warning Steps", "warning Parameters", "warning the document"]


def test_the_name_of_a_step_in_a_body_leaves_room_for_the_number_of_its_iteration() -> None:
    body = [{"Name": "b" * 61, "Type": "Callback", "SqsQueueUrl": "q", "Arguments": {}}]
    each = {"IterableItems": ["a"], "MaxConcurrency": 1, "ForEachBody": body}
    assert findings_of({"Steps": [{"Name": "E", "Type": "ForEach", "Arguments": each}]}) == [
        (
            f"error Steps[0].Arguments.ForEachBody[0].Name: the name of step '{'b' * 61}' has 61 characters; in a "
            "ForEach body it may have 60, since its iterations are called '<name>-<index>'."
        )
    ]


def test_a_description_may_have_several_lines() -> None:
    step = {"Name": "S", "Type": "Fail", "Arguments": {"ErrorMessage": "m"}, "Description": "one\ntwo"}
    assert findings_of({"Steps": [step]}) == []

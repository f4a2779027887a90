"""No member of a request is dropped in silence: the table against botocore, against jobs, and against the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import botocore.session
import pytest

from airflow_sm_pipelines.engine.rules.request_members import (
    REQUEST_MEMBERS,
    Effect,
    find_rule,
    iter_members,
)
from airflow_sm_pipelines.service_model import load_service_model

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MODEL = botocore.session.get_session().get_service_model("sagemaker")


def iter_paths(shape: Any, path: tuple[str, ...] = (), seen: frozenset[str] = frozenset()) -> Iterator[tuple[str, ...]]:
    """The paths of all members below a shape, without the indices of lists."""
    if shape.type_name == "list":
        yield from iter_paths(shape.member, path, seen)
    elif shape.type_name == "structure" and shape.name not in seen and shape.members:
        for name, member in shape.members.items():
            yield from iter_paths(member, (*path, name), seen | {shape.name})
    else:
        yield path


@pytest.mark.parametrize("operation", sorted(REQUEST_MEMBERS))
def test_every_member_has_a_rule(operation: str) -> None:
    paths = list(iter_paths(MODEL.operation_model(operation).input_shape))
    assert [".".join(path) for path in paths if find_rule(operation, path) is None] == []


@pytest.mark.parametrize("operation", sorted(REQUEST_MEMBERS))
def test_every_rule_is_about_a_member_of_the_model(operation: str) -> None:
    shape = load_service_model().get_operation(operation).input_shape  # botocore's, or the newer one of this package
    known = {path[:end] for path in iter_paths(shape) for end in range(1, 12)}
    for rule in REQUEST_MEMBERS[operation]:
        assert rule.path in known, rule.name
        assert (rule.effect is Effect.ACTS) == (not rule.reason), rule.name


def test_the_nearest_path_counts() -> None:
    def effect(operation: str, *path: str) -> Effect | None:
        rule = find_rule(operation, path)
        return rule.effect if rule else None

    assert effect("CreateTrainingJob", "OutputDataConfig", "S3OutputPath") is Effect.ACTS
    assert effect("CreateTrainingJob", "OutputDataConfig", "KmsKeyId") is Effect.RECORDED
    tuned = ("TrainingJobDefinitions", "InputDataConfig", "DataSource", "FileSystemDataSource", "FileSystemId")
    assert effect("CreateHyperParameterTuningJob", *tuned) is Effect.REFUSED
    assert effect("CreateTrainingJob", "Unknown") is None


def test_a_member_that_is_null_or_empty_is_not_there() -> None:
    def names(request: dict[str, Any], effect: Effect) -> list[str]:
        return [rule.name for rule in iter_members("CreateTrainingJob", request, effect)]

    assert names({"MlflowConfig": None, "DebugRuleConfigurations": []}, Effect.SAID) == []
    channels = [{"ChannelName": "a"}, {"RecordWrapperType": "RecordIO"}]
    assert names({"InputDataConfig": channels, "MlflowConfig": {"MlflowRunName": "x"}}, Effect.SAID) == [
        "InputDataConfig.RecordWrapperType",
        "MlflowConfig",
    ]
    assert names({"InputDataConfig": [{"RecordWrapperType": "None"}]}, Effect.SAID) == []


def test_the_page_has_the_table(repository: Path) -> None:
    page = (repository / "docs" / "engine.md").read_text()
    assert write_table() in page, "put the text of write_table() into docs/engine.md"


def write_table() -> str:
    """The table of docs/engine.md: all members that do not simply act."""
    lines = ["| call | member | here | why |", "|---|---|---|---|"]
    for operation, rules in REQUEST_MEMBERS.items():
        for effect in (Effect.RECORDED, Effect.SAID, Effect.REFUSED):
            by_reason: dict[str, list[str]] = {}
            for rule in rules:
                if rule.effect is effect:
                    by_reason.setdefault(rule.reason, []).append(f"`{rule.name}`")
            for reason, names in by_reason.items():
                lines.append(f"| {operation} | {', '.join(names)} | {effect.value} | {reason} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(write_table(), end="")

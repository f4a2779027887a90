"""Which model judges, and what it knows."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import botocore.session
import pytest

from airflow_sm_pipelines.service_model import (
    STEP_CALLS,
    api_model,
    find_parameter_type,
    find_shape,
    load_service_model,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NEWER = {"operations": {"CreateThing": {"input": {"shape": "Thing"}}}, "shapes": {"Thing": {"type": "structure"}}}


@pytest.fixture(autouse=True)
def fresh_model() -> Iterator[None]:
    load_service_model.cache_clear()
    yield
    load_service_model.cache_clear()


@pytest.mark.parametrize(
    ("installed", "is_installed"),
    [("1.44.4", False), ("1.9.99", False), ("", False), ("1.1000.0", True), ("2.0", True), ("9.9.9.dev1", True)],
)
def test_the_newer_model_judges(installed: str, is_installed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_model, "read_installed_version", lambda: installed)
    monkeypatch.setattr(api_model, "read_installed_model", lambda: NEWER)
    loaded = load_service_model()
    assert (loaded.version == installed) is is_installed
    assert ("CreateThing" in loaded.operation_names) is is_installed


def test_the_carried_model_judges_where_botocore_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "botocore", None)
    assert "CreatePipeline" in load_service_model().operation_names


def test_the_carried_model_is_that_of_the_pinned_botocore(repository: Path) -> None:
    pinned = re.search(r"^botocore==([\d.]+)", (repository / "requirements" / "dev.txt").read_text(), re.MULTILINE)
    assert pinned is not None
    assert api_model.read_carried_model()[1] == pinned[1], "run scripts/make_service_model.py"


def test_the_carried_model_says_what_botocores_says() -> None:
    document, version = api_model.read_carried_model()
    if version != api_model.read_installed_version():
        pytest.skip("another botocore is installed")
    carried = api_model.ServiceModel(document, version=version)
    theirs = botocore.session.Session().get_service_model("sagemaker")
    assert carried.operation_names == set(theirs.operation_names)
    assert carried.shape_names == set(theirs.shape_names)
    for name in carried.shape_names:
        assert _facts(carried.get_shape(name)) == _their_facts(theirs.shape_for(name)), name


def _facts(shape: api_model.Shape) -> dict[str, Any]:
    parts = [getattr(shape, part).name for part in ("member", "key", "value") if hasattr(shape, part)]
    return {
        "type": shape.type_name,
        "limits": (shape.minimum, shape.maximum, shape.spelled_pattern, list(shape.enum)),
        "members": {key: member.name for key, member in shape.members.items()},
        "required": list(shape.required_members),
        "union": shape.is_tagged_union,
        "parts": parts,
    }


def _their_facts(shape: Any) -> dict[str, Any]:
    limits = shape.metadata
    parts = [getattr(shape, part).name for part in ("member", "key", "value") if hasattr(shape, part)]
    return {
        "type": shape.type_name,
        "limits": (limits.get("min"), limits.get("max"), limits.get("pattern", ""), limits.get("enum", [])),
        "members": {key: member.name for key, member in getattr(shape, "members", {}).items()},
        "required": getattr(shape, "required_members", []),
        "union": getattr(shape, "is_tagged_union", False),
        "parts": parts,
    }


def test_the_carried_model_is_small_and_has_no_prose() -> None:
    document, _ = api_model.read_carried_model()
    assert api_model.CARRIED_MODEL.stat().st_size < 150_000
    assert "documentation" not in document
    assert not any("documentation" in shape for shape in document["shapes"].values())


@pytest.mark.parametrize(
    ("shape", "text", "may_be_new"),
    [
        ("TrainingInstanceType", "ml.m99.huge", True),
        ("TrainingInstanceType", "ml m99", False),
        ("TrainingInstanceType", "x" * 500, False),
        ("ReservedCapacityInstanceType", "ml.p9.large", True),
        ("ClarifyTextLanguage", "tlh", True),
        ("TrainingInputMode", "Fast", False),
    ],
)
def test_lists_that_grow_may_gain_a_value(shape: str, text: str, may_be_new: bool) -> None:
    assert load_service_model().get_shape(shape).may_gain(text) is may_be_new


def test_every_call_of_a_step_is_in_the_model_with_the_members_that_may_be_missing() -> None:
    for step_type, call in STEP_CALLS.items():
        for path in call.may_miss:
            shape = find_shape(step_type, tuple(0 if part == "*" else part for part in path[:-1]))
            assert shape is not None, (step_type, path)
            assert path[-1] in shape.required_members, (step_type, path)


@pytest.mark.parametrize(
    ("step_type", "path", "expected"),
    [
        ("Training", ("ResourceConfig", "InstanceCount"), "Integer"),
        ("Training", ("HyperParameters", "max_depth"), "String"),
        ("Training", ("EnableManagedSpotTraining",), "Boolean"),
        ("EndpointConfig", ("ProductionVariants", 0, "InitialVariantWeight"), "Float"),
        ("Training", ("ResourceConfig",), None),
        ("Training", ("ResourceConfig", "Nothing", "Inner"), None),
        ("Training", ("RoleArn", "Inner"), None),
        ("Condition", ("Conditions",), None),
    ],
)
def test_the_parameter_type_of_a_place_is_that_of_its_shape(step_type: str, path: Any, expected: str | None) -> None:
    assert find_parameter_type(step_type, path) == expected


def test_importing_the_package_imports_neither_botocore_nor_the_model() -> None:
    code = "import sys, airflow_sm_pipelines.service_model as s; print('botocore' in sys.modules)"
    code += "; print(s.load_service_model.cache_info().currsize)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout == "False\n0\n"

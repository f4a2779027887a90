"""A function of a DAG file as a script: what goes along, what is refused, by value."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.compiler.script import parse_metadata
from airflow_sm_pipelines.decorators.function_script import bind_config, keep_script, make_script, own_signature
from airflow_sm_pipelines.exceptions import ScriptFunctionError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DEPTH = 3


def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    return function


@decorated
def build(sagemaker_session: Any, role: str, depth: int = 2, *, values: tuple[int, ...] = (), **more: Any) -> Any:
    # kept
    import json as written

    class Local:
        size = depth

    names = [value for value in values if value]
    return {"role": role, "text": written.dumps([depth, *names, Local.size, sorted(more)]), "s": sagemaker_session}


def test_the_script_is_the_function_alone_and_runs_by_itself(tmp_path: Path) -> None:
    text = make_script(build, requirements=["sagemaker>=2.257,<3", 'tomli; python_version < "3.11"'])
    assert "@decorated" not in text
    assert "    # kept\n" in text
    metadata = parse_metadata(text, path=tmp_path / "build.py")
    assert metadata is not None
    assert metadata.dependencies == ("sagemaker>=2.257,<3", 'tomli; python_version < "3.11"')
    namespace: dict[str, Any] = {}
    exec(compile(text, "build.py", "exec"), namespace)  # noqa: S102 - it is the function above
    assert namespace["build"]("s", "r", depth=4, values=[0, 1], x=5)["text"] == json.dumps([4, 1, 4, ["x"]])


def test_the_same_function_is_the_same_file(tmp_path: Path) -> None:
    text = make_script(build, requirements=None)
    path = keep_script(text, name="build", folder=tmp_path / "functions")
    changed = path.stat().st_mtime_ns
    assert keep_script(text, name="build", folder=tmp_path / "functions") == path
    assert (path.read_text(), path.stat().st_mtime_ns) == (text, changed)
    assert keep_script(f"{text}#", name="build", folder=tmp_path / "functions") != path


def test_names_from_outside_are_refused_together() -> None:
    def careless(depth: int = DEPTH) -> Any:
        def inner() -> Any:
            return json.dumps(depth) + str(build)

        return inner()

    with pytest.raises(ScriptFunctionError) as refusal:
        make_script(careless, requirements=None)
    for name in ("'DEPTH'", "'json'", "'build'"):
        assert name in str(refusal.value)
    assert "Import or define it inside" in str(refusal.value)


def test_a_lambda_is_refused() -> None:
    with pytest.raises(ScriptFunctionError):
        make_script(lambda role: role, requirements=None)


def test_only_the_authors_parameters_are_left() -> None:
    assert list(own_signature(build).parameters) == ["depth", "values", "more"]


def test_a_call_becomes_config_with_what_the_context_gives() -> None:
    def wants(depth: int, params: Any = None, ds: Any = None) -> Any:
        return depth, params, ds

    context = {"params": {"a": 1}, "ds": "2026-11-23", "ti": object()}
    assert bind_config(wants, args=(2,), kwargs={"ds": "mine"}, context=context) == {
        "params": {"a": 1},
        "depth": 2,
        "ds": "mine",
    }
    assert bind_config(build, args=(), kwargs={"depth": 1, "x": 5}, context={}) == {"depth": 1, "x": 5}


def test_a_value_that_json_cannot_carry_is_named() -> None:
    with pytest.raises(
        ScriptFunctionError,
        match=r"Argument 'depth' of build\(\) is object.*; arguments go to the pipeline script as JSON\.$",
    ):
        bind_config(build, args=(), kwargs={"depth": object()}, context={})
    with pytest.raises(ScriptFunctionError, match="cannot be called so"):
        bind_config(build, args=(1, 2), kwargs={}, context={})

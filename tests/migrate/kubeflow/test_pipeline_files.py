"""Where pipelines are found, and how files that hold none are refused: one line with the place."""

from __future__ import annotations

import json
import time

import pytest

from airflow_sm_pipelines.exceptions import MigrationError
from airflow_sm_pipelines.migrate.kubeflow import find_pipelines, read_pipeline
from airflow_sm_pipelines.migrate.kubeflow.pipeline_files import MAX_TASKS

IR = """\
pipelineInfo:
  name: p
components:
  comp-a:
    executorLabel: exec-a
deploymentSpec:
  executors:
    exec-a:
      container:
        image: python:3.11
        command: [python3]
root:
  dag:
    tasks:
      a:
        componentRef:
          name: comp-a
"""


def read(text: str, name: str = "p.yaml") -> None:
    """Find the pipelines of a file, and read each."""
    for held in find_pipelines(text.encode(), name=name):
        read_pipeline(held, name="p", origin=name)


def test_the_platform_is_the_second_document_and_a_job_wraps_a_pipeline() -> None:
    platform = "---\nplatforms:\n  kubernetes:\n    deploymentSpec: {executors: {exec-a: {pvcMount: []}}}\n"
    (held,) = find_pipelines((IR + platform).encode(), name="p.yaml")
    assert held.platform["deploymentSpec"] == {"executors": {"exec-a": {"pvcMount": []}}}
    spec = {"pipelineInfo": {"name": "p"}, "deploymentSpec": {}, "root": {"dag": {"tasks": {}}}}
    job = {"pipelineSpec": spec, "runtimeConfig": {"parameters": {"n": {"intValue": "3"}}}}
    (wrapped,) = find_pipelines(json.dumps(job).encode(), name="p.json")
    assert (wrapped.name, wrapped.given) == ("p", {"n": "3"})


@pytest.mark.parametrize(
    ("text", "place", "problem"),
    [
        (IR + "x: [1", "p.yaml:18:6", "not YAML"),
        (IR.replace("  name: p\n", "\tname: p\n"), "p.yaml:2:1", "not YAML"),
        ("a: 1\n", "p.yaml:1:1", "holds no pipeline"),
        (IR.replace("name: comp-a", "name: comp-b"), "p.yaml:17:11", "no component is called so"),
        (IR.replace("executorLabel: exec-a", "executorLabel: exec-b"), "p.yaml:5:20", "there is no executor"),
        (IR + "        dependentTasks: [a]\n", "p.yaml:16:9", "wait for each other"),
        (IR + "        dependentTasks: [b]\n", "p.yaml:16:9", "no task is called so"),
        ("a: &a [x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n" + "".join(
            f"{two}: &{two} [{','.join([f'*{one}'] * 9)}]\n" for one, two in zip("bcdefg", "cdefgh", strict=True)
        ), "p.yaml:1:1", "more than 300000 values"),
        ("a: &a {b: *a}\n", "p.yaml:1:1", "more than 300000 values"),
        ("1: 2\n", "p.yaml:1:1", "is no text for YAML"),
        (IR.replace("image: python:3.11", "image: !!python/object:os.system x"), "p.yaml:10:16", "not YAML"),
        ("[" * 3000, "p.yaml:1", ""),
    ],
    ids=["cut off", "tab", "other", "component", "executor", "circle", "task", "bomb", "itself", "key", "tag", "deep"],
)  # fmt: skip
def test_bad_files_are_refused_with_their_place(text: str, place: str, problem: str) -> None:
    begun = time.monotonic()
    with pytest.raises(MigrationError) as caught:
        read(text)
    assert time.monotonic() - begun < 10
    message = str(caught.value)
    assert message.startswith(f"{place}:")
    assert problem in message
    assert "\n" not in message


def test_a_pipeline_of_ten_thousand_tasks_is_refused_before_it_is_parsed() -> None:
    tasks = "".join(f"      t{number}:\n        componentRef:\n          name: comp-a\n" for number in range(10_000))
    begun = time.monotonic()
    with pytest.raises(MigrationError, match=rf"\Ap.yaml:\d+:9: .* more than {MAX_TASKS} tasks"):
        read(IR + tasks)
    assert time.monotonic() - begun < 2


def test_yaml_that_takes_long_to_read_is_refused_before() -> None:
    with pytest.raises(MigrationError, match=r"\Ap.yaml:1:1: this YAML has more than 100000 lines"):
        read("deploymentSpec: [" + "a," * 100_000 + "a]\nroot: {}\n")


def test_a_component_that_calls_itself_is_refused() -> None:
    body = IR.replace("    executorLabel: exec-a\n", "    dag: {tasks: {b: {componentRef: {name: comp-a}}}}\n")
    with pytest.raises(MigrationError, match="which it is part of"):
        read(body)

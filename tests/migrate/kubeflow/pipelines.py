"""Small pipelines of KFP for tests, as the objects that its compiler writes."""

from __future__ import annotations

from typing import Any

from airflow_sm_pipelines.migrate import Migration, MigrationPackage, make_package
from airflow_sm_pipelines.migrate.kubeflow import HeldPipeline, read_pipeline

IMAGE = "python:3.11"


def constant(value: Any) -> dict[str, Any]:
    """An input that is a constant."""
    return {"runtimeValue": {"constant": value}}


def output(task: str, key: str = "Output") -> dict[str, Any]:
    """An input that is another task's output parameter."""
    return {"taskOutputParameter": {"producerTask": task, "outputParameterKey": key}}


def given(name: str) -> dict[str, Any]:
    """An input that is one of the graph's own."""
    return {"componentInputParameter": name}


def call(component: str, after: tuple[str, ...] = (), condition: str = "", **parameters: Any) -> dict[str, Any]:
    """A task that calls a component."""
    task: dict[str, Any] = {"componentRef": {"name": component}, "inputs": {"parameters": parameters}}
    if after:
        task["dependentTasks"] = list(after)
    if condition:
        task["triggerPolicy"] = {"condition": condition}
    return task


def define(names: str, kind: str = "STRING") -> dict[str, Any]:
    """Definitions of parameters, by their names with blanks between."""
    return {"parameters": {name: {"parameterType": kind} for name in names.split()}}


def graph(tasks: dict[str, Any], inputs: str = "", outputs: dict[str, Any] | None = None) -> dict[str, Any]:
    """A component with a graph."""
    dag: dict[str, Any] = {"tasks": tasks}
    body = {"dag": dag, "inputDefinitions": define(inputs)}
    if outputs:
        dag["outputs"] = {"parameters": outputs}
        body["outputDefinitions"] = define(" ".join(outputs))
    return body


def make(
    tasks: dict[str, Any],
    components: dict[str, Any] | None = None,
    *,
    inputs: dict[str, Any] | None = None,
    image: str = IMAGE,
    container: dict[str, Any] | None = None,
    platform: dict[str, Any] | None = None,
    executors: dict[str, Any] | None = None,
    **options: Any,
) -> Migration:
    """The migration of a pipeline that may call ``comp-work``, which takes a text and gives one."""
    work = {
        "image": image,
        "command": ["python3", "-c", "pass"],
        "args": ["{{$.inputs.parameters['text']}}", "{{$.outputs.parameters['Output'].output_file}}"],
        **(container or {}),
    }
    document = {
        "pipelineInfo": {"name": "p"},
        "components": {
            "comp-work": {
                "executorLabel": "exec-work",
                "inputDefinitions": define("text"),
                "outputDefinitions": define("Output"),
            },
            **(components or {}),
        },
        "deploymentSpec": {"executors": {"exec-work": {"container": work}, **(executors or {})}},
        "root": {"dag": {"tasks": tasks}, "inputDefinitions": {"parameters": inputs or {}}},
    }
    held = HeldPipeline("p", False, document, lambda path: "p.yaml:1:1", platform or {})
    return read_pipeline(held, name="p", origin="p.yaml", **options)


def make_files(migration: Migration) -> MigrationPackage:
    """The files of a migration, which its own check must not contradict."""
    package = make_package(migration)
    assert package.contradictions == ()
    return package

"""Values of a workflow as Airflow gets them: templates, results of tasks, plain values."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

from airflow_sm_pipelines.migrate.python_text import Code, Value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_sm_pipelines.definition import JsonObject, JsonValue
    from airflow_sm_pipelines.migrate.results import Result, Results

_EXECUTION = {
    "PipelineExecutionId": "run_id",
    "PipelineExecutionArn": "run_id",
    "PipelineName": "dag.dag_id",
    "PipelineArn": "dag.dag_id",
    "StartDateTime": "dag_run.start_date.isoformat()",
    "CurrentDateTime": "macros.datetime.now().isoformat()",
}
"""What the facts of an execution are where Airflow, not a pipeline, needs them."""


class AirflowValues:
    """How the tasks of one unit write what they are given.

    :param reader: the unit.
    :param tasks: the id of the task that has each unit's result, by unit.
    :param variables: the Python name of that task, by unit.
    """

    def __init__(
        self, *, reader: str, results: Results, tasks: Mapping[str, str], variables: Mapping[str, str]
    ) -> None:
        self._reader = reader
        self._results = results
        self._tasks = tasks
        self._variables = variables

    def render(self, value: JsonValue) -> Value:
        """The value, with templates and tasks' results in the place of expressions."""
        if isinstance(value, dict):
            if len(value) == 1 and (next(iter(value)) == "Get" or next(iter(value)).startswith("Std:")):
                return self._whole(value)
            return {key: self.render(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.render(item) for item in value]
        return _raw(value) if isinstance(value, str) else value

    def _whole(self, expression: JsonObject) -> Value:
        result = self._results.find(expression, reader=self._reader)
        if result is not None and not result.path and self._results.is_certain(result.unit, reader=self._reader):
            variable = self._variables[result.unit]
            return Code(f'{variable}.output["{result.key}"]' if result.key else f"{variable}.output")
        return self._text(expression)

    def _text(self, value: JsonValue) -> str:
        """A value as (a part of) a template."""
        if isinstance(value, dict):
            if "Std:Join" in value:
                body = cast("JsonObject", value["Std:Join"])
                return _raw(str(body.get("On") or "")).join(map(self._text, cast("list[JsonValue]", body["Values"])))
            return "{{ " + self._jinja(value) + " }}"
        if isinstance(value, bool):
            return "true" if value else "false"
        return _raw(value) if isinstance(value, str) else str(value)

    def _jinja(self, expression: JsonObject) -> str:
        result = self._results.find(expression, reader=self._reader)
        if result is not None:
            return self._pull(result)
        namespace, _, name = str(expression.get("Get", "")).partition(".")
        if namespace == "Parameters":
            return f"params.{name}" if name.isidentifier() else f"params['{name}']"
        if namespace == "Execution":
            return _EXECUTION.get(name, "run_id")
        raise ValueError(f"{expression} has no value in Airflow")

    def _pull(self, result: Result) -> str:
        task = self._tasks[result.unit]
        if result.key:
            return f"ti.xcom_pull(task_ids='{task}', key='{result.key}')"
        parts = re.findall(r"\.([^.\[\]]+)|\['([^']*)'\]|\[(\d+)\]", result.path)
        tail = "".join(f"[{index}]" if index else f"['{name or key}']" for name, key, index in parts)
        return f"ti.xcom_pull(task_ids='{task}'){tail}"


def _raw(text: str) -> str:
    """Text that Jinja leaves as it is."""
    return f"{{% raw %}}{text}{{% endraw %}}" if re.search(r"\{[{%#]", text) else text

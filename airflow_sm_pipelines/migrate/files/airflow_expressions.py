"""Values of a workflow as Airflow gets them: templates, results of tasks, plain values."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

from airflow_sm_pipelines.definition.expressions import is_candidate
from airflow_sm_pipelines.migrate.files.python_text import Code, Value, quote

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from airflow_sm_pipelines.definition import JsonObject, JsonValue
    from airflow_sm_pipelines.migrate.dag_plan.results import Result, Results

_EXECUTION = {
    # Short, and of characters that names of jobs may have, as an execution's id is; a run's id is not.
    "PipelineExecutionId": "dag_run.run_after.strftime('%Y%m%dt%H%M%S')",
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
    :param dicts: the units each key of whose result is an XCom of its own.
    """

    def __init__(
        self,
        *,
        reader: str,
        results: Results,
        tasks: Mapping[str, str],
        variables: Mapping[str, str],
        dicts: Collection[str] = (),
    ) -> None:
        self._reader = reader
        self._results = results
        self._tasks = tasks
        self._variables = variables
        self._dicts = dicts

    def render(self, value: JsonValue) -> Value:
        """The value, with templates and tasks' results in the place of expressions."""
        if isinstance(value, dict):
            if is_candidate(value):
                return self._whole(value)
            return {key: self.render(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.render(item) for item in value]
        return _raw(value) if isinstance(value, str) else value

    def render_list(self, value: JsonValue) -> Value:
        """The same for a list, which a template gives as JSON."""
        rendered = self.render(value)
        is_template = isinstance(rendered, str) and rendered.startswith("{{")
        return rendered.removesuffix(" }}") + " | tojson }}" if is_template and isinstance(rendered, str) else rendered

    def _whole(self, expression: JsonObject) -> Value:
        result = self._results.find(expression, reader=self._reader)
        if result is not None and self._results.is_certain(result.unit, reader=self._reader):
            variable, parts = self._variables[result.unit], _split(result.path)
            if result.key:
                return Code(f'{variable}.output["{result.key}"]')
            if not parts:
                return Code(variable if result.unit in self._dicts else f"{variable}.output")
            if len(parts) == 1 and result.unit in self._dicts and isinstance(parts[0], str):
                return Code(f"{variable}[{quote(parts[0])}]")
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
        tail = "".join(f"[{part}]" if isinstance(part, int) else f"['{part}']" for part in _split(result.path))
        return f"ti.xcom_pull(task_ids='{task}'){tail}"


def _split(path: str) -> list[str | int]:
    """The members and indexes of what follows a node's name."""
    parts = re.findall(r"\.([^.\[\]]+)|\['([^']*)'\]|\[(\d+)\]", path)
    return [int(index) if index else name or key for name, key, index in parts]


def _raw(text: str) -> str:
    """Text that Jinja leaves as it is."""
    return f"{{% raw %}}{text}{{% endraw %}}" if re.search(r"\{[{%#]", text) else text

"""A workflow's expressions as Airflow evaluates them: templates and task results in arguments, Python in conditions."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, cast

from airflow_sm_pipelines.definition.expressions import is_candidate, iter_candidates
from airflow_sm_pipelines.exceptions import MigrationError
from airflow_sm_pipelines.migrate.dag_plan.node_results import ERROR_KEY
from airflow_sm_pipelines.migrate.files.python_text import (
    Code,
    Value,
    escape_template,
    escape_templates,
    quote_jinja,
    quote_python,
)
from airflow_sm_pipelines.migrate.names import PythonNames
from airflow_sm_pipelines.migrate.node_references import find_last_word, is_input, make_function

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from airflow_sm_pipelines.definition import JsonObject, JsonValue
    from airflow_sm_pipelines.migrate.dag_plan.node_results import Result, Results

_EXECUTION = {
    # Short, and of characters that names of jobs may have, as an execution's id is; a run's id is not.
    "PipelineExecutionId": "dag_run.run_after.strftime('%Y%m%dt%H%M%S%f')",
    "PipelineExecutionArn": "run_id",
    "PipelineName": "dag.dag_id",
    "PipelineArn": "dag.dag_id",
    "StartDateTime": "dag_run.start_date.isoformat()",
    "CurrentDateTime": "macros.datetime.now().isoformat()",
}
"""The Jinja expression for each fact of an execution, where an Airflow task and not a pipeline needs it."""

_SIGNS = {
    "Equals": "==",
    "NotEquals": "!=",
    "GreaterThan": ">",
    "GreaterThanOrEqualTo": ">=",
    "LessThan": "<",
    "LessThanOrEqualTo": "<=",
}


class AirflowValues:
    """Writes the values that the tasks of one unit are given.

    :param reader: the unit's name.
    :param tasks: for each unit, the id of the task that has its result.
    :param variables: for each unit, the Python name of that task.
    :param dicts: the units whose result has an XCom for each of its keys.
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
        """The value with templates and task results in place of its expressions; all other text stays text."""
        if isinstance(value, dict):
            if is_candidate(value):
                return self._render_expression(value)
            return {key: self.render(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.render(item) for item in value]
        return escape_template(value) if isinstance(value, str) else value

    def render_list(self, value: JsonValue) -> Value:
        """The same for a list: a template gives it as JSON text."""
        if isinstance(value, dict) and is_candidate(value) and "Std:Join" not in value:
            rendered = self._render_expression(value)
            return self.render_json(value) if isinstance(rendered, str) else rendered
        return self.render(value)

    def render_payload(self, value: JsonValue) -> Value:
        """A value of which nothing is known but what it holds: as it is, or as JSON text from one template."""
        has_expression = next(iter_candidates(value), None) is not None
        return self.render_json(value) if has_expression else escape_templates(value)

    def render_json(self, value: JsonValue) -> str:
        """A template that gives the value as JSON text."""
        return f"{{{{ {self._render_jinja(value)} | tojson }}}}"

    def _render_expression(self, expression: JsonObject) -> Value:
        result = self._results.find(expression, reader=self._reader)
        is_error = result is not None and result.key == ERROR_KEY
        if result is not None and not is_error and self._results.is_certain(result.unit, reader=self._reader):
            variable, parts = self._variables[result.unit], _split_path(result.path)
            if result.key:
                return Code(f"{variable}.output[{quote_python(result.key)}]")
            if not parts:
                return Code(variable if result.unit in self._dicts else f"{variable}.output")
            if len(parts) == 1 and result.unit in self._dicts and isinstance(parts[0], str):
                return Code(f"{variable}[{quote_python(parts[0])}]")
        return self._render_template(expression)

    def _render_template(self, value: JsonValue) -> str:
        """A value as a template, or as a part of one."""
        if isinstance(value, dict):
            if "Std:Join" in value:
                body = cast("JsonObject", value["Std:Join"])
                values = map(self._render_template, cast("list[JsonValue]", body["Values"]))
                return escape_template(str(body.get("On") or "")).join(values)
            return "{{ " + self._render_jinja(value) + " }}"
        if isinstance(value, bool):
            return "true" if value else "false"
        return escape_template(value) if isinstance(value, str) else str(value)

    def _render_jinja(self, value: JsonValue, *, is_lenient: bool = False) -> str:
        """A value as a Jinja expression.

        :param is_lenient: whether what does not exist gives None instead of an error.
        """
        if isinstance(value, list):
            return f"[{', '.join(self._render_jinja(item) for item in value)}]"
        if not isinstance(value, dict):
            return _render_jinja_scalar(value)
        if not is_candidate(value):
            items = (f"{quote_jinja(key)}: {self._render_jinja(item)}" for key, item in value.items())
            return f"{{{', '.join(items)}}}"
        if "Std:Join" in value:
            body = cast("JsonObject", value["Std:Join"])
            between = f" ~ {quote_jinja(str(body['On']))} ~ " if body.get("On") else " ~ "
            return f"({between.join(map(self._render_jinja, cast('list[JsonValue]', body['Values'])))})"
        if "Std:First" in value:
            each = ", ".join(
                self._render_jinja(item, is_lenient=True) for item in cast("list[JsonValue]", value["Std:First"])
            )
            return f"([{each}] | reject('none') | first)"
        if "Std:Function" in value:
            return self._render_function(cast("JsonObject", value["Std:Function"]))
        return self._render_get(value, is_lenient=is_lenient)

    def _render_get(self, expression: JsonObject, *, is_lenient: bool) -> str:
        start, parts = self._split_get(expression)
        return _render_members(start, parts, is_lenient=is_lenient)

    def _split_get(self, expression: JsonObject) -> tuple[str, list[str | int]]:
        """The Jinja expression that a reference begins with, and the members that follow."""
        result = self._results.find(expression, reader=self._reader)
        if result is not None:
            return self._render_pull(result), _split_path(result.path)
        text = str(expression.get("Get", ""))
        if is_input(text):
            return "params", _split_path(text.removeprefix("Input"))
        namespace, _, name = text.partition(".")
        if namespace == "ForEach":
            items = self._results.find_loop(self._reader)
            start = f"ti.xcom_pull(task_ids={quote_jinja(f'{items}_items')})[ti.map_index]"
            return start, _split_path(name.removeprefix("CurrentItem"))
        if namespace == "Parameters":
            is_plain = name.isascii() and name.isidentifier()
            return f"params.{name}" if is_plain else f"params[{quote_jinja(name)}]", []
        if namespace == "Execution":
            return _EXECUTION.get(name, "run_id"), []
        raise MigrationError(f"{self._reader}: {expression} has no value in Airflow.")

    def _render_pull(self, result: Result) -> str:
        task = quote_jinja(self._tasks[result.unit])
        key = f", key={quote_jinja(result.key)}" if result.key else ""
        if self._results.find_loop(result.unit) is not None:
            key += ", map_indexes=ti.map_index"  # of the same item
        return f"ti.xcom_pull(task_ids={task}{key})"

    def _render_function(self, function: JsonObject) -> str:
        name = str(function["Name"])
        given = cast("list[JsonValue]", function["Arguments"])
        if name == "Jsonata":
            return self._render_jsonata(str(given[0]), cast("JsonObject", given[1]))
        rendered = [self._render_jinja(one, is_lenient=name == "Find") for one in given]
        return _FUNCTIONS[name].format(*rendered)

    def _render_jsonata(self, expression: str, given: JsonObject) -> str:
        """Each value as a tuple with the path to it, since JSONata goes on in each item where it comes to a list."""
        pairs = []
        for name, value in given.items():
            parts: list[str | int] = []
            if isinstance(value, dict) and value.keys() == {"Get"}:
                start, parts = self._split_get(value)
            else:
                start = self._render_jinja(value)
            path = "".join(f", {part if isinstance(part, int) else quote_jinja(part)}" for part in parts)
            pairs.append(f"{quote_jinja(name)}: ({start}{path or ','})")
        return f"query_jsonata({quote_jinja(expression)}, {{{', '.join(pairs)}}})"


_FUNCTIONS = {
    "Add": "({0} | int + {1} | int)",
    "ArrayContains": "({1} in {0})",
    "ArrayGetItem": "({0})[{1} | int]",
    "ArrayLength": "({0} | length)",
    "Find": "{0}",
    "Json": "({0} | tojson)",
    "Member": "({0})[{1}]",
    "Merge": "dict({0}, **{1})",
    "ParseJson": "macros.json.loads({0})",
    "Query": "query_json({0}, {1})",
    "Range": "(range({0} | int, {1} | int + 1, {2} | int) | list)",
    "Split": "(({0} | string).split({1}) | reject('equalto', '') | list)",
    "Structure": "{0}",
    "Unique": "({0} | unique(case_sensitive=true) | list)",
    "Uuid": "(macros.uuid.uuid4() | string)",
}
"""The Jinja expression of each function of the model, with its arguments by position."""


def _render_jinja_scalar(value: bool | float | str | None) -> str:
    if isinstance(value, str):
        return quote_jinja(value)
    return str(value).lower() if value is None or isinstance(value, bool) else repr(value)


def _render_members(start: str, parts: Sequence[str | int], *, is_lenient: bool) -> str:
    """A member of a value, as a Jinja expression."""
    if not is_lenient:
        return start + "".join(f"[{part}]" if isinstance(part, int) else f"[{quote_jinja(part)}]" for part in parts)
    for part in parts:
        start = f"({start} or [])[{part}]" if isinstance(part, int) else f"({start} or {{}}).get({quote_jinja(part)})"
    return start


class BranchConditions:
    """Conditions as Python expressions over the arguments of one function.

    :ivar arguments: the expressions that the function is given, by the name of its argument.
    :ivar has_tests: whether the function calls ``holds``.
    :ivar has_answers: whether it calls ``answer_text``.
    """

    def __init__(self) -> None:
        self.arguments: dict[str, JsonObject] = {}
        self.has_tests = False
        self.has_answers = False
        self._names = PythonNames(("holds", "answer", "answer_text", "arguments"))
        self._known: dict[str, str] = {}

    def render(self, conditions: Sequence[JsonObject]) -> str:
        """A Python expression that is true when all of the conditions hold."""
        return " and ".join(self._render_condition(one, is_inner=len(conditions) > 1) for one in conditions)

    def _render_condition(self, condition: JsonObject, *, is_inner: bool = True) -> str:
        kind = condition["Type"]
        if kind == "Test":
            return self._render_test(condition)
        if kind in _SIGNS:
            left, right = condition["LeftValue"], condition["RightValue"]
            convert = _find_conversion(left, right, is_order=kind not in ("Equals", "NotEquals"))
            return f"{self._render_operand(left, convert)} {_SIGNS[str(kind)]} {self._render_operand(right, convert)}"
        if kind in ("In", "NotIn"):
            value = condition.get("QueryValue", condition.get("Value"))
            among = cast("list[JsonValue]", condition.get("Values", condition.get("In")))
            convert = _find_conversion(value, *among)
            listed = ", ".join(self._render_operand(one, convert) for one in among)
            return f"{self._render_operand(value, convert)} {'not in' if kind == 'NotIn' else 'in'} [{listed}]"
        if kind == "Not":
            inner = self._render_condition(cast("JsonObject", condition["Condition"]), is_inner=False)
            return f"not ({inner})"
        either = [self._render_condition(one) for one in cast("list[JsonObject]", condition["Conditions"])]
        return f"({' or '.join(either)})" if is_inner else " or ".join(either)

    def _render_test(self, condition: JsonObject) -> str:
        """A test of one value, which is given as JSON text, so that nothing of its type is lost."""
        self.has_tests = True
        operands = [condition["Value"], *([condition["Other"]] if "Other" in condition else [])]
        given = ", ".join(map(self._render_tested, operands))
        return f"holds({quote_python(str(condition['Name']))}, {given})"

    def _render_tested(self, value: JsonValue) -> str:
        """The JSON text of a value that is tested, as Python."""
        if not isinstance(value, dict):
            return quote_python(json.dumps(value))
        text = str(value.get("Get"))
        if not text.startswith("Answer"):
            return self._claim_argument(make_function("Json", make_function("Find", value)))
        self.has_answers = True
        path = (part if isinstance(part, int) else quote_python(part) for part in _split_path(text))
        return f"answer_text({', '.join(map(str, ('answer', *path)))})"

    def _render_operand(self, value: JsonValue, convert: str) -> str:
        if isinstance(value, dict):
            text = value.get("Get")
            is_answer = isinstance(text, str) and text.startswith("Answer")
            argument = render_answer(str(text)) if is_answer else self._claim_argument(value)
            return convert.format(argument) if convert else argument
        if isinstance(value, bool):
            return quote_python("true" if value else "false")
        return quote_python(value) if isinstance(value, str) else repr(value)

    def _claim_argument(self, expression: JsonObject) -> str:
        key = json.dumps(expression, sort_keys=True)
        if key not in self._known:
            self._known[key] = name = self._names.claim(find_last_word(expression))
            self.arguments[name] = expression
        return self._known[key]


def render_answer(text: str) -> str:
    """A part of the answer of a call that is repeated, as Python."""
    parts = _split_path(text.removeprefix("Answer"))
    return "answer" + "".join(f"[{part}]" if isinstance(part, int) else f"[{quote_python(part)}]" for part in parts)


def _find_conversion(*operands: JsonValue, is_order: bool = False) -> str:
    """How arguments become comparable with literals: templates give text, also for numbers and truth values."""
    literals = [one for one in operands if not isinstance(one, (dict, list))]
    if any(isinstance(one, bool) for one in literals):
        return "str({}).lower()"
    if any(isinstance(one, (int, float)) for one in literals) or (is_order and not literals):
        return "float({})"
    return "str({})"


def _split_path(path: str) -> list[str | int]:
    """The members and indexes in what follows a node's name: ``.Items[0]['size']``."""
    parts = re.findall(r"\.([^.\[\]]+)|\['([^']*)'\]|\[(\d+)\]", path)
    return [int(index) if index else name or key for name, key, index in parts]

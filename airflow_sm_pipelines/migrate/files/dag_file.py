"""Writes the DAG file of a plan, as Python that people can read and keep.

All text of the source goes through :mod:`python_text`; this module writes only names and code of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import indent
from typing import TYPE_CHECKING, cast

from airflow_sm_pipelines.migrate.dag_plan.units import (
    ChoiceUnit,
    LoopUnit,
    PipelineUnit,
    TaskUnit,
    TryUnit,
    Unit,
    Upstream,
    iter_units,
)
from airflow_sm_pipelines.migrate.files.airflow_expressions import AirflowValues, BranchConditions, render_answer
from airflow_sm_pipelines.migrate.files.dag_head import HELPERS, SDK_NAMES, DagBody, render_head, render_seconds
from airflow_sm_pipelines.migrate.files.python_text import (
    INDENT,
    Code,
    Value,
    escape_templates,
    quote_python,
    render_call,
    render_docstring,
    render_import,
    render_value,
)
from airflow_sm_pipelines.migrate.names import PythonNames
from airflow_sm_pipelines.migrate.workflow import (
    MAX_CONCURRENCY,
    CallNode,
    MissingNode,
    OperatorNode,
    ValueNode,
    WaitNode,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airflow_sm_pipelines.definition import JsonObject
    from airflow_sm_pipelines.migrate.dag_plan.dag import DagPlan
    from airflow_sm_pipelines.migrate.workflow import CallRepeat

_RULE_AFTER_CHOICE = "none_failed_min_one_success"
_RULES = {"Failed": "one_failed", "Stopped": "one_failed", "Any": "all_done"}
"""Airflow's trigger rule for a dependency's trigger, where it is not ``Completed``."""


@dataclass(frozen=True, slots=True)
class _TaskNames:
    """The ids and Python names of a unit's tasks.

    :param first: the id of the unit's first task.
    :param last: the id of the task that has the unit's result; the same if there is one task only.
    :param first_variable: the Python name of the first task.
    :param variable: the Python name of the last task.
    :param is_dict: whether each key of the result has an XCom of its own.
    """

    first: str
    last: str
    first_variable: str
    variable: str
    is_dict: bool = False


def render_dag(plan: DagPlan, *, doc: str, definitions: Mapping[str, str]) -> str:
    """The source of the DAG file.

    :param doc: the file's docstring, which Airflow shows as the DAG's documentation.
    :param definitions: for each unit, the path of its pipeline's definition, relative to the DAG file's folder.
    """
    return _DagWriter(plan, definitions).render(doc)


class _DagWriter:
    def __init__(self, plan: DagPlan, definitions: Mapping[str, str]) -> None:
        self._plan = plan
        self._definitions = definitions
        self._body = DagBody()
        self._names = PythonNames(["DAG", "Param", *SDK_NAMES, "item", "role", "ti", "timedelta", *HELPERS])
        self._units = {unit.name: unit for unit in iter_units(plan.units)}
        self._deploy_ids: dict[str, str] = {}
        self._entries: dict[str, tuple[list[str], str]] = {}
        self._choices: dict[str, str] = {}
        self._around: dict[str, tuple[ChoiceUnit | TryUnit, bool]] = {}
        self._note_places(plan.units)
        self._ids = {name: self._name_tasks(unit) for name, unit in self._units.items()}

    def _note_places(self, units: Sequence[Unit]) -> None:
        """Note for each unit inside another one which that is, and whether it is work whose failure is handled."""
        for unit in units:
            if isinstance(unit, LoopUnit):
                self._note_places(unit.body)
            if isinstance(unit, TryUnit):
                self._around.update((inner.name, (unit, True)) for inner in unit.body)
                self._note_places(unit.body)
            if isinstance(unit, (ChoiceUnit, TryUnit)):
                for _, block in unit.branches:
                    self._around.update((inner.name, (unit, False)) for inner in block)
                    self._note_places(block)

    def _name_tasks(self, unit: Unit) -> _TaskNames:
        is_call = not isinstance(unit, PipelineUnit) and isinstance(unit.node, CallNode)
        if isinstance(unit, PipelineUnit):
            ending = f"_{unit.name}" if len(self._plan.pipelines) > 1 else ""
            is_bound = bool(self._plan.pipelines[unit.name].bound)
            self._deploy_ids[unit.name] = f"deploy{ending}"
            first, last = f"{'bind' if is_bound else 'deploy'}{ending}", f"run{ending}"
        elif isinstance(unit, LoopUnit):
            first, last = f"{unit.name}_items", unit.name
        else:
            is_awaited = isinstance(unit.node, CallNode) and unit.node.wait is not None
            first, last = unit.name, f"{unit.name}_end" if is_awaited else unit.name
        first_variable = self._names.claim(first)
        if first != last:
            return _TaskNames(first, last, first_variable, self._names.claim(last))
        return _TaskNames(first, last, first_variable, first_variable, is_dict=is_call)

    def render(self, doc: str) -> str:
        for unit in self._plan.units:
            self._write_unit(unit, None)
        if self._body.edges:
            self._write_line("")
            self._body.lines.extend(self._body.edges)
        return "".join(
            [render_head(self._plan, self._body, doc), *(f"{line}\n" if line else "\n" for line in self._body.lines)]
        )

    # --- units ------------------------------------------------------------------------------------------------------

    def _write_unit(self, unit: Unit, branch: ChoiceUnit | TryUnit | None) -> None:
        """Write a unit and the units inside it.

        :param branch: the choice that has the unit in one of its branches; None outside a choice.
        """
        if branch is not None and not unit.upstream:
            self._choices[unit.name] = self._ids[branch.name].first
        rule = self._entries[unit.name][1] if unit.name in self._entries else self._find_trigger_rule(unit.upstream)
        if isinstance(unit, TryUnit):
            self._write_try(unit, branch, rule)
            return
        if isinstance(unit, LoopUnit):
            self._write_loop(unit, branch, rule)
            return
        if isinstance(unit, PipelineUnit):
            self._write_pipeline(unit, rule)
        elif isinstance(unit, ChoiceUnit):
            self._write_choice(unit, rule)
        else:
            self._write_task(unit, rule)
        ids = self._ids[unit.name]
        self._write_order(self._find_variables_before(unit, branch), ids.first_variable, ids.variable)
        if isinstance(unit, ChoiceUnit):
            for _, inner in unit.branches:
                for one in inner:
                    self._write_unit(one, unit)

    def _find_variables_before(self, unit: Unit, branch: ChoiceUnit | TryUnit | None) -> list[str]:
        if unit.name in self._entries:
            return self._entries[unit.name][0]
        before = [last for upstream in unit.upstream for last in self._find_last_variables(upstream.unit)]
        if branch is not None and not unit.upstream:
            before = [self._ids[branch.name].variable]
        return list(dict.fromkeys(before))

    def _write_try(self, unit: TryUnit, branch: ChoiceUnit | TryUnit | None, rule: str) -> None:
        """Write the work, the task that looks how it ended, and what follows in each case."""
        before = self._find_variables_before(unit, branch)
        for inner in unit.body:
            if unit.name in self._choices and not inner.upstream:
                self._choices[inner.name] = self._choices[unit.name]
            self._write_inner(inner, before, rule)
        ids = self._ids[unit.name]
        self._body.imports.add("task")
        self._body.helpers.add("choose_by_outcome")
        options: list[tuple[str, Value]] = [("task_id", ids.first), ("trigger_rule", "all_done")]
        chosen: list[tuple[str, Value]] = [
            ("", Code("ti")),
            ("tasks", list(self._find_ids_inside(unit.body))),
            ("succeeded", self._find_chosen_ids(unit, unit.otherwise)),
            ("failed", self._find_chosen_ids(unit, unit.handler)),
        ]
        function = self._names.claim(f"choose_after_{ids.variable}")
        self._write_line("")
        self._write_line(f"@{render_call('task.branch', options, depth=1, before=1)}")
        self._write_line(f"def {function}(ti=None):")
        self._write_line(INDENT + render_docstring(" ".join(f"Choose what follows {unit.node.source}.".split())))
        self._write_line(f"{INDENT}return {render_call('choose_by_outcome', chosen, depth=2, before=7)}")
        self._write_line("")
        self._write_assignment(ids.variable, function, [])
        self._write_order(self._find_last_of(unit.body), ids.first_variable, ids.variable)
        for inner in (*unit.otherwise, *unit.handler):
            self._write_unit(inner, unit)

    def _write_loop(self, unit: LoopUnit, branch: ChoiceUnit | TryUnit | None, rule: str) -> None:
        """Write the task that gives the items, the group that is mapped over them, and the task that ends the loop."""
        ids, outer = self._ids[unit.name], self._body
        outer.helpers.update(("list_items", "collect_items"))
        outer.imports.add("task_group")
        options: list[tuple[str, Value]] = [("task_id", ids.first), *([("trigger_rule", rule)] if rule else [])]
        items = self._make_values(unit).render_list(unit.node.items)
        self._write_helper_call(ids.first_variable, "list_items", options, [("", items)])
        self._write_order(self._find_variables_before(unit, branch), ids.first_variable, ids.first_variable)
        self._body = DagBody(helpers=outer.helpers, imports=outer.imports)
        for inner in unit.body:
            self._write_unit(inner, None)
        lines, self._body = [*self._body.lines, *self._body.edges], outer
        function = self._names.claim(f"repeat_{ids.variable}")
        group = self._names.claim(f"each_{ids.variable}")
        named: list[tuple[str, Value]] = [("group_id", f"{unit.name}_each"), ("prefix_group_id", False)]
        self._write_line("")
        self._write_line(f"@{render_call('task_group', named, depth=1, before=1)}")
        self._write_line(f"def {function}(item):")
        self._write_line(INDENT + render_docstring(" ".join(f"Do {unit.node.source} for one item.".split())))
        self._body.lines.extend(indent(line, INDENT) for line in lines)
        self._write_line("")
        self._write_line(f"{group} = {function}.expand(item={ids.first_variable})")
        given: list[tuple[str, Value]] = [("", Code(ids.first_variable))]
        if unit.node.result:
            given.append(("", self._ids[unit.node.result].last))
        self._write_helper_call(ids.variable, "collect_items", [("task_id", ids.last)], given)
        self._write_order([group], ids.variable, ids.variable)

    def _render_loop_options(self, unit: Unit) -> list[tuple[str, Value]]:
        """What a unit's first task in a mapped group has: how many run at once, and the choice that it follows."""
        loop = self._plan.results.find_loop(unit.name)
        around = self._units[loop] if loop is not None else None
        if not isinstance(around, LoopUnit):
            return []
        options: list[tuple[str, Value]] = []
        if around.node.max_concurrency < MAX_CONCURRENCY:
            options.append(("max_active_tis_per_dagrun", around.node.max_concurrency))
        if unit.name in self._choices:
            self._body.helpers.add("only_if_chosen")
            options.append(("pre_execute", Code(f"only_if_chosen({quote_python(self._choices[unit.name])})")))
        return options

    def _write_inner(self, unit: Unit, before: list[str], rule: str) -> None:
        """Write a unit of work whose failure is handled; its first units come after what the whole waits for."""
        if unit.upstream:
            self._write_unit(unit, None)
            return
        self._entries[unit.name] = (before, rule)
        self._write_unit(unit, None)

    def _find_ids_inside(self, units: Sequence[Unit]) -> Iterator[str]:
        """The ids of all tasks of some units."""
        for unit in units:
            if isinstance(unit, (TryUnit, LoopUnit)):
                yield from self._find_ids_inside(unit.body)
            ids = self._ids[unit.name]
            deployed = [self._deploy_ids[unit.name]] if unit.name in self._deploy_ids else []
            yield from dict.fromkeys((ids.first, *deployed, ids.last))
            if isinstance(unit, (ChoiceUnit, TryUnit)):
                for _, inner in unit.branches:
                    yield from self._find_ids_inside(inner)

    def _find_chosen_ids(self, unit: ChoiceUnit | TryUnit, inner: Sequence[Unit]) -> Value:
        return list(self._find_first_ids(inner)) if inner else list(self._find_ids_after(unit))

    def _find_trigger_rule(self, upstream: Sequence[Upstream]) -> str:
        triggers = [one.trigger for one in upstream if one.trigger != "Completed"]
        if triggers:
            return _RULES[triggers[0]]
        is_joined = any(isinstance(self._units[one.unit], (ChoiceUnit, TryUnit)) for one in upstream)
        return _RULE_AFTER_CHOICE if is_joined else ""

    def _find_last_variables(self, name: str) -> list[str]:
        """The Python names of a unit's last tasks."""
        unit = self._units[name]
        if not isinstance(unit, (ChoiceUnit, TryUnit)):
            return [self._ids[name].variable]
        lasts = []
        for _, inner in unit.branches:
            lasts.extend(self._find_last_of(inner))
            if not inner:
                lasts.append(self._ids[name].variable)
        return lasts

    def _find_last_of(self, units: Sequence[Unit]) -> list[str]:
        """The Python names of the last tasks of a block's units."""
        waited_for = {upstream.unit for one in units for upstream in one.upstream}
        return [last for one in units if one.name not in waited_for for last in self._find_last_variables(one.name)]

    def _find_first_ids(self, units: Sequence[Unit]) -> list[str]:
        found = []
        for unit in units:
            if not unit.upstream:
                found.extend(self._find_entry_ids(unit))
        return found

    def _make_values(self, unit: Unit) -> AirflowValues:
        tasks = {name: ids.last for name, ids in self._ids.items()}
        variables = {name: ids.variable for name, ids in self._ids.items()}
        dicts = {name for name, ids in self._ids.items() if ids.is_dict}
        return AirflowValues(
            reader=unit.name, results=self._plan.results, tasks=tasks, variables=variables, dicts=dicts
        )

    # --- pipelines --------------------------------------------------------------------------------------------------

    def _write_pipeline(self, unit: PipelineUnit, rule: str) -> None:
        ids, pipeline = self._ids[unit.name], self._plan.pipelines[unit.name]
        values = self._make_values(unit)
        source: Value = self._definitions[unit.name]
        deployed, options = ids.first_variable, [("trigger_rule", cast("Value", rule))] if rule else []
        options += [one for one in self._render_loop_options(unit) if one[0] == "pre_execute"]
        if pipeline.bound:
            bound = {name: values.render_json(value) for name, value in pipeline.bound.items()}
            given = [("", source), ("", cast("Value", bound))]
            self._body.helpers.add("bind_definition")
            self._write_helper_call(deployed, "bind_definition", [("task_id", ids.first), *options], given)
            source, deployed, options = Code(deployed), self._names.claim(self._deploy_ids[unit.name]), []
        if self._plan.results.find_loop(unit.name) is not None:
            options = [*options, ("max_active_tis_per_dagrun", 1)]  # every item deploys the same pipeline
        deploy: list[tuple[str, Value]] = [
            ("task_id", self._deploy_ids[unit.name]),
            ("pipeline", source),
            ("pipeline_name", pipeline.name),
            ("role_arn", Code("ROLE")),
            *options,
        ]
        self._write_assignment(deployed, "SageMakerDeployPipelineOperator", deploy)
        run: list[tuple[str, Value]] = [
            ("task_id", ids.last),
            ("pipeline_name", Code(f'{deployed}.output["pipeline_name"]')),
            ("version", Code(f'{deployed}.output["pipeline_version_id"]')),
        ]
        self._write_run(unit, run, {name: values.render(value) for name, value in pipeline.values.items()})

    def _write_run(self, unit: PipelineUnit, run: list[tuple[str, Value]], given: dict[str, Value]) -> None:
        ids, values = self._ids[unit.name], self._make_values(unit)
        outputs = self._plan.results.get_outputs(unit.name)
        if unit.loop is None:
            if given:
                run.append(("parameters", cast("Value", given)))
            if outputs:
                run.append(("outputs", escape_templates(outputs)))
            run.append(("deferrable", True))
            self._write_assignment(ids.variable, "SageMakerRunPipelineOperator", run)
        else:
            run.append(("deferrable", True))
            run.append(("max_active_tis_per_dagrun", unit.loop.max_concurrency))
            self._write_mapped_run(
                ids, run, values.render_list(unit.loop.items), self._plan.pipelines[unit.name].items, given
            )

    def _write_mapped_run(
        self,
        ids: _TaskNames,
        run: list[tuple[str, Value]],
        items: Value,
        fields: Mapping[str, str],
        given: dict[str, Value],
    ) -> None:
        self._body.helpers.add("parameters_of_items")
        each = self._names.claim(f"parameters_of_{ids.variable}")
        arguments: list[tuple[str, Value]] = [("", items), ("fields", escape_templates(dict(fields)))]
        self._write_assignment(each, "parameters_of_items", [*arguments, ("same", cast("Value", given))])
        # Texts in it are templates, which do not make it wait for what they read.
        self._write_order([ids.first_variable], each, each)
        partial = render_call("SageMakerRunPipelineOperator.partial", run, depth=1, before=len(ids.variable) + 3)
        self._write_line(f"{ids.variable} = {partial}.expand(")
        self._write_line(f"{INDENT}parameters={each},")
        self._write_line(")")

    # --- single tasks -----------------------------------------------------------------------------------------------

    def _write_task(self, unit: TaskUnit, rule: str) -> None:
        ids, node, values = self._ids[unit.name], unit.node, self._make_values(unit)
        options: list[tuple[str, Value]] = [("task_id", ids.first)]
        if rule:
            options.append(("trigger_rule", rule))
        options += self._render_loop_options(unit)
        if isinstance(node, (CallNode, OperatorNode)):
            options.extend(self._render_retry_options(node))
        if isinstance(node, OperatorNode):
            line, name = render_import(node.operator)
            if name in HELPERS:
                self._body.helpers.add(name)
            else:
                self._body.imports.add(line)
            given = [(key, values.render(value)) for key, value in node.arguments.items()]
            self._write_assignment(ids.variable, name, [*options[:1], *given, *options[1:]])
        elif isinstance(node, CallNode):
            self._write_call(ids, node, options, values)
        elif isinstance(node, WaitNode):
            self._body.helpers.add("WaitOperator")
            name, moment = ("until", node.until) if node.seconds is None else ("seconds", node.seconds)
            self._write_assignment(
                ids.variable, "WaitOperator", [options[0], (name, values.render(moment)), *options[1:]]
            )
        elif isinstance(node, ValueNode):
            self._body.helpers.add("give_value")
            self._write_helper_call(ids.variable, "give_value", options, [("", values.render_json(node.value))])
        else:
            self._body.helpers.add("fail")
            message = node.action if isinstance(node, MissingNode) else node.arguments.get("ErrorMessage", "")
            self._write_helper_call(ids.variable, "fail", options, [("", values.render(message))])

    def _render_retry_options(self, node: CallNode | OperatorNode) -> Iterator[tuple[str, Value]]:
        if node.retries:
            yield "retries", node.retries
        if node.retries and isinstance(node, CallNode):
            if node.retry_delay_seconds is not None:
                yield "retry_delay", render_seconds(self._body, node.retry_delay_seconds)
            if node.retry_backoff > 1:
                yield "retry_exponential_backoff", True
        if node.timeout_seconds is not None:
            yield "execution_timeout", render_seconds(self._body, node.timeout_seconds)

    def _write_call(
        self, ids: _TaskNames, node: CallNode, options: list[tuple[str, Value]], values: AirflowValues
    ) -> None:
        if node.repeat is not None:
            self._write_repeated_call(ids, node, node.repeat, options, values)
            return
        if (node.service, node.operation) == ("lambda", "invoke"):
            self._body.helpers.add("invoke_lambda")
            invoked = [("", values.render(node.arguments["FunctionName"]))]
            if "Payload" in node.arguments:
                invoked.append(("", values.render_payload(node.arguments["Payload"])))
            self._write_helper_call(ids.first_variable, "invoke_lambda", options, invoked)
            return
        self._body.helpers.add("call_aws")
        given = values.render(node.arguments)
        called: list[tuple[str, Value]] = [
            ("", escape_templates(node.service)),
            ("", escape_templates(node.operation)),
            ("", given),
        ]
        self._write_helper_call(ids.first_variable, "call_aws", options, called)
        if node.wait is not None:
            self._body.helpers.add("wait_for")
            wait: list[tuple[str, Value]] = [
                ("", Code(ids.first_variable)),
                ("service", escape_templates(node.service)),
                ("operation", escape_templates(node.wait.operation)),
                ("arguments", escape_templates(dict(node.wait.arguments))),
                ("given", given),
                ("path", escape_templates(node.wait.path)),
                ("success", escape_templates(list(node.wait.success))),
                ("failure", escape_templates(list(node.wait.failure))),
                *([("zero", escape_templates(node.wait.zero))] if node.wait.zero else []),
            ]
            self._write_helper_call(ids.variable, "wait_for", [("task_id", ids.last)], wait)

    def _write_repeated_call(
        self,
        ids: _TaskNames,
        node: CallNode,
        repeat: CallRepeat,
        options: list[tuple[str, Value]],
        values: AirflowValues,
    ) -> None:
        """Write a sensor whose function makes the call, and looks whether the answer is good."""
        tests = BranchConditions()
        done = tests.render([repeat.until])
        called: list[tuple[str, Value]] = [
            ("", escape_templates(node.service)),
            ("", escape_templates(node.operation)),
            ("", Code("arguments")),
        ]
        self._body.imports.add("task")
        self._body.helpers.update(("make_call", "poke", *(["holds"] if tests.has_tests else [])))
        self._body.helpers.update(["answer_text"] if tests.has_answers else [])
        function = self._names.claim(f"repeat_{ids.variable}")
        # The arguments change from call to call, which only a task that keeps its process knows.
        sensor = [*options, ("poke_interval", repeat.seconds), ("mode", "poke" if repeat.again else "reschedule")]
        self._write_line("")
        self._write_line(f"@{render_call('task.sensor', sensor, depth=1, before=1)}")
        self._write_line(f"def {function}({', '.join(['arguments', *tests.arguments])}):")
        self._write_line(INDENT + render_docstring(" ".join(f"Repeat {node.source} until its answer is good.".split())))
        self._write_line(f"{INDENT}answer = {render_call('make_call', called, depth=2, before=9)}")
        if repeat.again:
            self._write_line(f"{INDENT}is_done = {done}")
            self._write_line(f"{INDENT}if not is_done:")
            for name, change in repeat.again.items():
                self._write_next_argument(name, cast("JsonObject", change))
        self._write_line(f"{INDENT}return poke(answer, {'is_done' if repeat.again else done})")
        self._write_line("")
        arguments: Value = values.render(node.arguments)
        if "Payload" in node.arguments and isinstance(arguments, dict):
            arguments["Payload"] = values.render_payload(node.arguments["Payload"])
        given = [("arguments", arguments), *((name, values.render(value)) for name, value in tests.arguments.items())]
        self._write_assignment(ids.variable, function, given)

    def _write_next_argument(self, name: str, change: JsonObject) -> None:
        """The line that gives the next call an argument of the answer before."""
        argument = f"arguments[{quote_python(name)}]"
        if change.keys() == {"Get"}:
            value = render_answer(str(change["Get"]))
        else:
            self._body.helpers.add("lay_over")
            members = (
                f"{quote_python(key)}: {render_answer(str(cast('JsonObject', one)['Get']))}"
                for key, one in change.items()
            )
            value = f"lay_over({argument}, {{{', '.join(members)}}})"
        self._write_line(f"{INDENT * 2}{argument} = {value}")

    # --- choices ----------------------------------------------------------------------------------------------------

    def _write_choice(self, unit: ChoiceUnit, rule: str) -> None:
        self._body.imports.add("task")
        ids, values, tests = self._ids[unit.name], self._make_values(unit), BranchConditions()
        lines = []
        for conditions, inner in unit.branches:
            chosen = self._find_chosen_ids(unit, inner)
            test = tests.render(conditions) if conditions else ""
            if test:
                lines.append(f"    if {test}:")
            lines.append(f"{'        ' if test else '    '}return {render_value(chosen, depth=3, before=7)}")
        if unit.branches[-1][0]:
            lines.append("    return []")
        if tests.has_tests:
            self._body.helpers.add("holds")
        function = self._names.claim(f"choose_{ids.variable}")
        options: list[tuple[str, Value]] = [("task_id", ids.first)]
        if rule:
            options.append(("trigger_rule", rule))
        options += self._render_loop_options(unit)
        self._write_line("")
        self._write_line(f"@{render_call('task.branch', options, depth=1, before=1)}")
        self._write_line(f"def {function}({', '.join(tests.arguments)}):")
        self._write_line(INDENT + render_docstring(" ".join(f"Choose the branch of {unit.node.source}.".split())))
        for line in lines:
            self._write_line(line)
        self._write_line("")
        given = [(name, values.render(value)) for name, value in tests.arguments.items()]
        self._write_assignment(ids.variable, function, given)

    def _find_ids_after(self, unit: Unit) -> list[str]:
        """The ids of the tasks that come next after a choice, or after work whose failure is handled."""
        following = [one for one in self._units.values() if any(up.unit == unit.name for up in one.upstream)]
        if following:
            return [found for one in following for found in self._find_entry_ids(one)]
        around = self._around.get(unit.name)
        if around is None:
            return []
        outer, is_work = around
        return [self._ids[outer.name].first] if is_work else self._find_ids_after(outer)

    def _find_entry_ids(self, unit: Unit) -> list[str]:
        return self._find_first_ids(unit.body) if isinstance(unit, TryUnit) else [self._ids[unit.name].first]

    # --- lines ------------------------------------------------------------------------------------------------------

    def _write_line(self, text: str) -> None:
        self._body.lines.append(INDENT + text if text else "")

    def _write_assignment(self, variable: str, function: str, arguments: Sequence[tuple[str, Value]]) -> None:
        self._write_line(f"{variable} = {render_call(function, arguments, depth=1, before=len(variable) + 3)}")

    def _write_helper_call(
        self,
        variable: str,
        helper: str,
        options: Sequence[tuple[str, Value]],
        arguments: Sequence[tuple[str, Value]],
    ) -> None:
        override = render_call(f"{helper}.override", options, depth=1, before=len(variable) + 3)
        self._write_assignment(variable, override, arguments)

    def _write_order(self, before: Sequence[str], first: str, last: str) -> None:
        """Note the order: the tasks before a unit, then the unit's own tasks."""
        chain = [f"[{', '.join(before)}]"] if len(before) > 1 else list(before)
        chain += [first] if first == last else [first, last]
        if len(chain) > 1:
            self._body.edges.append(INDENT + " >> ".join(chain))

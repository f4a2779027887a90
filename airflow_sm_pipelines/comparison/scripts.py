"""The scripts of a comparison: the input of a run, and what answers each state. Both sides get the same.

What a state answers has the members that its API answers with, and those that the machine reads. Where a Choice asks
for one of them, it may have any value that decides the Choice. Each run picks one.
"""

from __future__ import annotations

import copy
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.comparison.api_shapes import find_operation, make_sample
from airflow_sm_pipelines.migrate.job_requests import REQUEST_KINDS
from airflow_sm_pipelines.migrate.node_references import find_own_values, parse_node_reference
from airflow_sm_pipelines.migrate.stepfunctions.flow import find_catcher
from airflow_sm_pipelines.migrate.stepfunctions.task_nodes import (
    CallbackResource,
    CallResource,
    LambdaResource,
    StepResource,
)
from airflow_sm_pipelines.migrate.workflow import CallNode, LoopNode, PipelineStepNode, iter_blocks
from airflow_sm_pipelines.service_model import find_member_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airflow_sm_pipelines.migrate.stepfunctions.machine import State
    from airflow_sm_pipelines.migrate.workflow import CallWait, Node, Workflow

Path = tuple["str | int", ...]
Root = tuple[str, str]
"""``("state", name)``, ``("item", loop)`` or ``("input", "")``."""

Place = tuple[Root, Path]
_PART = re.compile(r"\.([A-Za-z_]\w*)|\['([^']*)'\]|\[(\d+)\]")
ERROR_MARK = "\u27e8error\u27e9"
CAUSE_MARK = "\u27e8cause\u27e9"
"""What stands for the name and the text of an error. Airflow has others for it."""
INPUT: Root = ("input", "")


class _Absent:
    """No value."""


ABSENT = _Absent()


@dataclass(frozen=True, slots=True)
class Answer:
    """What answers a state.

    :param result: as the machine gets it.
    :param error: the error's name, if it fails.
    :param task: the same for the DAG: the answers of its calls, as APIs spell them, or what its step gives.
    """

    result: Any = None
    error: str | None = None
    cause: str = ""
    task: Mapping[str, Any] = field(default_factory=dict)


Resource = StepResource | LambdaResource | CallResource | CallbackResource


@dataclass(frozen=True, slots=True)
class Choices:
    """What a run may choose.

    :param values: the values that each place may have, the usual one first.
    :param texts: places whose value is JSON text for the API, and a value in the machine.
    """

    values: dict[Place, list[Any]]
    texts: frozenset[Place] = frozenset()


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a run has chosen.

    :param picked: for some places the index of the value; 0 for others.
    :param failing: the states that fail.
    :param first: for repeated states, what their first answer has picked; the others follow ``picked``.
    """

    picked: Mapping[Place, int] = field(default_factory=dict)
    failing: frozenset[str] = frozenset()
    first: Mapping[str, tuple[Place, int]] = field(default_factory=dict)


# --- what is read, and what decides ----------------------------------------------------------------------------------


def find_choices(workflow: Workflow, states: Mapping[str, str]) -> Choices:
    """What the runs of a workflow may choose.

    :param states: for each node, the state that it comes from.
    """
    return _Reader(states).read(workflow)


class _Reader:
    def __init__(self, states: Mapping[str, str]) -> None:
        self._states = states
        self._values: dict[Place, list[Any]] = {}
        self._texts: set[Place] = set()
        self._loops: list[str] = []
        self._answering = ""

    def read(self, workflow: Workflow) -> Choices:
        for one in workflow.inputs:
            self._add((INPUT, (one.name,)))
        self._read_block(workflow.nodes)
        return Choices(self._values, frozenset(self._texts))

    def _add(self, place: Place, *values: Any, is_hint: bool = False) -> None:
        """Add values of a place; a hint stands for a value that nothing decides by."""
        known = self._values.setdefault(place, [])
        for value in values:
            if not any(type(value) is type(one) and value == one for one in known) and not (is_hint and known):
                known.append(value)

    def _read_block(self, nodes: Sequence[Node]) -> None:
        for node in nodes:
            for value in find_own_values(node):
                self._read_value(value)
            self._read_hints(node)
            if isinstance(node, LoopNode):
                self._read_loop(node)
                continue
            for condition in _iter_conditions(node):
                self._read_condition(condition)
            for block in iter_blocks(node):
                self._read_block(block)

    def _read_loop(self, node: LoopNode) -> None:
        place = self.find_place(node.items)
        if place is not None:
            self._add(place, _Items(node.name), is_hint=True)
        self._loops.append(node.name)
        self._read_block(node.nodes)
        self._loops.pop()

    def _read_value(self, value: Any) -> None:
        if isinstance(value, list):
            for item in value:
                self._read_value(item)
        if not isinstance(value, dict):
            return
        place = self.find_place(value)
        if place is not None:
            self._add(place)
        for item in value.values():
            self._read_value(item)

    def find_place(self, value: Any) -> Place | None:
        """The place that an expression reads; None if it reads none, or is put together of several."""
        if not isinstance(value, dict) or len(value) != 1:
            return None
        if isinstance(value.get("Get"), str):
            return self._parse(value["Get"])
        function = value.get("Std:Function")
        if not isinstance(function, dict):
            return None
        name, arguments = function.get("Name"), function.get("Arguments") or [None]
        inner = self.find_place(arguments[0])
        if inner is None or name not in ("Member", "Find", "Json", "ParseJson", "ArrayGetItem"):
            return None
        if name == "ParseJson":
            self._texts.add(inner)
        if name in ("Member", "ArrayGetItem") and isinstance(arguments[1], (str, int)):
            return inner[0], (*inner[1], arguments[1])
        return inner

    def _parse(self, text: str) -> Place | None:
        if text.startswith("Input"):
            return INPUT, parse_parts(text[len("Input") :])
        if text.startswith("ForEach.CurrentItem") and self._loops:
            return ("item", self._loops[-1]), parse_parts(text[len("ForEach.CurrentItem") :])
        if text.startswith("Answer") and self._answering:
            return ("state", self._answering), parse_parts(text[len("Answer") :])
        reference = parse_node_reference(text)
        if reference is None or reference[0] == "Errors" or reference[1] not in self._states:
            return None
        return ("state", self._states[reference[1]]), parse_parts(reference[2])

    def _read_hints(self, node: Node) -> None:
        """What the requests of a node say about the values that they take."""
        if isinstance(node, CallNode):
            self._answering = self._states.get(node.name, "")
            if node.repeat is not None:
                self._read_value(node.repeat.until)
                self._read_value(node.repeat.again)
                self._read_condition(node.repeat.until)
            shape = find_operation(node.service, node.operation).input_shape
        elif isinstance(node, PipelineStepNode) and node.type not in ("Fail", "Callback"):
            shape = _find_step_shape(node.type)
        else:
            return
        self._read_hint(node.arguments, shape)

    def _read_hint(self, value: Any, shape: Any) -> None:
        if shape is None or shape.type_name == "blob":  # such as a function's event, which may be anything
            return
        place = self.find_place(value)
        if place is not None:
            self._add(place, make_sample(shape, place[1][-1] if place[1] else "value"), is_hint=True)
            return
        if isinstance(value, dict):
            for key, item in value.items():
                inner = getattr(shape, "members", {}).get(find_member_name(shape, key)) or getattr(shape, "value", None)
                self._read_hint(item, inner)
        if isinstance(value, list):
            for item in value:
                self._read_hint(item, getattr(shape, "member", None))

    def _read_condition(self, condition: Any) -> None:
        """Add values by which a condition holds, and others by which it does not."""
        if "Condition" in condition:
            self._read_condition(condition["Condition"])
        for inner in condition.get("Conditions") or ():
            self._read_condition(inner)
        if condition.get("Type") == "Test":
            self._read_test(condition)
            return
        left, right = condition.get("LeftValue"), condition.get("RightValue")
        places = [self.find_place(left), self.find_place(right)]
        for place, other in zip(places, (right, left), strict=True):
            if place is not None:
                literal = (
                    other
                    if not isinstance(other, (dict, list))
                    else (1 if "Equals" not in str(condition.get("Type")) else "a")
                )
                self._add(place, *_vary(literal))

    def _read_test(self, condition: Any) -> None:
        place = self.find_place(condition.get("Value"))
        if place is None:
            return
        name, other = condition.get("Name"), condition.get("Other")
        if name == "Matches":
            self._add(place, str(other).replace("\\*", "\0").replace("*", "some").replace("\0", "*"), "-other-")
        elif name in ("Before", "After"):
            self._add(
                place, "2020-01-01T00:00:00Z", "2040-01-01T00:00:00Z", *([other] if isinstance(other, str) else [])
            )
        else:
            self._add(place, "text", ABSENT, None, 1, True, "2020-01-01T00:00:00Z")


@dataclass(frozen=True, slots=True)
class _Items:
    """Stands for a list of items of a loop."""

    loop: str


def _vary(literal: Any) -> list[Any]:
    if isinstance(literal, bool):
        return [literal, not literal]
    if isinstance(literal, (int, float)):
        return [literal, literal + 1, literal - 1]
    if literal is None:
        return [None, "text"]
    return [literal, f"not-{literal}"]


def parse_parts(text: str) -> Path:
    """The members of a reference's path: ``.a['b'][0]``."""
    return tuple(int(one[3]) if one[3] else one[1] or one[2] for one in _PART.finditer(text))


def _iter_conditions(node: Node) -> Iterator[Any]:
    for branch in getattr(node, "branches", ()):
        yield from branch.conditions


def _find_step_shape(step_type: str) -> Any:
    kind = next((one for one in REQUEST_KINDS if one.step_type == step_type), None)
    return None if kind is None else find_operation("sagemaker", f"create_{kind.noun}").input_shape


# --- the documents of a run ------------------------------------------------------------------------------------------


class ScriptWriter:
    """Writes the documents of runs.

    :param choices: what runs may choose.
    :param resources: what each Task state is.
    :param base: the input that the user has given, and the values of placeholders.
    """

    def __init__(
        self, choices: Choices, resources: Mapping[str, Resource], states: Mapping[str, State], base: Any
    ) -> None:
        self._choices = choices
        self._resources = resources
        self._states = states
        self._base = base

    def make_input(self, assignment: Assignment) -> Any:
        """The input of a run."""
        return self._fill(INPUT, copy.deepcopy(self._base), assignment, None)

    def make_answer(self, state: str, assignment: Assignment, count: int) -> Answer:
        """What answers a state.

        :param count: how often it was asked before.
        """
        resource = self._resources[state]
        first = assignment.first.get(state)
        if count == 0 and first is not None:
            assignment = Assignment({**assignment.picked, first[0]: first[1]}, assignment.failing)
        error = _find_error(self._states[state]) if state in assignment.failing else None
        cause = CAUSE_MARK if error else ""
        if isinstance(resource, StepResource):
            return self._answer_step(state, resource, assignment, error, cause)
        if isinstance(resource, LambdaResource):
            return self._answer_function(state, resource, assignment, error, cause)
        if isinstance(resource, CallbackResource):
            return Answer({}, error, cause, {"error": error, "cause": cause, "outputs": {}})
        return self._answer_call(state, resource, assignment, error, cause)

    def _answer_step(
        self, state: str, resource: StepResource, assignment: Assignment, error: str | None, cause: str
    ) -> Answer:
        kind = resource.kind
        shape = find_operation("sagemaker", f"describe_{kind.noun}").output_shape
        arn = f"arn:aws:sagemaker:us-east-1:123456789012:{find_arn_kind(kind.noun)}/{make_slug(state)}"
        document = self._fill(("state", state), {kind.arn_member: arn}, assignment, shape)
        result = document if resource.waits else {kind.arn_member: document[kind.arn_member]}
        task = {
            "error": error,
            "cause": cause,
            "outputs": document,
            "names": [kind.name_member],
            "arn": kind.arn_member,
        }
        return Answer(result, error, cause, task)

    def _answer_function(
        self, state: str, resource: LambdaResource, assignment: Assignment, error: str | None, cause: str
    ) -> Answer:
        document = self._fill(("state", state), {"Payload": {}, "StatusCode": 200}, assignment, None)
        result = document if resource.function is None else document["Payload"]
        return Answer(result, error, cause, {"error": error, "cause": cause, "answer": document["Payload"]})

    def _answer_call(
        self, state: str, resource: CallResource, assignment: Assignment, error: str | None, cause: str
    ) -> Answer:
        wait = resource.wait
        operation = find_operation(resource.service, resource.operation if wait is None else wait.operation)
        answers = []
        for spelled in (True, False):
            document = self._fill(("state", state), {}, assignment, operation.output_shape, is_capital=spelled)
            if wait is not None:
                status = (wait.failure if error and wait.failure else wait.success)[0]
                put(document, parse_dotted(wait.path), status, operation.output_shape, is_capital=spelled)
                if wait.zero:
                    path = parse_dotted(wait.zero.replace("*", "0"))
                    put(document, path, int(bool(error)), operation.output_shape, is_capital=spelled)
            answers.append(document)
        result, answer = answers
        added = {key: get(result, path) for key, path in resource.added.items()}
        for part in resource.result:
            result = result[part]
        if resource.text_member and isinstance(result, dict) and isinstance(result.get(resource.text_member), str):
            result = {**result, resource.text_member: json.loads(result[resource.text_member])}
        if added and isinstance(result, dict):
            result = {**result, **added}
        task: dict[str, Any] = {"error": error, "cause": cause, "answer": answer}
        if wait is not None:
            task |= {"answer": _make_started(resource, wait), "end": answer}
        return Answer(result, error, cause, task)

    def _fill(self, root: Root, document: Any, assignment: Assignment, shape: Any, *, is_capital: bool = True) -> Any:
        """A document with the members that the API requires, and the values of a run."""
        if shape is not None:
            document = {**make_sample(shape, "answer", is_capital=is_capital), **document}
        places = sorted((one for one in self._choices.values if one[0] == root), key=lambda one: len(one[1]))
        for place in places:
            values = self._choices.values[place]
            if not place[1]:
                # A word for the whole is of no use where members of it are read.
                if values and (len(places) == 1 or isinstance(values[0], _Items)):
                    document = self._make_value(values[0], assignment)
                continue
            index = assignment.picked.get(place, 0)
            is_known = not values and get(document, place[1]) is not ABSENT
            if is_known or (index == 0 and root == INPUT and get(self._base, place[1]) is not ABSENT):
                continue
            value = values[index] if index < len(values) else f"some-{place[1][-1]}"
            value = self._make_value(value, assignment)
            put(document, place[1], value, shape, is_capital=is_capital)
        for place in self._choices.texts:
            if place[0] == root and place[1] and not isinstance(found := get(document, place[1]), str):
                put(document, place[1], json.dumps({} if found is ABSENT else found), shape, is_capital=is_capital)
        return document

    def _make_value(self, value: Any, assignment: Assignment) -> Any:
        if not isinstance(value, _Items):
            return copy.deepcopy(value) if value is not ABSENT else ABSENT
        root = ("item", value.loop)
        has_members = any(one[0] == root and one[1] for one in self._choices.values)
        if not has_members:
            return self._choices.values.get((root, ())) or ["one", "two"]
        return [self._fill(root, {}, assignment, None) for _ in range(2)]


def _make_started(resource: CallResource, wait: CallWait) -> Any:
    """The answer of a call that starts something, with what is asked for its end by."""
    shape = find_operation(resource.service, resource.operation).output_shape
    if shape is None:
        return {}
    answer = make_sample(shape, "answer", is_capital=False)
    for path in map(parse_dotted, wait.arguments.values()):
        is_there = find_member_name(shape, str(path[0])) in shape.members
        if is_there and get(answer, path) is ABSENT:
            put(answer, path, f"some-{path[-1] if isinstance(path[-1], str) else path[0]}", shape, is_capital=False)
    return answer


def get(document: Any, path: Path) -> Any:
    """The value at a path; :data:`ABSENT` if there is none."""
    for part in path:
        is_there = isinstance(document, dict) and part in document
        if is_there or (isinstance(document, list) and isinstance(part, int) and part < len(document)):
            document = document[part]
        else:
            return ABSENT
    return document


def put(document: Any, path: Path, value: Any, shape: Any = None, *, is_capital: bool = True) -> None:
    """Put a value into a document at a path; objects and lists are made where there are none.

    :param is_capital: whether members are spelled with a capital, as Step Functions does; else as the API does.
    """
    for index, part in enumerate(path):
        if shape is not None and isinstance(part, str) and hasattr(shape, "members"):
            name = find_member_name(shape, part)
            inner = shape.members.get(name)
            part = part if is_capital else name  # noqa: PLW2901
        else:
            inner = getattr(shape, "member", None) or getattr(shape, "value", None)
        is_last = index == len(path) - 1
        if isinstance(part, int):
            if not isinstance(document, list):
                return
            while len(document) <= part:
                document.append({})
        elif not isinstance(document, dict):
            return
        if is_last and value is ABSENT:
            document.pop(part, None)
            return
        following: Any = [] if not is_last and isinstance(path[index + 1], int) else {}
        if is_last:
            document[part] = value
        else:
            known = document[part] if isinstance(part, int) else document.get(part)
            document[part] = known if isinstance(known, type(following)) else following
        document, shape = document[part], inner


def parse_dotted(text: str) -> Path:
    """The members of a path with dots: ``Jobs.0.Status``."""
    return tuple(int(part) if part.isdigit() else part for part in text.split("."))


def find_arn_kind(noun: str) -> str:
    """The kind of resource in an ARN: ``training-job``."""
    plain = noun.removesuffix("V2").replace("AutoML", "Automl")
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", plain).lower()


def make_slug(text: str) -> str:
    """A text as a part of an ARN."""
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-") or "it"


def _find_error(state: State) -> str:
    """An error that the state's catcher takes, if it has one."""
    catcher = find_catcher(state)
    errors = catcher.get("ErrorEquals") if catcher is not None else None
    names = [str(one) for one in errors] if isinstance(errors, list) else []
    return ERROR_MARK if not names or any(one in ("States.ALL", "States.TaskFailed") for one in names) else names[0]

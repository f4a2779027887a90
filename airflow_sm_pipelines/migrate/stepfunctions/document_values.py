"""What is known of a machine's state document before it runs: which part is a literal, and which comes from where.

A value is JSON with these in it: a :class:`Ref` to what another node gives or a run is given, :class:`JoinedText` for
text put together, :class:`Call` for what Airflow works out, :class:`Overlay` for an object of which some members are
known, and :class:`First` for what depends on the way taken. :func:`to_expression` makes the workflow's expressions of
them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from airflow_sm_pipelines.definition.expressions import is_candidate
from airflow_sm_pipelines.migrate.job_requests import REQUEST_KINDS
from airflow_sm_pipelines.migrate.node_references import make_function

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from airflow_sm_pipelines.definition import JsonValue

Path: TypeAlias = "tuple[str | int, ...]"


class UnsupportedError(Exception):
    """Something that no DAG does: the message says what, for the report."""


@dataclass(frozen=True, slots=True)
class Ref:
    """A value that exists when the DAG runs.

    :param root: ``Input``, ``Steps.Train``, ``Tasks.Notify``, ``Errors.Try``, ``Execution.StartDateTime``.
    """

    root: str
    path: Path = ()


@dataclass(frozen=True, slots=True)
class JoinedText:
    """Text put together."""

    parts: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """A function of the workflow model (:data:`workflow.FUNCTIONS`)."""

    name: str
    arguments: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Overlay:
    """An object with other members laid over it."""

    base: Value
    changes: dict[str, Value]


@dataclass(frozen=True, slots=True)
class First:
    """The first of these that exists."""

    options: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class NoValue:
    """A value that no DAG has.

    :param why: for the report.
    """

    why: str


Value: TypeAlias = (
    "bool | int | float | str | list[Value] | dict[str, Value] | Ref | JoinedText | Call | Overlay | First | "
    "NoValue | None"
)

Give: TypeAlias = "Callable[[tuple[str, ...], Sequence[tuple[int, Value]]], Value]"

_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
TASK_TOKEN: Final = "Execution.TaskToken"  # noqa: S105 - the name of one
"""The root of the token that a callback waits for; only a Callback step has one."""

ABSENT: Final = NoValue("it does not exist there")


def select(value: Value, path: Sequence[str | int]) -> Value:
    """The part of a value at a path; :data:`ABSENT` if there is none."""
    for index, part in enumerate(path):
        if isinstance(value, Ref):
            return Ref(value.root, (*value.path, *path[index:]))
        if isinstance(value, First):
            found = [select(option, path[index:]) for option in value.options]
            return make_first([one for one in found if one is not ABSENT])
        if isinstance(value, Overlay):
            value = value.changes[str(part)] if part in value.changes else select(value.base, (part,))
        elif isinstance(value, dict):
            value = value.get(str(part), ABSENT)
        elif isinstance(value, list):
            value = value[part] if isinstance(part, int) and -len(value) <= part < len(value) else ABSENT
        elif isinstance(value, NoValue):
            return value
        elif isinstance(value, Call):
            value = Call("Member", (value, part))
        else:
            return ABSENT
    return value


def put(value: Value, path: Sequence[str | int], new: Value) -> Value:
    """A copy of a value with another one at a path; objects are made where there are none."""
    if not path:
        return new
    key, rest = path[0], path[1:]
    if not isinstance(key, str):
        raise UnsupportedError("A ResultPath with an index in it is not carried.")
    inner = put(select(value, (key,)) if rest else None, rest, new)
    if isinstance(value, dict):
        return {**value, key: inner}
    if isinstance(value, Overlay):
        return Overlay(value.base, {**value.changes, key: inner})
    if value is ABSENT or value is None:
        return {key: inner}
    return Overlay(value, {key: inner})


def merge(
    values: Sequence[tuple[int, Value]], inside: Collection[str], give: Give, path: tuple[str, ...] = ()
) -> Value:
    """The value after ways that join: equal values stay, others become :class:`First`.

    :param values: of each way that has one, with the way's number.
    :param inside: the nodes on the ways: a value that one of them gives does not exist if its way is not taken.
    :param give: what becomes of values that exist whatever way is taken.
    :param path: where the value stands.
    """
    plain = [value for _, value in values]
    if all(other == plain[0] for other in plain[1:]):
        return plain[0]
    if all(isinstance(one, dict) for one in plain):
        keys = dict.fromkeys(key for one in plain for key in cast("dict[str, Value]", one))
        return {key: _merge_members(values, key, inside, give, path) for key in keys}
    bases = [one.base if isinstance(one, Overlay) else one for one in plain]
    if all(base == bases[0] for base in bases[1:]):
        keys = dict.fromkeys(key for one in plain if isinstance(one, Overlay) for key in one.changes)
        return Overlay(bases[0], {key: _merge_members(values, key, inside, give, path) for key in keys})
    return _choose(values, inside, give, path)


def _merge_members(
    values: Sequence[tuple[int, Value]], key: str, inside: Collection[str], give: Give, path: tuple[str, ...]
) -> Value:
    found = [(way, one) for way, value in values if (one := select(value, (key,))) is not ABSENT]
    return merge(found, inside, give, (*path, key))


def _choose(values: Sequence[tuple[int, Value]], inside: Collection[str], give: Give, path: tuple[str, ...]) -> Value:
    """The first of the values that exists. At most one of them may be there whatever way is taken; it comes last."""
    flat: list[Value] = []
    for _, value in values:
        flat += [one for one in (value.options if isinstance(value, First) else (value,)) if one not in flat]
    optional = [one for one in flat if isinstance(one, Ref) and one.root.partition(".")[2] in inside]
    certain = [one for one in flat if one not in optional]
    return give(path, values) if len(certain) > 1 else make_first([*optional, *certain])


def give_nothing(path: tuple[str, ...], values: Sequence[tuple[int, Value]]) -> Value:
    """Values that exist whatever way is taken cannot be told apart afterwards."""
    return NoValue("it depends on the way taken, and both values exist on each")


@dataclass(frozen=True, slots=True)
class Env:
    """What is known at one place of the machine.

    :param named: names that steps before have given to what they made: the member, its value, and the step.
    """

    document: Value
    variables: dict[str, Value] = field(default_factory=dict)
    named: tuple[tuple[str, Value, str], ...] = ()


def merge_envs(envs: Sequence[Env], inside: Collection[str], give: Give = give_nothing) -> Env:
    """What is known where ways join.

    :param inside: the nodes on the ways.
    :param give: as for :func:`merge`; the way's number is that of its environment.
    """
    keys = dict.fromkeys(key for env in envs for key in env.variables)
    variables = {
        key: merge([(way, env.variables.get(key, ABSENT)) for way, env in enumerate(envs)], inside, give, (f"${key}",))
        for key in keys
    }
    named = tuple(one for one in envs[0].named if all(one in env.named for env in envs))
    document = merge([(way, env.document) for way, env in enumerate(envs)], inside, give)
    return Env(document, variables, named)


def make_first(options: Sequence[Value]) -> Value:
    """The first of these that exists, in this order; itself if there is one only."""
    flat: list[Value] = []
    for option in options:
        flat += [one for one in (option.options if isinstance(option, First) else (option,)) if one not in flat]
    if not flat:
        return ABSENT
    return flat[0] if len(flat) == 1 else First(tuple(flat))


def join_values(parts: Sequence[Value]) -> Value:
    """Text put together: a text, if all parts are known."""
    flat: list[Value] = []
    for part in parts:
        for one in part.parts if isinstance(part, JoinedText) else (part,):
            text = _as_text(one)
            if text is None:
                flat.append(one)
            elif flat and isinstance(flat[-1], str):
                flat[-1] += text
            elif text:
                flat.append(text)
    if not flat:
        return ""
    return flat[0] if len(flat) == 1 and isinstance(flat[0], str) else JoinedText(tuple(flat))


def _as_text(value: Value) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (str, int, float)) else None


def to_expression(value: Value) -> JsonValue:
    """The value as the workflow model has it.

    :raises UnsupportedError: no DAG has it.
    """
    if isinstance(value, Ref):
        if value.root == TASK_TOKEN:
            raise UnsupportedError("The task token stands where no Callback step gives it.")
        return {"Get": value.root + _render_path(value)}
    if isinstance(value, JoinedText):
        return {"Std:Join": {"On": "", "Values": [to_expression(part) for part in value.parts]}}
    if isinstance(value, Call):
        return make_function(value.name, *map(to_expression, value.arguments))
    if isinstance(value, First):
        return {"Std:First": [to_expression(option) for option in value.options]}
    if isinstance(value, Overlay):
        return make_function("Merge", to_expression(value.base), to_expression(value.changes))
    if isinstance(value, NoValue):
        raise UnsupportedError(f"A value is read of which {value.why}.")
    if isinstance(value, list):
        return [to_expression(item) for item in value]
    if isinstance(value, dict):
        return _object_to_expression(value)
    return value


def _object_to_expression(value: dict[str, Value]) -> JsonValue:
    written = {key: to_expression(item) for key, item in value.items()}
    if is_candidate(written):
        only = next(iter(written))
        raise UnsupportedError(f"An object whose only member is {only!r} would be read as an expression.")
    return written


def _render_path(value: Ref) -> str:
    if value.root == "Input" and value.path and isinstance(value.path[0], int):
        raise UnsupportedError("The input is a list, and a DAG run's conf is an object.")
    return "".join(map(_render_part, value.path))


def _render_part(part: str | int) -> str:
    if isinstance(part, int):
        if part < 0:
            raise UnsupportedError("An index counted from a list's end is not carried.")
        return f"[{part}]"
    if "'" in part or "\\" in part or "]" in part:
        raise UnsupportedError(f"The member {part!r} has characters that a reference cannot have.")
    return f".{part}" if _KEY.match(part) else f"['{part}']"


def is_literal(value: Value) -> bool:
    """Whether all of a value is known."""
    if isinstance(value, dict):
        return all(map(is_literal, value.values()))
    if isinstance(value, list):
        return all(map(is_literal, value))
    return value is None or isinstance(value, (bool, int, float, str))


# --- names of what steps make ----------------------------------------------------------------------------------------

Named = tuple[str, Value, str]
"""A name that a step has given to what it made: the member of the request, its value, and the step's name."""

_NAME_MEMBERS = frozenset(kind.name_member for kind in REQUEST_KINDS)


def refer_to_names(value: Value, named: tuple[Named, ...], key: str = "") -> Value:
    """A request with references to steps in place of the names of what they made, since SageMaker names that anew."""
    if isinstance(value, dict):
        return {name: refer_to_names(item, named, name) for name, item in value.items()}
    if isinstance(value, list):
        return [refer_to_names(item, named, key) for item in value]
    if key not in _NAME_MEMBERS:
        return value
    wanted = _find_given(value, named)
    for member, given, step in reversed(named):
        if member == key and _find_given(given, named) == wanted:
            return Ref(f"Steps.{step}", (member,))
    return value


def _find_given(value: Value, named: tuple[Named, ...]) -> Value:
    """The name that the machine gives to what a step makes, where a value reads it back from that step's answer."""
    for _ in named:
        found = next((given for member, given, step in named if value == Ref(f"Steps.{step}", (member,))), None)
        if found is None:
            break
        value = found
    return value

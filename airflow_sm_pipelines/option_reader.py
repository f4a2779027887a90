"""Reads a class of options from whatever carries them: an operator's attributes, or a command's parsed arguments.

The option classes themselves stand with what they are for: ``deployment.options`` and ``runs.start_request``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import MISSING, fields
from math import inf
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

from airflow_sm_pipelines.exceptions import ArgumentError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Options = TypeVar("Options", bound=DataclassInstance)

TAG_MEMBERS = ("Key", "Value")
"""What AWS's list of tags calls the parts of an entry."""

PARAMETER_MEMBERS = ("Name", "Value")
"""What the API's lists of pipeline parameters and of callback outputs call the parts of an entry."""


_FLAGS = {
    **dict.fromkeys(("true", "yes", "1"), True),
    **dict.fromkeys(("false", "no", "0"), False),
    **dict.fromkeys(("", "none"), None),
}
"""What a template makes of a choice of yes or no."""
PolicyMode = Literal["enforce", "apply", "warn", "off"]
"""What to do with findings: refuse errors, fill in the team's defaults first, only log them, or do not look."""


def find_mode_problems(policy: object) -> list[str]:
    """What is wrong with a ``policy`` option, a sentence each."""
    if policy in get_args(PolicyMode):
        return []
    return [f"policy={policy!r}: expected one of {', '.join(map(repr, get_args(PolicyMode)))}."]


def read_options(kind: type[Options], source: object, **given: Any) -> Options:
    """The options that a source has as attributes, by the names of the dataclass's own fields.

    None and an empty text count as not given, so that a template that came out empty leaves an option at its default.

    :param kind: a dataclass.
    :param source: an operator, or an ``argparse.Namespace``; a field that it has no attribute for is not given.
    :param given: fields to take instead of the source's.
    """
    values = {field.name: getattr(source, field.name, None) for field in fields(kind)} | given
    required = {field.name for field in fields(kind) if field.default is MISSING and field.default_factory is MISSING}
    return kind(**{name: value for name, value in values.items() if name in required or value not in (None, "")})


def parse_arguments(task: object, kinds: Mapping[str, tuple[Callable[..., Any], Any]]) -> None:
    """Replace the arguments of a task that templates may give as text by what the text says.

    :param kinds: for each argument, the function that reads it and what it is where it is not given, or came out empty.
    :raises ArgumentError: naming the first that cannot be read, and what was expected.
    """
    for name, (parse, default) in kinds.items():
        value = parse(name, getattr(task, name))
        setattr(task, name, default if value is None else value)


def refuse_template(name: str, value: object) -> None:
    """Refuse a template in an option that Airflow does not render.

    :param value: a text, or texts in lists and mappings.
    :raises ArgumentError: naming the option.
    """
    if isinstance(value, Mapping):
        for item in (*value, *value.values()):
            refuse_template(name, item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            refuse_template(name, item)
    elif isinstance(value, str) and ("{{" in value or "{%" in value):
        raise ArgumentError(f"{name} takes no template: found {value!r}.")


def parse_named_values(option: str, given: object, *, members: tuple[str, str]) -> dict[str, Any]:
    """Values by name, from a mapping or from the list form that AWS and boto3 use.

    :param option: what the author calls it, for messages.
    :param given: ``{"team": "risk"}``, ``[{"Key": "team", "Value": "risk"}]``, or None for nothing.
    :param members: what the list form calls the name and the value: ``("Key", "Value")`` for tags.
    :raises ArgumentError: for anything else. A wrong shape is never taken for another one.
    """
    key, value = members
    if given is None:
        return {}
    if isinstance(given, Mapping):
        if members == TAG_MEMBERS and set(given) == set(members):
            raise ArgumentError(f"{option}={given!r} is one entry of AWS's list of tags: put it into a list.")
        return {str(name): item for name, item in given.items()}
    if isinstance(given, (list, tuple)) and all(isinstance(one, Mapping) and set(one) == set(members) for one in given):
        names = [str(one[key]) for one in given]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ArgumentError(f"{option} names {', '.join(map(repr, twice))} twice.")
        return {str(one[key]): one[value] for one in given}
    raise ArgumentError(
        f"{option}={given!r}: expected values by name, such as {{'team': 'risk'}}, or AWS's list, such as "
        f"[{{'{key}': 'team', '{value}': 'risk'}}]."
    )


def find_problems(check: Callable[..., object], name: str, value: object) -> list[str]:
    """What one of the checks of this module finds wrong with an option, as sentences."""
    try:
        check(name, value)
    except ArgumentError as error:
        return [str(error)]
    return []


def find_count_problems(name: str, value: object) -> list[str]:
    """What is wrong with an option that counts something, as sentences; nothing where it is not given.

    :param value: a number from 1, or its text.
    """
    return find_problems(parse_count, name, value)


def parse_count(name: str, value: object, *, least: int = 1) -> int | None:
    """A whole number that may come from a template, as text; None where it is not given, or came out empty.

    :raises ArgumentError: naming the option, if it is no whole number from ``least``.
    """
    if value is None or value == "":
        return None
    text = str(value).strip()
    if isinstance(value, bool) or not text.isdecimal() or int(text) < least:
        raise ArgumentError(f"{name}={value!r}: expected a whole number from {least}.")
    return int(text)


def parse_count_or_none(name: str, value: object) -> int | None:
    """The same for an option of which 0 means none."""
    return parse_count(name, value, least=0)


def parse_flag(name: str, value: object) -> bool | None:
    """A choice of yes or no that may come from a template, as text; None where it is not given, or came out empty.

    :raises ArgumentError: naming the option, if it is neither.
    """
    if value is None or isinstance(value, bool):
        return value
    found = _FLAGS.get(str(value).strip().lower(), value)
    if found is not None and not isinstance(found, bool):
        raise ArgumentError(f"{name}={value!r}: expected True or False.")
    return found


def find_list_problems(name: str, value: object, *, example: Sequence[str] = ()) -> list[str]:
    """What is wrong with an option that takes a list of texts, as sentences.

    :param example: a list to show; one with the value where not given.
    """
    if isinstance(value, str):
        return [
            f"{name}={value!r}: expected a list{'' if example else ' of names'}, such as {list(example) or [value]!r}."
        ]
    return []


WITHHELD_PREFIXES = ("AWS_", "AIRFLOW_", "_AIRFLOW_", "PYTHON")
"""Environment variables that no script gets from a user: ``AWS_*`` may be of another account than the connection's,
``AIRFLOW_*`` holds connections and keys of the deployment, ``PYTHON*`` would change what its interpreter imports."""


def find_variable_problems(name: str, value: object) -> list[str]:
    """What is wrong with an option that gives a script environment variables, as sentences."""
    if not isinstance(value, Mapping) or not all(isinstance(one, str) for one in (*value, *value.values())):
        return [f"{name}={value!r}: expected texts by name, such as {{'STAGE': 'test'}}."]
    refused = sorted(one for one in value if one.startswith(WITHHELD_PREFIXES))
    if refused:
        return [f"{name}: a script is not given {', '.join(refused)}. It gets AWS's variables from the connection."]
    return []


def parse_seconds(name: str, value: object) -> float | None:
    """A number of seconds that may come from a template, as text; None where it is not given, or came out empty.

    :raises ArgumentError: naming the option, if it is no number over 0.
    """
    if value is None or value == "":
        return None
    try:
        seconds = float(str(value))
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < inf:
        raise ArgumentError(f"{name}={value!r}: expected a number of seconds over 0.")
    return seconds


def parse_verify(value: object) -> bool | str | None:
    """``verify`` of an AWS client, which may come from a template: true, false, or the path of a CA bundle."""
    if isinstance(value, str):
        text = value.strip()
        return {"": None, "none": None, "true": True, "false": False}.get(text.lower(), text)
    return value if isinstance(value, bool) else None


def parse_literal(text: str) -> Any:
    """The value in a text: JSON, or Python's own notation, which a template makes of a dict.

    :raises ValueError: if it is neither.
    """
    import ast
    import json

    for read in (json.loads, ast.literal_eval):
        with suppress(ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            return read(text)
    raise ValueError(f"{text!r} is neither JSON nor a value of Python")


def parse_execution(name: str, value: object) -> str:
    """The ARN of an execution, from itself or from what the run operator returns, also as a template's text of that.

    :raises ArgumentError: it is neither.
    """
    found = value
    if isinstance(value, str) and value.lstrip().startswith("{"):
        found = parse_literal(value)
    if isinstance(found, Mapping):
        found = found.get("pipeline_execution_arn") or found.get("execution_arn")
    if not isinstance(found, str) or not found.startswith("arn:"):
        raise ArgumentError(
            f"{name}={value!r}: expected an execution's ARN, or what the run operator returns. Is it the right XCom?"
        )
    return found


def refuse_old_arguments(task: str, given: Mapping[str, object], renamed: Mapping[str, str]) -> None:
    """Refuse arguments that another package's class for the same has, and say what is here instead.

    :param task: the name of our class.
    :param renamed: what is here for each argument of the other class.
    :raises ArgumentError: naming all of them.
    """
    old = [name for name in given if name in renamed]
    if old:
        raise ArgumentError(
            f"{task} has no argument "
            + "; no ".join(f"'{name}' of the amazon provider: {renamed[name]}" for name in old)
            + ". `sm-pipelines migrate provider FILE` changes your file."
        )

"""The part of JSONPath that ``InputFilter`` and ``OutputFilter`` of batch transform take.

Source: developer guide, "Associate prediction results with input records": ``$``, ``.name``, ``*``, ``['a','b']``,
``[0,-1]``, ``[1:3]``. Where the guide says nothing, the result is that of Jayway, which has this grammar: several names
give an object, several positions give a list.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_sm_pipelines.engine.jobs.failures import JobFailure

if TYPE_CHECKING:
    from airflow_sm_pipelines.definition import JsonValue

_STEP = re.compile(
    r"\.?\[(?P<names>\s*'[^']*'(?:\s*,\s*'[^']*')*\s*)\]"
    r"|\.?\[(?P<positions>\s*-?\d+(?:\s*,\s*-?\d+)*\s*)\]"
    r"|\.?\[(?P<slice>\s*-?\d*\s*:\s*-?\d*\s*)\]"
    r"|\.?\[(?P<every>\*)\]|\.(?P<star>\*)"
    r"|\.(?P<name>[^.\[\]]+)"
)


@dataclass(frozen=True, slots=True)
class _Names:
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Positions:
    positions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RecordPath:
    """A parsed path.

    :param text: as it was written.
    :param steps: names, positions, a slice, or None for every child.
    """

    text: str
    steps: tuple[_Names | _Positions | slice | None, ...]

    @property
    def is_whole(self) -> bool:
        """Whether it is ``$``, the whole record."""
        return not self.steps

    def select(self, record: JsonValue) -> JsonValue:
        """What the path selects in a record.

        :raises JobFailure: there is nothing.
        """
        value = record
        for step in self.steps:
            value = self._take(value, step)
        return value

    def _take(self, value: JsonValue, step: _Names | _Positions | slice | None) -> JsonValue:
        if isinstance(step, _Names) and isinstance(value, dict):
            missing = [name for name in step.names if name not in value]
            if not missing:
                one = len(step.names) == 1
                return value[step.names[0]] if one else {name: value[name] for name in step.names}
        elif isinstance(step, _Positions) and isinstance(value, list):
            if all(-len(value) <= position < len(value) for position in step.positions):
                chosen = [value[position] for position in step.positions]
                return chosen[0] if len(chosen) == 1 else chosen
        elif isinstance(step, slice) and isinstance(value, list):
            return value[step]
        elif step is None and isinstance(value, (list, dict)):
            return [*value.values()] if isinstance(value, dict) else value
        raise JobFailure(f"ClientError: the path '{self.text}' finds nothing in a record such as {value!r:.200}")


def parse_record_path(text: str) -> RecordPath:
    """Parse a filter.

    :raises JobFailure: it is not in this part of JSONPath.
    """
    if not text.startswith("$"):
        raise JobFailure(f"ClientError: the filter '{text}' does not begin with '$'.")
    steps: list[_Names | _Positions | slice | None] = []
    position = 1
    while position < len(text):
        match = _STEP.match(text, position)
        if match is None:
            raise JobFailure(f"ClientError: the filter '{text}' cannot be read at '{text[position:]}'.")
        position = match.end()
        if match["names"] is not None:
            steps.append(_Names(tuple(re.findall(r"'([^']*)'", match["names"]))))
        elif match["positions"] is not None:
            steps.append(_Positions(tuple(int(number) for number in match["positions"].split(","))))
        elif match["slice"] is not None:
            start, _, end = (part.strip() for part in match["slice"].partition(":"))
            steps.append(slice(int(start) if start else None, int(end) if end else None))
        elif match["name"] is not None:
            steps.append(_Names((match["name"].strip(),)))
        else:
            steps.append(None)
    return RecordPath(text, tuple(steps))

"""Makes arguments of calls from their shapes: good ones, and ones with one fault at a chosen place."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from airflow_sm_pipelines.service_model import FaultKind, Shape
from tests.service_model.java_pattern import matches, sample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Turn: TypeAlias = "tuple[Literal['member', 'item', 'key', 'value'], str]"
"""One turn on the way from a request to a place in it."""

_OTHER_TYPES: dict[str, tuple[Any, ...]] = {
    "string": (5, True, 0.5, [], {"a": 1}),
    "integer": ("1", 1.0, True, [], {}, "x"),
    "long": ("1", 1.0, False, [], {}),
    "float": ("0.5", True, [], {}),
    "double": ("0.5", True, [], {}),
    "boolean": ("true", 0, 1, "yes", {}),
    "structure": ("x", 5, [], True),
    "list": ("x", {"a": 1}, 5),
    "map": ("x", [], 5),
}
_NUMBERS = ("integer", "long", "float", "double")
_MISFITS = ["a*b", "a b", "", " ", "*", "é", "!!", "\x00", "a\x00a", "-", "/", "\ttab", "http:", "x" * 30 + "*", "a\n*"]
_POOL_SIZE = 6


@dataclass(frozen=True)
class Constraint:
    """One thing that can be wrong with values of a shape, in the requests of a call.

    :param member: for a missing member.
    """

    operation: str
    shape: Shape
    kind: FaultKind
    member: str = ""

    @property
    def label(self) -> tuple[str, str, str, str]:
        """What a fault that breaks it says of itself."""
        return (self.operation, self.shape.name, self.kind.value, self.member)


def find_ways(root: Shape) -> dict[str, tuple[Shape, tuple[Turn, ...]]]:
    """Every shape that a request may hold, and a shortest way to it, by the shape's name.

    A shape that is the key of one map and the value of another is reached as a value.
    """
    ways: dict[str, tuple[Shape, tuple[Turn, ...]]] = {}
    waiting: deque[tuple[Shape, tuple[Turn, ...]]] = deque([(root, ())])
    while waiting:
        shape, way = waiting.popleft()
        if shape.name in ways and not (ways[shape.name][1][-1][0] == "key" and way[-1][0] != "key"):
            continue
        ways[shape.name] = (shape, way)
        waiting.extend((member, (*way, ("member", name))) for name, member in shape.members.items())
        if shape.type_name == "list":
            waiting.append((shape.member, (*way, ("item", ""))))
        elif shape.type_name == "map":
            waiting.extend([(shape.key, (*way, ("key", ""))), (shape.value, (*way, ("value", "")))])
    return ways


def iter_kinds(shape: Shape, *, is_key: bool) -> Iterator[FaultKind]:
    """What can be wrong with a value of a shape, but for missing members."""
    if not is_key:
        yield FaultKind.WRONG_TYPE
    if shape.type_name in ("integer", "long"):
        yield FaultKind.OUTSIDE_TYPE
    if shape.type_name in ("float", "double"):
        yield FaultKind.NOT_FINITE
    if shape.type_name == "structure":
        yield FaultKind.UNKNOWN_MEMBER
    if shape.type_name == "list":
        yield FaultKind.NULL_ENTRY
    if shape.is_tagged_union:
        yield FaultKind.NOT_ONE_MEMBER
    if shape.minimum is not None and (shape.minimum > 0 or shape.type_name in _NUMBERS):
        yield FaultKind.BELOW_MINIMUM
    if shape.maximum is not None:
        yield FaultKind.ABOVE_MAXIMUM
    if shape.type_name == "string":
        yield FaultKind.HALF_CHARACTER
        if shape.enum:
            yield FaultKind.UNKNOWN_VALUE
            if shape.is_open_list:
                yield FaultKind.UNLISTED_VALUE
        if shape.spelled_pattern:
            yield FaultKind.WRONG_PATTERN


@dataclass
class ArgumentMaker:
    """Makes values of shapes.

    :param hide: may put an expression in a value's place; gets the value.
    """

    chance: random.Random
    hide: Callable[[Any], Any] = lambda value: value
    _texts: dict[str, list[str]] = field(default_factory=dict)

    def make(self, shape: Shape, way: tuple[Turn, ...] = (), end: Callable[[Shape], Any] | None = None) -> Any:
        """A good value, but for the place at the end of the way.

        :param end: makes the value there.
        """
        if end is not None and not way:
            return end(shape)
        value = self._make(shape, way, end)
        return value if end is not None else self.hide(value)

    def _make(self, shape: Shape, way: tuple[Turn, ...], end: Callable[[Shape], Any] | None) -> Any:
        if shape.type_name == "structure":
            return self._make_structure(shape, way, end)
        if shape.type_name == "list":
            first = [self.make(shape.member, way[1:], end)] if way else []
            least = int(shape.minimum or 0)
            count = min(least + self.chance.choice((0, 0, 1, 2)), int(shape.maximum or 10**6))
            return first + [self.make(shape.member) for _ in range(count - len(first))]
        if shape.type_name == "map":
            return self._make_map(shape, way, end)
        if shape.type_name == "string":
            return self.chance.choice(self.texts(shape))
        if shape.type_name == "boolean":
            return self.chance.random() < 0.5
        return self._make_number(shape)

    def _make_structure(self, shape: Shape, way: tuple[Turn, ...], end: Callable[[Shape], Any] | None) -> Any:
        names = [
            name
            for name in shape.members
            if name in shape.required_members or (not shape.is_tagged_union and self.chance.random() < 0.15)
        ]
        if shape.is_tagged_union:
            names = [self.chance.choice(list(shape.members))]
        if way and way[0][1] not in names:
            names = [*([] if shape.is_tagged_union else names), way[0][1]]
        made = {name: self.make(shape.members[name]) for name in names if not way or name != way[0][1]}
        if way:
            made[way[0][1]] = self.make(shape.members[way[0][1]], way[1:], end)
        if self.chance.random() < 0.03 and not shape.is_tagged_union:
            absent = [name for name in shape.members if name not in made]
            made.update(dict.fromkeys(absent[:1]))  # as the SDKs write what is not given
        return made

    def _make_map(self, shape: Shape, way: tuple[Turn, ...], end: Callable[[Shape], Any] | None) -> Any:
        made: dict[str, Any] = {}
        if way and way[0][0] == "key" and end is not None:
            made[end(shape.key)] = self.make(shape.value)
        elif way:
            made[self.chance.choice(self.texts(shape.key))] = self.make(shape.value, way[1:], end)
        least = int(shape.minimum or 0)
        for key in self.texts(shape.key):
            if len(made) >= min(least + self.chance.choice((0, 1, 2)), int(shape.maximum or 10**6)):
                break
            made.setdefault(key, self.make(shape.value))
        return made

    def _make_number(self, shape: Shape) -> float:
        low = shape.minimum if shape.minimum is not None else 0
        high = shape.maximum if shape.maximum is not None else low + 1000
        if shape.type_name in ("integer", "long"):
            return self.chance.choice((int(low), int(high), self.chance.randint(int(low), int(high))))
        return self.chance.choice((low, high, self.chance.uniform(low, high)))

    def texts(self, shape: Shape) -> list[str]:
        """A few good texts of a shape, always the same."""
        if shape.name not in self._texts:
            chance = random.Random(shape.name)
            self._texts[shape.name] = list(shape.enum) or _make_texts(shape, chance)
        return self._texts[shape.name]

    def break_value(self, shape: Shape, kind: FaultKind, member: str) -> Any:
        """A value with one fault; LookupError where no value of the shape can have it."""
        if kind is FaultKind.WRONG_TYPE:
            return self.chance.choice(_OTHER_TYPES[shape.type_name])
        if kind is FaultKind.OUTSIDE_TYPE:
            bound = 2 ** (31 if shape.type_name == "integer" else 63)
            return self.chance.choice((bound, -bound - 1))
        if kind is FaultKind.NOT_FINITE:
            return 10**400
        if kind is FaultKind.HALF_CHARACTER:
            return "a\ud800"
        if kind is FaultKind.UNLISTED_VALUE:
            return "ml.z99.huge"
        if kind is FaultKind.UNKNOWN_VALUE:
            return self.chance.choice(("no value", "", "x" * 200) if shape.is_open_list else ("no value", "Other", "x"))
        if kind is FaultKind.WRONG_PATTERN:
            return self._break_pattern(shape)
        if kind in (FaultKind.BELOW_MINIMUM, FaultKind.ABOVE_MAXIMUM):
            return self._break_range(shape, 1 if kind is FaultKind.ABOVE_MAXIMUM else -1)
        made = self._make(shape, (), None)
        if kind is FaultKind.NULL_ENTRY:
            return [*made[1:], None]
        if kind is FaultKind.NOT_ONE_MEMBER:
            return {}
        if kind is FaultKind.UNKNOWN_MEMBER:
            return {**made, "NoSuchMember": self.chance.choice((1, None, "x"))}
        if self.chance.random() < 0.3:
            return {**made, member: None}
        return {name: value for name, value in made.items() if name != member}

    def _break_pattern(self, shape: Shape) -> str:
        low, high = int(shape.minimum or 0), int(shape.maximum or 10**6)
        longer = [text.ljust(low, "*") for text in _MISFITS]
        fits = [text for text in longer if low <= len(text) <= high and not matches(shape.spelled_pattern, text)]
        if not fits:
            raise LookupError(f"every text matches {shape.spelled_pattern!r}")
        return self.chance.choice(fits)

    def _break_range(self, shape: Shape, step: int) -> Any:
        limit = shape.minimum if step < 0 else shape.maximum
        assert limit is not None
        if shape.type_name in _NUMBERS:
            return limit + step
        size = int(limit) + step
        if shape.type_name == "string":
            text = self.chance.choice(self.texts(shape))
            return (text or "a")[:size].ljust(size, "a")
        if shape.type_name == "list":
            return [self.make(shape.member)] * size
        keys = [text for number in range(size * 2) if _fits(shape.key, text := f"k{number}")]
        return {key: self.make(shape.value) for key in (keys or self.texts(shape.key))[:size]}


def _make_texts(shape: Shape, chance: random.Random) -> list[str]:
    low, high = int(shape.minimum or 0), int(shape.maximum or 10**6)
    if not shape.spelled_pattern:
        return [text for text in ("a", "Some text 1", "é-中", "x" * low) if low <= len(text) <= high]
    found: list[str] = []
    for attempt in range(2000):
        text = sample(shape.spelled_pattern, chance, min(attempt // 20, high) + 1)
        if _fits(shape, text) and text not in found:
            found.append(text)
            if len(found) == _POOL_SIZE:
                break
    assert found, f"no text found for {shape.name} {shape.spelled_pattern!r}"
    return found


def _fits(shape: Shape, text: str) -> bool:
    if not (shape.minimum or 0) <= len(text) <= (shape.maximum or 10**6):
        return False
    return (not shape.enum or text in shape.enum) and (
        not shape.spelled_pattern or matches(shape.spelled_pattern, text)
    )

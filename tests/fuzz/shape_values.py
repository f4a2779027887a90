"""Requests made from botocore's shapes: mostly right ones that name what is there, and ways to make them wrong."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

_LETTERS = "abcXYZ019-"
_ODD_TEXTS = (
    "", " ", "\x00", "é" * 3, "\U0001d4b3", "\ud800", "../../etc/passwd", "'; DROP TABLE pipelines; --", "%s%n",
    "arn:aws:", "s3://", "s3://bucket/../../x", "{}", "null", "9" * 400, "\u202e", "a" * 300,
)  # fmt: skip
_ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 2**31, 2**63, 10**400, 0.5, -1e308, float("nan"), float("inf"), [], {}, [None], [[]],
    {"": ""}, {"$time": 5}, {"Get": "Parameters.P"},
)  # fmt: skip


@dataclass
class RequestMaker:
    """Makes requests at random.

    :param chance: decides.
    :param known: values worth trying for a member, by its name: names, ARNs, tokens, definitions.
    """

    chance: random.Random
    known: dict[str, list[Any]] = field(default_factory=dict)

    def make(self, shape: Any) -> Any:
        """A request of an operation's input shape that fits it more often than not."""
        return {} if shape is None else self._value(shape, "", 0)

    def break_somewhere(self, value: Any) -> Any:
        """The request with one of its values, or one of its members' names, replaced by something odd."""
        broken = copy.deepcopy(value)
        places = list(iter_places(broken))
        if not places:
            return self.chance.choice((None, [], "", 0, {"Nothing": 1}))
        holder, key = self.chance.choice(places)
        kind = self.chance.randrange(6)
        if kind == 0:
            holder[key] = self.chance.choice(_ODD_TEXTS)
        elif kind == 1:
            holder[key] = "x" * self.chance.choice((1025, 100_000, 3_000_000))
        elif kind == 2 and isinstance(holder, dict):
            holder[self.chance.choice(("Unknown", "", "pipelineName", "__class__"))] = holder.pop(key)
        elif kind == 3:
            deep: Any = "x"
            for _ in range(self.chance.choice((5, 300))):
                deep = [deep] if self.chance.random() < 0.5 else {"a": deep}
            holder[key] = deep
        else:
            holder[key] = copy.deepcopy(self.chance.choice(_ODD_VALUES))
        return broken

    def body(self, value: Any) -> bytes:
        """The request as a body, now and then cut, or with bytes that do not belong there."""
        text = json.dumps(value).encode("utf-8", "surrogatepass")
        kind = self.chance.randrange(40)
        if kind == 0:
            return text[: self.chance.randrange(len(text) + 1)]
        if kind == 1:
            place = self.chance.randrange(len(text) + 1)
            return text[:place] + self.chance.choice((b"\xff", b"\x00", b"{", b",", b"\xed\xa0\x80")) + text[place:]
        if kind == 2:
            return b"[" * 100_000
        return text

    def _value(self, shape: Any, name: str, depth: int) -> Any:
        known = self.known.get(name)
        if known and self.chance.random() < 0.8:
            return copy.deepcopy(self.chance.choice(known))
        return getattr(self, f"_{shape.type_name}")(shape, name, depth)

    def _structure(self, shape: Any, name: str, depth: int) -> dict[str, Any]:
        members = list(shape.members)
        if shape.is_tagged_union:
            members = [self.chance.choice(members)]
            return {members[0]: self._value(shape.members[members[0]], members[0], depth + 1)}
        wanted = 0.35 / (depth + 1)
        return {
            member: self._value(shape.members[member], member, depth + 1)
            for member in members
            if member in shape.required_members or (depth < 6 and self.chance.random() < wanted)
        }

    def _list(self, shape: Any, name: str, depth: int) -> list[Any]:
        least = int(shape.metadata.get("min", 0))
        count = max(least, self.chance.choice((0, 1, 1, 2))) if depth < 8 else least
        return [self._value(shape.member, name, depth + 1) for _ in range(count)]

    def _map(self, shape: Any, name: str, depth: int) -> dict[str, Any]:
        count = self.chance.choice((0, 1, 2))
        return {self._string(shape.key, "", depth): self._value(shape.value, "", depth + 1) for _ in range(count)}

    def _string(self, shape: Any, name: str, depth: int) -> str:
        if shape.enum:
            return str(self.chance.choice(shape.enum))
        least, most = int(shape.metadata.get("min", 1)), int(shape.metadata.get("max", 30))
        if "s3" in shape.metadata.get("pattern", "") and self.chance.random() < 0.8:
            return "s3://bucket/key"
        if name.endswith("Arn") and self.chance.random() < 0.8:
            return "arn:aws:iam::123456789012:role/Role"
        if self.chance.random() < 0.05:
            return self.chance.choice(_ODD_TEXTS)
        count = self.chance.randint(least, max(least, min(most, 30)))
        text = "".join(self.chance.choice(_LETTERS) for _ in range(count))
        return ("a" + text[1:-1] + "a")[:count] if count > 1 else text

    def _integer(self, shape: Any, name: str, depth: int) -> int:
        least, most = int(shape.metadata.get("min", 0)), int(shape.metadata.get("max", 100))
        return self.chance.choice((least, most, self.chance.randint(least, max(least, min(most, 100)))))

    _long = _integer

    def _double(self, shape: Any, name: str, depth: int) -> float:
        return self.chance.choice((0.0, 0.5, 1.0, -3.25, 100.0))

    _float = _double

    def _boolean(self, shape: Any, name: str, depth: int) -> bool:
        return self.chance.random() < 0.5

    def _timestamp(self, shape: Any, name: str, depth: int) -> Any:
        return self.chance.choice((0, 1.5e9, 4e9, 1704067200.123, -1, 1e18, "2026-01-01T00:00:00Z", "1704067200"))

    def _blob(self, shape: Any, name: str, depth: int) -> str:
        return "AAAA"


def iter_places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (holder, key) in a JSON value."""
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in list(items):
        yield value, key
        yield from iter_places(item)

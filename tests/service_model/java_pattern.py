"""A slow, obvious reader of the API's patterns: a parser and a matcher of Java's regular expressions.

It knows nothing of Python's ``re``. It finds every end that a part can have, so no pattern is exponential.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

_POOL = [
    *map(chr, range(0x20, 0x7F)),
    "\t",
    "\n",
    "é",
    "ß",
    "Ж",
    "中",
    "²",
    "٣",
    "\u0301",
    "€",
    "\u2010",
    "\u00a0",
    "\U0001f600",
]
_HEX = "0123456789abcdefABCDEF"


@dataclass(frozen=True)
class Characters:
    """One character of a set."""

    contains: Callable[[str], bool]
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Assertion:
    """Something that must hold at a place and takes no character."""

    holds: Callable[[str, int], bool]


@dataclass(frozen=True)
class Sequence:
    """One part after the other."""

    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Choice:
    """One of several parts."""

    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Repeat:
    """A part, so many times."""

    part: Node
    least: int
    most: int | None


Node: TypeAlias = "Characters | Assertion | Sequence | Choice | Repeat"


def find_ends(node: Node, text: str, start: int) -> frozenset[int]:
    """Every place where a part that begins at ``start`` may end."""
    if isinstance(node, Characters):
        return frozenset({start + 1}) if start < len(text) and node.contains(text[start]) else frozenset()
    if isinstance(node, Assertion):
        return frozenset({start}) if node.holds(text, start) else frozenset()
    if isinstance(node, Choice):
        return frozenset().union(*(find_ends(part, text, start) for part in node.parts))
    if isinstance(node, Sequence):
        ends = frozenset({start})
        for part in node.parts:
            ends = frozenset().union(*(find_ends(part, text, end) for end in ends))
        return ends
    ends, seen = frozenset({start}), frozenset({start} if node.least == 0 else ())
    count = 0
    while ends and (node.most is None or count < node.most):
        ends = frozenset().union(*(find_ends(node.part, text, end) for end in ends))
        count += 1
        if count >= node.least:
            if ends <= seen:
                break
            ends -= seen if count > node.least else frozenset()
            seen |= ends
    return seen


@cache
def parse(pattern: str) -> Node:
    """The parts of a pattern."""
    parser = _Parser(pattern)
    node = parser.read_choice()
    assert parser.place == len(pattern), f"{pattern!r} is not read to its end"
    return node


def matches(pattern: str, text: str) -> bool:
    """Whether the whole text matches."""
    return len(text) in find_ends(parse(pattern), text, 0)


def sample(pattern: str, chance: random.Random, generosity: int) -> str:
    """A text that probably matches: assertions are not looked at.

    :param generosity: how many more than the least number of repetitions there may be.
    """
    return _sample(parse(pattern), chance, generosity)


def _sample(node: Node, chance: random.Random, generosity: int) -> str:
    if isinstance(node, Characters):
        return chance.choice(node.examples) if node.examples else ""
    if isinstance(node, Choice):
        return _sample(chance.choice(node.parts), chance, generosity)
    if isinstance(node, Sequence):
        return "".join(_sample(part, chance, generosity) for part in node.parts)
    if isinstance(node, Repeat):
        most = node.least + generosity if node.most is None else min(node.most, node.least + generosity)
        count = chance.randint(node.least, most)
        return "".join(_sample(node.part, chance, generosity) for _ in range(count))
    return ""


@dataclass
class _Parser:
    pattern: str
    place: int = field(default=0)

    def peek(self, text: str) -> bool:
        return self.pattern.startswith(text, self.place)

    def take(self, text: str) -> bool:
        if self.peek(text):
            self.place += len(text)
            return True
        return False

    def next(self) -> str:
        self.place += 1
        return self.pattern[self.place - 1]

    def read_choice(self) -> Node:
        parts = [self.read_sequence()]
        while self.take("|"):
            parts.append(self.read_sequence())
        return parts[0] if len(parts) == 1 else Choice(tuple(parts))

    def read_sequence(self) -> Node:
        parts: list[Node] = []
        while self.place < len(self.pattern) and not self.peek("|") and not self.peek(")"):
            parts.append(self.read_repeat())
        return Sequence(tuple(parts))

    def read_repeat(self) -> Node:
        node = self.read_atom()
        while True:
            if self.take("*"):
                node = Repeat(node, 0, None)
            elif self.take("+"):
                node = Repeat(node, 1, None)
            elif self.take("?"):
                node = Repeat(node, 0, 1)
            elif self.peek("{"):
                inside = self.pattern[self.place + 1 : self.pattern.index("}", self.place)]
                self.place += len(inside) + 2
                least, comma, most = inside.partition(",")
                node = Repeat(node, int(least), int(most) if most else None if comma else int(least))
                self.take("?")  # a lazy repetition matches the same whole texts
            else:
                return node

    def read_atom(self) -> Node:
        if self.take("("):
            return self.read_group()
        if self.take("["):
            return self.read_class()
        if self.take("."):
            return _from(lambda letter: True)  # line breaks too: descriptions have several lines
        if self.take("^"):
            return Assertion(lambda text, place: place == 0)
        if self.take("$"):
            return Assertion(lambda text, place: text[place:] in ("", "\n"))
        if self.take("\\b"):
            return Assertion(_is_boundary)
        return _from(self.read_set())

    def read_group(self) -> Node:
        kind = next((kind for kind in ("?:", "?=", "?!", "?<!") if self.take(kind)), "")
        node = self.read_choice()
        assert self.take(")")
        if kind == "?=":
            return Assertion(lambda text, place: bool(find_ends(node, text, place)))
        if kind == "?!":
            return Assertion(lambda text, place: not find_ends(node, text, place))
        if kind == "?<!":
            return Assertion(lambda text, place: not any(place in find_ends(node, text, at) for at in range(place + 1)))
        return node

    def read_class(self) -> Node:
        is_negated = self.take("^")
        sets: list[Callable[[str], bool]] = []
        while not self.take("]"):
            low = self.place
            contains = self.read_set()
            character = self.pattern[low : self.place]
            is_range = self.peek("-") and not self.peek("-]") and not _is_named(character)
            if is_range and not _is_named(self.pattern[self.place + 1 : self.place + 3]):
                self.next()
                at = self.place
                self.read_set()
                first, last = _value(character), _value(self.pattern[at : self.place])
                sets.append(lambda letter, first=first, last=last: first <= letter <= last)  # type: ignore[misc]
            else:
                sets.append(contains)
        return _from(lambda letter: any(contains(letter) for contains in sets) is not is_negated)

    def read_set(self) -> Callable[[str], bool]:
        """The next character or named set."""
        start = self.place
        if self.next() == "\\":
            kind = self.next()
            if kind == "p":
                name = self.pattern[self.place + 1 : self.pattern.index("}", self.place)]
                self.place += len(name) + 2
                if name == "Alnum":
                    return lambda letter: letter.isascii() and letter.isalnum()
                return lambda letter: unicodedata.category(letter)[0] == name
            if kind == "u":
                self.place += 4
                # The only pairs of halves that the model has are the first and the last that there are.
                if self.pattern.startswith(("\\uD800\\uDC00", "\\uDBFF\\uDFFF"), start):
                    self.place += 6
            elif kind == "x":
                self.place += 2
            elif kind in _NAMED:
                return _NAMED[kind]
        value = _value(self.pattern[start : self.place])
        return lambda letter: letter == value


_NAMED: dict[str, Callable[[str], bool]] = {
    "d": lambda letter: letter in "0123456789",
    "w": lambda letter: letter == "_" or (letter.isascii() and letter.isalnum()),
    "s": lambda letter: letter in " \t\n\x0b\f\r",
    "S": lambda letter: letter not in " \t\n\x0b\f\r",
}


def _is_named(spelled: str) -> bool:
    return len(spelled) > 1 and spelled[0] == "\\" and spelled[1] in "dwsSp"


def _value(spelled: str) -> str:
    """The character that is spelled so."""
    if len(spelled) == 12:  # two halves of a pair
        return bytes.fromhex(spelled[2:6] + spelled[8:12]).decode("utf-16-be")
    if spelled[:2] in ("\\u", "\\x") and all(letter in _HEX for letter in spelled[2:]):
        return chr(int(spelled[2:], 16))
    return {"\\n": "\n", "\\t": "\t", "\\r": "\r"}.get(spelled, spelled[-1])


def _from(contains: Callable[[str], bool]) -> Characters:
    examples = tuple(letter for letter in _POOL if contains(letter))
    return Characters(contains, examples)


def _is_boundary(text: str, place: int) -> bool:
    before = place > 0 and _NAMED["w"](text[place - 1])
    after = place < len(text) and _NAMED["w"](text[place])
    return before is not after

"""Documents and paths made at random, half of them faulty, and a slow and obvious reading of both."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

NAMING = ("OutputName", "InputName", "ChannelName", "MetricName", "Name", "ModelName", "ParameterName", "TestName")
NAMING = (*NAMING, "StepName")
KEYS = (
    "Outputs",
    "Value",
    "S3Uri",
    "a",
    "a b",
    " ",
    "",
    "0",
    "17",
    "a.b",
    "a[0]",
    "it's",
    'say "x"',
    "x']y",
    'x"]y',
    "validation:rmse",
    "max-depth",
    "$",
    "ключ",
    "值",
    "é\u0301",
    "back\\slash",
    "line\nbreak",
    *NAMING,
)
SCALARS = ("text", "", "a", "train", 0, 1, -1, 2.5, True, False, None)


@dataclass(frozen=True)
class Case:
    """A document, and the text of a path into it, written as what follows a name: ``.a['b'][0]``."""

    document: Any
    path: str


def make_case(number: int) -> Case:
    """The case of this number, always the same."""
    rng = random.Random(f"property path {number}")
    document = _document(rng, 0)
    segments = _existing_path(rng, document)
    if number % 2 == 0:
        return Case(document, "".join(_spell(rng, segment) for segment in segments))
    if rng.random() < 0.5:
        return Case(document, "".join(_spell(rng, segment) for segment in _break_path(rng, segments)))
    return Case(document, _break_text(rng, "".join(_spell(rng, segment) for segment in segments)))


def parse_slowly(text: str) -> tuple[str | int, ...] | None:
    """The segments of a path; None for what is no path."""
    segments: list[str | int] = []
    while text:
        if text[0] == ".":
            name = ""
            text = text[1:]
            while text and text[0] not in ".[]":
                name += text[0]
                text = text[1:]
            if not name:
                return None
            segments.append(name)
        elif text[:2] in ("['", '["'):
            end = text.find(text[1] + "]", 2)
            if end < 0:
                return None
            segments.append(text[2:end])
            text = text[end + 2 :]
        elif text[0] == "[" and "]" in text:
            digits, text = text[1:].split("]", 1)
            if not 1 <= len(digits) <= 18 or any(digit not in "0123456789" for digit in digits):
                return None
            segments.append(int(digits))
        else:
            return None
    return tuple(segments)


def walk_slowly(value: Any, path: tuple[str | int, ...]) -> tuple[bool, Any]:
    """Whether a path leads anywhere, and the value there."""
    if not path:
        return True, value
    first, rest = path[0], path[1:]
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == str(first):
                return walk_slowly(inner, rest)
    if isinstance(value, list):
        for index, entry in enumerate(value):
            if isinstance(first, int):
                if index == first:
                    return walk_slowly(entry, rest)
            elif isinstance(entry, dict) and first in [entry[key] for key in NAMING if isinstance(entry.get(key), str)]:
                return walk_slowly(entry, rest)
    return False, None


def _document(rng: random.Random, depth: int) -> Any:
    kind = rng.random()
    if depth > 3 or (depth and kind < 0.2):
        return rng.choice(SCALARS)
    if kind < 0.6:
        return {rng.choice(KEYS): _document(rng, depth + 1) for _ in range(rng.randrange(5))}
    if kind < 0.85:
        return [_named_entry(rng, depth + 1) for _ in range(rng.randrange(4))]
    return [_document(rng, depth + 1) for _ in range(rng.randrange(4))]


def _named_entry(rng: random.Random, depth: int) -> Any:
    names = {rng.choice(NAMING): rng.choice((*KEYS, 1, None)) for _ in range(rng.randrange(1, 3))}
    return {**names, "Value": _document(rng, depth + 1)}


def _existing_path(rng: random.Random, document: Any) -> list[str | int]:
    path: list[str | int] = []
    value = document
    while isinstance(value, (dict, list)) and value and (not path or rng.random() < 0.85):
        if isinstance(value, dict):
            segment: str | int = rng.choice(list(value))
            if segment in ("0", "17") and rng.random() < 0.5:
                segment = int(segment)
        else:
            index = rng.randrange(len(value))
            entry = value[index]
            names = [entry[key] for key in NAMING if isinstance(entry, dict) and isinstance(entry.get(key), str)]
            segment = rng.choice(names) if names and rng.random() < 0.7 else index
        path.append(segment)
        value = walk_slowly(value, (segment,))[1]
    return path


def _break_path(rng: random.Random, path: list[str | int]) -> list[str | int]:
    at = rng.randrange(len(path) + 1)
    return [*path[:at], rng.choice((*KEYS, "missing", "-1", 0, 1, 3, 99, 10**17)), *path[at + rng.randrange(2) :]]


def _break_text(rng: random.Random, text: str) -> str:
    at = rng.randrange(len(text) + 1)
    wrong = rng.choice(
        (".", "..", "[", "]", "['", "']", '"', "[-1]", "[]", "[*]", "[?(@.a)]", "[0:1]", "[٣]", "[²]", "[1 ]", "x", "$")
    )
    if rng.random() < 0.3:
        return text[:at] + text[at + 1 :]
    return text[:at] + (wrong + "9" * 19 + "]" if wrong == "[" and rng.random() < 0.3 else wrong) + text[at:]


def _spell(rng: random.Random, segment: str | int) -> str:
    if isinstance(segment, int):
        return f"[{segment}]"
    if segment and not any(sign in segment for sign in ".[]") and rng.random() < 0.6:
        return f".{segment}"
    quotes = [quote for quote in "'\"" if f"{quote}]" not in segment]
    quote = rng.choice(quotes or ["'"])
    return f"[{quote}{segment}{quote}]"

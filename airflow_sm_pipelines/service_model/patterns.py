"""The regular expressions of the API's model as Python patterns. The model's are Java's."""

from __future__ import annotations

import re
import unicodedata
from functools import cache, lru_cache
from itertools import groupby

_ALPHANUMERIC = "a-zA-Z0-9"
_HIGHEST_ASSIGNED = 0x32400
"""Above it stand no letters, numbers, marks, signs or spaces, but for the selectors below."""
_VARIATION_SELECTORS = "\\U000e0100-\\U000e01ef"

_CATEGORY = re.compile(r"\\p\{(L|M|N|P|S|Z|Alnum)\}")
_SURROGATE_PAIR = re.compile(r"\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")
_REPEATED_END = re.compile(r"(?<!\\)\$\{[1-9]\d*(,\d*)?\}\Z")

_EQUIVALENTS = {
    "[a-z0-9]([-a-z0-9]*[a-z0-9]){0,39}?": "[a-z0-9]([-a-z0-9]*[a-z0-9])?",
    r"https://([.\-_a-zA-Z0-9]+/?){3,1016}": r"https://(?=([.\-_a-zA-Z0-9]/?){3})[.\-_a-zA-Z0-9]+(/[.\-_a-zA-Z0-9]+)*/?",
}
"""Patterns that take exponential time to fail, and what matches the same texts in linear time."""


@cache
def compile_pattern(pattern: str) -> re.Pattern[str] | None:
    """A model's pattern, to be matched against the whole value.

    :param pattern: the pattern as the model spells it.
    :return: the compiled pattern, or None when Python cannot express it. No pattern of today's model is one of those.
    """
    pattern = _EQUIVALENTS.get(pattern, pattern)
    pattern = _CATEGORY.sub(lambda match: _list_characters(match[1]), pattern)
    pattern = _SURROGATE_PAIR.sub(lambda match: _join_surrogates(match[1], match[2]), pattern)
    pattern = _REPEATED_END.sub("$", pattern)
    try:
        # Java's \d, \w and \s know ASCII only. The dot takes line breaks: descriptions have several lines, since the
        # SDK takes a function's docstring for its step's.
        return re.compile(pattern, re.DOTALL | re.ASCII)
    except re.error:
        return None


def _list_characters(category: str) -> str:
    """The characters of a Unicode category, to stand inside brackets."""
    return _ALPHANUMERIC if category == "Alnum" else _find_ranges()[category]


@lru_cache(maxsize=1)
def _find_ranges() -> dict[str, str]:
    """The ranges of each category's first letter. It takes 20 ms, and only texts such as tags need it."""
    ranges: dict[str, list[str]] = {}
    for category, group in groupby(range(_HIGHEST_ASSIGNED), key=lambda code: unicodedata.category(chr(code))[0]):
        codes = list(group)
        ranges.setdefault(category, []).append(f"\\U{codes[0]:08x}-\\U{codes[-1]:08x}")
    ranges["M"].append(_VARIATION_SELECTORS)
    return {category: "".join(parts) for category, parts in ranges.items()}


def _join_surrogates(high: str, low: str) -> str:
    """The one character that Java's pattern spells as two halves."""
    code = 0x10000 + (int(high, 16) - 0xD800) * 0x400 + int(low, 16) - 0xDC00
    return f"\\U{code:08x}"

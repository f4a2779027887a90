"""The regular expressions of botocore's service model as Python patterns.

The model's are Java's. What Python cannot say is translated; the few that no engine we have can read are not checked.
"""

from __future__ import annotations

import re
from functools import cache

#: Java's Unicode categories, as character classes that may stand inside brackets. Python knows fewer kinds of
#: characters, so a little more is accepted than by the service.
_CATEGORIES = {
    r"\p{L}": r"\w",
    r"\p{M}": r"\w\u0300-\u036f",
    r"\p{N}": r"\d",
    r"\p{Z}": r"\s",
    r"\p{S}": r"$+<=>^`|~\u00a2-\u00a9\u00ac-\u00b4\u2000-\u2bff",
    r"\p{P}": r"!-#%-*,-/:;?@\[-\]_{}\u00a1-\u00bf\u2010-\u205e",
}


@cache
def compile_pattern(pattern: str) -> re.Pattern[str] | None:
    """A model's pattern, to be matched against the whole value.

    :param pattern: the pattern as the model spells it.
    :return: the compiled pattern, or None when it cannot be expressed.
    """
    for java, python in _CATEGORIES.items():
        pattern = pattern.replace(java, python)
    try:
        # Descriptions have several lines: the SDK takes a function's docstring for its step's.
        return re.compile(pattern, re.DOTALL)
    except re.error:
        return None

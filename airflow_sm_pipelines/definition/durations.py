"""How long a cached step result may be used: ``ExpireAfter``, as people really write it.

The documentation asks for ISO 8601; ``p30d``, ``T12H`` and ``30d`` stand in AWS's own samples and are accepted by the
service, so they are read here too.
"""

from __future__ import annotations

import re
from datetime import timedelta

_DURATION = re.compile(
    r"P?(?:(?P<years>\d+)Y)?(?:(?P<months>\d+)M)?(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?"
    r"(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+)S)?)?\Z",
    re.IGNORECASE,
)
_DAYS = {"years": 365, "months": 30, "weeks": 7, "days": 1}


def parse_duration(text: str) -> timedelta | None:
    """The duration that ``text`` means, or ``None`` when it means none. A month is 30 days here, a year 365."""
    match = _DURATION.match(text.strip())
    parts = {name: int(number) for name, number in match.groupdict().items() if number} if match else {}
    if not parts:
        return None
    days = sum(number * _DAYS.get(name, 0) for name, number in parts.items())
    try:
        return timedelta(
            days=days, hours=parts.get("hours", 0), minutes=parts.get("minutes", 0), seconds=parts.get("seconds", 0)
        )
    except OverflowError:
        return timedelta.max

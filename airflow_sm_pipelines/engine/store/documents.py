"""Documents in the database: JSON text in which a time is ``{"$time": <epoch ms>}``. Read back, it is aware UTC."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def to_ms(moment: datetime) -> int:
    """The moment as whole milliseconds since the epoch."""
    return round((moment - _EPOCH) / timedelta(milliseconds=1))


def from_ms(milliseconds: int) -> datetime:
    """The moment as aware UTC."""
    return _EPOCH + timedelta(milliseconds=milliseconds)


def encode_document(value: Any) -> str:
    """The document as text; datetimes inside it are kept to the millisecond."""
    return json.dumps(value, default=_encode_special, separators=(",", ":"), ensure_ascii=False)


def decode_document(text: str) -> Any:
    """The document that ``encode_document`` wrote."""
    return _DECODER.decode(text)


def _encode_special(value: Any) -> Any:
    if isinstance(value, datetime):
        return {"$time": to_ms(value)}
    if isinstance(value, tuple):
        return list(value)
    raise TypeError(f"{type(value).__name__} cannot be stored.")


def _decode_special(value: dict[str, Any]) -> Any:
    if len(value) == 1 and isinstance(value.get("$time"), int):
        return from_ms(value["$time"])
    return value


_DECODER = json.JSONDecoder(object_hook=_decode_special)
"""Made once, since with an object hook json.loads would make a decoder for every call."""

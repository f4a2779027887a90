"""S3 addresses and ARNs in texts of which parts may not be known: what they name, as far as they tell.

A text may be an address, hold one among other words (``--out=s3://bucket/x``), or be JSON or a command that does. What
is encoded in another way (base64, URL encoding) or put together by code is not found.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition.partitions import DNS_SUFFIX_PATTERN
from airflow_sm_pipelines.policy.possible_values import Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_sm_pipelines.policy.possible_values import Text

_GAP = "\0"
"""Stands in a text for what is not known."""

_URI = re.compile(r"\bs3[an]?://(?P<bucket>[^\s/\"'`\\,;|&<>?#)\]]+)", re.IGNORECASE)
_WHOLE_URI = re.compile(r"s3[an]?://(?P<bucket>[^/]+)", re.IGNORECASE)
_SCHEME = re.compile(r"\A[a-z0-9]+:/*", re.IGNORECASE)
_OPEN_URI = re.compile(rf"\bs3[an]?:/?{_GAP}", re.IGNORECASE)
_ENDPOINT = (
    r"s3(?:[.-](?:accelerate|accesspoint|control|dualstack|external-1|fips|website|[a-z]{2,4}(?:-[a-z]+)+-\d+))*"
)
_URL = re.compile(
    rf"\bhttps?://(?:(?P<bucket>[^/\s\"'`\\,;]+)\.)?{_ENDPOINT}{DNS_SUFFIX_PATTERN}(?::\d+)?(?=[/\s\"'`\\,;|&<>?#)\]{_GAP}]|\Z)"
    r"(?:/+(?P<first>[^\s/\"'`\\,;|&<>?#)\]]*))?",
    re.IGNORECASE,
)
_UNKNOWN_HOST = re.compile(rf"\bhttps?://[^/\s\"'`\\,;]*{_GAP}[^/\s\"'`\\,;]*", re.IGNORECASE)
_ARN = re.compile(
    r"\barn:aws[a-z0-9-]*:(?P<service>[a-z0-9-]+):[^\s:\"']*:(?P<account>[^\s:\"']*):(?P<resource>[^\s/:\"'`\\,;]*)",
    re.IGNORECASE,
)
_KEY = re.compile(rf"[^\s\"'`\\,;|&<>{_GAP}]*")
_SHORT_ARN = re.compile(r"(?P<account>\d{12}):")
_QUEUE_URL = re.compile(r"https?://[^/]+/(?P<account>[^/]+)/[^/]+")

_ESCAPED_CHARACTER = re.compile(r"\\+u([0-9a-fA-F]{4})")
_ESCAPED_SLASH = re.compile(r"\\+/")


@dataclass(frozen=True, slots=True)
class Address:
    """Something that a text names.

    :param name: the bucket, or the account; ``None`` where it is not known.
    :param key: what follows the bucket, as far as it is known; empty for an account.
    """

    name: str | None
    key: str = ""


def iter_buckets(text: Text) -> Iterator[Address]:
    """The buckets of every S3 address in a text."""
    whole = _unescape(text)
    for match in _URI.finditer(whole):
        yield _located(match["bucket"], whole[match.end() :])
    for _ in _OPEN_URI.finditer(whole):
        yield Address(None)
    for match in _URL.finditer(whole):
        if match["bucket"] or match["first"]:
            yield _located_in_url(match)
    for match in _ARN.finditer(whole):
        if match["service"].lower() == "s3" and not match["account"] and match["resource"]:
            yield _named(match["resource"])


def find_bucket(text: Text) -> Address | None:
    """The bucket of a text that is one S3 address; ``None`` if it is none, or may be none."""
    whole = _write(text)
    match = _WHOLE_URI.match(whole) or _URL.match(whole)
    if match is None:
        return Address(None) if _GAP in whole and (_UNKNOWN_HOST.match(whole) or _is_open_scheme(whole)) else None
    if match.re is _URL:
        return _located_in_url(match) if match["bucket"] or match["first"] else None
    return _located(match["bucket"], whole[match.end() :])


def cut_at_bucket(text: Text) -> Text:
    """The beginning of an S3 address, up to the end of its bucket: what a gap in it is about."""
    parts: list[str | Unknown] = []
    for part in text:
        rest = _SCHEME.sub("", part) if isinstance(part, str) and not parts else part
        parts.append(part)
        if isinstance(rest, str) and "/" in rest:
            break
    return tuple(parts) if any(isinstance(part, Unknown) for part in parts) else text


def iter_accounts(text: Text) -> Iterator[Address]:
    """The accounts of every ARN in a text; ARNs without one, as those of S3 are, name none."""
    for match in _ARN.finditer(_unescape(text)):
        if match["account"].isdigit() or _GAP in _up_to_account(match):
            yield _named_in(match)


def find_account(text: Text) -> Address | None:
    """The account that something lives in, by its ARN, or the URL of its queue.

    :return: ``None`` for a plain name, which is one of the pipeline's own account.
    """
    whole = _write(text)
    match = _ARN.match(whole) or _SHORT_ARN.match(whole) or _QUEUE_URL.fullmatch(whole)
    if match is not None:
        return _named_in(match)
    if _GAP in whole or ":" in whole:
        return Address(None)
    return None


def _up_to_account(match: re.Match[str]) -> str:
    return match.string[match.start() : match.end("account")]


def _named_in(match: re.Match[str]) -> Address:
    """The account of an ARN or URL. A gap before it may hold colons, and so another account."""
    return Address(None if _GAP in _up_to_account(match) else match["account"])


def _is_open_scheme(whole: str) -> bool:
    """Whether what follows decides if a text is an S3 address at all."""
    beginning = whole.partition(_GAP)[0].lower()
    return any(scheme.startswith(beginning) for scheme in ("s3://", "https://s3."))


def _named(name: str) -> Address:
    return Address(None if _GAP in name else name)


def _located(bucket: str, rest: str) -> Address:
    if _GAP in bucket:
        return Address(None)
    found = _KEY.match(rest)
    return Address(bucket, found[0].lstrip("/") if found else "")


def _located_in_url(match: re.Match[str]) -> Address:
    """The bucket of a URL: in the host name, or else the first part of the path."""
    rest = match.string[match.end() :]
    if match["bucket"]:
        return _located(match["bucket"], f"/{match['first'] or ''}{rest}")
    return _located(match["first"], rest)


def _write(text: Text) -> str:
    return "".join(_GAP if isinstance(part, Unknown) else part for part in text)


def _unescape(text: Text) -> str:
    """The text with the escapes of JSON undone, however deep they are nested."""
    whole = _ESCAPED_CHARACTER.sub(lambda match: chr(int(match[1], 16)), _write(text))
    return _ESCAPED_SLASH.sub("/", whole)

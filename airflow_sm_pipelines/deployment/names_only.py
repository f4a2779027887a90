"""Says whether a deployment changes nothing but names that an SDK, or an older release of this package, made up.

Where generated names differ, what was uploaded under them decides: the same files, told apart by name and bytes, are no
change. What is no longer there, or may not be read, is named.
"""

from __future__ import annotations

import json
import pickletools
import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.compiler.sdk_side.archives import rewrite_archive
from airflow_sm_pipelines.definition.s3_uri import split_s3_uri
from airflow_sm_pipelines.exceptions import PipelineApiError
from airflow_sm_pipelines.planning import forecast_cache
from airflow_sm_pipelines.planning.generated_names import (
    NamesOnly,
    is_same_settings,
    pair_addresses,
    without_generated_names,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_sm_pipelines.client.calls import SageMakerCalls
    from airflow_sm_pipelines.definition import PipelineDefinition
    from airflow_sm_pipelines.planning.generated_names import AddressPair

_THREADS = 8
_LARGEST_COMPARED = 64 << 20
_RANDOM = re.compile("[0-9a-f]{32}")
"""How cloudpickle tells classes apart."""

_SETTINGS = ("/sourcecode.json", "/distributed.json")
"""What v3 tells its drivers; the folder of the code on the building machine stands in it."""

_PAYLOAD, _SIGNATURE = "payload.pkl", "metadata.json"


def find_names_only(
    calls: SageMakerCalls | None, deployed: PipelineDefinition, new: PipelineDefinition
) -> NamesOnly | None:
    """Compare two definitions and what lies at their addresses.

    :param calls: reads S3; None where nothing may be asked.
    :return: None if nothing differs, or more than generated names, or if that cannot be known without asking.
    """
    pairs = pair_addresses(deployed, new)
    if pairs is None or deployed.to_json() == new.to_json():
        return None
    unread: list[str] = []
    if pairs:
        if calls is None:
            return None
        with ThreadPoolExecutor(_THREADS) as pool:
            for pair, is_same in zip(pairs, pool.map(_Comparison(calls), pairs), strict=True):
                if is_same is False:
                    return None
                if is_same is None:
                    unread.append(pair.before)
    misses = [forecast.step for forecast in forecast_cache(deployed, new) if forecast.outcome == "miss"]
    return NamesOnly(tuple(misses), tuple(dict.fromkeys(unread)))


class _Comparison:
    """Compares what lies at two addresses."""

    def __init__(self, calls: SageMakerCalls) -> None:
        self._calls = calls
        self._s3 = calls.client_of("s3")

    def __call__(self, pair: AddressPair) -> bool | None:
        """Whether the same files lie there; None if that cannot be said."""
        try:
            before, after = self._list(pair.before, but=pair.after), self._list(pair.after, but=pair.before)
            if not before or not after:
                return None
            if before.keys() != after.keys():
                return False
            return all(self._is_same(name, before[name], after[name]) for name in before)
        except PipelineApiError:
            return None

    def _list(self, address: str, *, but: str) -> dict[str, dict[str, Any]]:
        """The objects at an address and below it, by name; without those of another address that lies below it."""
        bucket, key = split_s3_uri(address) or ("", "")
        other = f"{(split_s3_uri(but) or ('', ''))[1].rstrip('/')}/"
        answer = self._calls.ask("list_objects_v2", address, service="s3", Bucket=bucket, Prefix=key)
        found: dict[str, dict[str, Any]] = {}
        for entry in answer.get("Contents", ()):
            rest = entry["Key"].removeprefix(key.rstrip("/"))
            is_below = rest.startswith("/")
            if rest and (not is_below or (other.startswith(f"{key.rstrip('/')}/") and entry["Key"].startswith(other))):
                continue
            found[without_generated_names(rest)] = {"Bucket": bucket, **entry}
        return {name: entry for name, entry in found.items() if not _is_signature(name, found)}

    def _is_same(self, name: str, before: dict[str, Any], after: dict[str, Any]) -> bool:
        if before["ETag"] == after["ETag"]:
            return True
        if max(before["Size"], after["Size"]) > _LARGEST_COMPARED:
            return False
        bodies = [self._read(entry) for entry in (before, after)]
        if name.endswith(_PAYLOAD):
            return _is_same_payload(*bodies)
        if name in _SETTINGS:
            with suppress(ValueError):
                return is_same_settings(*map(json.loads, bodies))
        archives = [rewrite_archive(body, bytes) for body in bodies]
        return archives[0] is not None and archives[1] is not None and archives[0][1] == archives[1][1]

    def _read(self, entry: dict[str, Any]) -> bytes:
        place = {"Bucket": entry["Bucket"], "Key": entry["Key"]}
        answer = self._calls.ask("get_object", entry["Key"], service="s3", required=("Body",), **place)
        body: bytes = answer["Body"].read()
        return body


def _is_signature(name: str, found: dict[str, Any]) -> bool:
    """Whether a file signs a payload beside it: it is another one with each signing."""
    return name.endswith(f"/{_SIGNATURE}") and name.removesuffix(_SIGNATURE) + _PAYLOAD in found


def _is_same_payload(before: bytes, after: bytes) -> bool:
    """Whether two pickles hold the same; a script that was run by itself was the module ``__main__`` before."""
    old, new = [*_iter_payload(before)], [*_iter_payload(after)]
    if len(old) != len(new):
        return False
    last: tuple[str, Any] = ("", None)
    for one, other in zip(old, new, strict=True):
        is_module = one == ("text", "__main__") and other[0] == "text" and str(other[1]).isidentifier()
        is_package = last == ("text", "__package__") and one == ("NONE", None) and other == ("text", "")
        if one != other and not is_module and not is_package:
            return False
        last = one
    return True


def _iter_payload(payload: bytes) -> Iterator[tuple[str, Any]]:
    """Give what a pickle holds, in order, without the folders of its code's files and without random numbers.

    A repeated text is given as itself, whether the pickle repeats it or refers to it.
    """
    kept: list[Any] = []
    last: Any = None
    objects = 0
    for operation, argument, _ in pickletools.genops(payload):
        if operation.name in ("PROTO", "FRAME", "STOP"):
            continue
        if operation.name == "MEMOIZE":
            if isinstance(last, str):
                kept.append(last)
            else:
                objects += 1
                kept.append(objects)
            continue
        last = argument
        if "GET" in operation.name:
            last = kept[int(str(argument))]
        if isinstance(last, str):
            last = last.rpartition("/")[2] if last.endswith(".py") else last
            yield "text", "*" if _RANDOM.fullmatch(last) else last
        else:
            yield operation.name if "GET" not in operation.name else "object", last

"""What a task is given by its Kubernetes cluster, and what stands in its place in a job.

A secret is one of AWS Secrets Manager, a config map a parameter of the Parameter Store, both with their entries as a
JSON object; the launcher (:mod:`component_launcher`) reads them when the task runs. A field of the pod is a text that
is known. Where pods run is the instance's business. What pods share, no job has: it is refused by name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.migrate.kubeflow.input_values import Absent, Literal, NotCarriedError
from airflow_sm_pipelines.migrate.kubeflow.pipeline_model import read_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from airflow_sm_pipelines.definition import JsonObject
    from airflow_sm_pipelines.migrate.kubeflow.input_values import Value

JOB_NAME = "{{$.processing_job_name}}"
"""Stands in an environment variable for the name of the job: what a pod's name is."""

_SHARED = {
    "initContainers": "containers that run before it",
    "pvcMount": "a volume of the cluster, which tasks share",
}
_READ = {
    "activeDeadlineSeconds",
    *("configMapAsEnv", "configMapAsVolume", "secretAsEnv", "secretAsVolume"),
    *("fieldPathAsEnv", "podMetadata", "emptyDirMounts", "genericEphemeralVolume"),
}
_KNOWN_FIELDS = {
    "metadata.name": JOB_NAME,
    "metadata.uid": JOB_NAME,
    "metadata.annotations['pipelines.kubeflow.org/run_name']": "{{$.pipeline_job_name}}",
    "metadata.labels['pipeline/runid']": "{{$.pipeline_job_uuid}}",
}
_POD_FIELD = re.compile(r"metadata\.(annotations|labels)\['([^']+)'\]")
_GIBIBYTE = 2**30


@dataclass(frozen=True, slots=True)
class GivenEntries:
    """A secret or a config map that a task is given.

    :param kind: ``secret`` or ``config map``.
    :param name: its name on the cluster, and on AWS.
    :param env: the variable for each entry that it is given as one.
    :param folder: where its entries are files; empty for nowhere.
    :param is_optional: whether the task also runs without it.
    """

    kind: str
    name: Value
    env: Mapping[str, str]
    folder: str = ""
    is_optional: bool = False


@dataclass(frozen=True, slots=True)
class ClusterPart:
    """What a task is given by its cluster.

    :param entries: the secrets and config maps.
    :param env: variables whose texts are known; they may hold placeholders.
    :param folders: empty folders of its own.
    :param gibibytes: the room that these need.
    :param timeout_seconds: the task's longest time.
    :param lost: the keys that are not used.
    """

    entries: tuple[GivenEntries, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    folders: tuple[str, ...] = ()
    gibibytes: int = 0
    timeout_seconds: int | None = None
    lost: tuple[str, ...] = ()


def read_cluster_part(
    platform: Mapping[str, Any], executor: str, own: Any, find: Callable[[JsonObject], Value]
) -> ClusterPart:
    """What the cluster gives to an executor.

    :param platform: the Kubernetes part of the platform's document.
    :param own: what the executor itself says, in the same form; a Workflow of Argo has it there.
    :param find: finds what an input of a task beside it would be given.
    :raises NotCarriedError: it needs something that no job has.
    """
    spec = platform.get("deploymentSpec")
    executors = spec.get("executors") if isinstance(spec, dict) else None
    asked = executors.get(executor) if isinstance(executors, dict) else None
    asked = {**(asked if isinstance(asked, dict) else {}), **(own if isinstance(own, dict) else {})}
    for key, what in _SHARED.items():
        if asked.get(key):
            raise NotCarriedError(f"it is given {what} ({key}), which no job has")
    seconds = str(asked.get("activeDeadlineSeconds"))
    mounts = [*_list(asked, "emptyDirMounts"), *_list(asked, "genericEphemeralVolume")]
    sizes = [read_memory(one.get("size") or one.get("sizeLimit") or 0) for one in mounts]
    return ClusterPart(
        tuple(_iter_entries(asked, find)),
        dict(_iter_fields(asked)),
        tuple(str(one["mountPath"]) for one in mounts if one.get("mountPath")),
        int(sum(sizes)),
        int(seconds) if seconds.isdigit() else None,
        tuple(f"platforms.kubernetes.{key}" for key in sorted(asked.keys() - _READ)),
    )


def _list(asked: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    found = asked.get(key)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _iter_entries(asked: Mapping[str, Any], find: Callable[[JsonObject], Value]) -> Iterator[GivenEntries]:
    for kind, word in (("secret", "secret"), ("config map", "configMap")):
        for one in (*_list(asked, f"{word}AsEnv"), *_list(asked, f"{word}AsVolume")):
            given = one.get(f"{word}NameParameter")
            name = find(given) if isinstance(given, dict) else Literal(one.get(f"{word}Name"))
            is_optional = bool(one.get("optional"))
            if isinstance(name, Absent) or (isinstance(name, Literal) and not name.value):
                if is_optional:
                    continue
                raise NotCarriedError(f"the name of a {kind} that it is given is not there")
            env = {str(each["envVar"]): str(each[f"{word}Key"]) for each in _list(one, "keyToEnv")}
            yield GivenEntries(kind, name, env, str(one.get("mountPath") or ""), is_optional)


def _iter_fields(asked: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    metadata = asked.get("podMetadata")
    for one in _list(asked, "fieldPathAsEnv"):
        path = str(one.get("fieldPath"))
        text = _KNOWN_FIELDS.get(path)
        match = _POD_FIELD.fullmatch(path)
        if text is None and match is not None:
            texts = metadata.get(match[1]) if isinstance(metadata, dict) else None
            # A label that the pod does not have is an empty text; one with a domain may be the cluster's own.
            text = (texts if isinstance(texts, dict) else {}).get(match[2], None if "/" in match[2] else "")
        if text is None:
            raise NotCarriedError(f"it is given {path}, a field of its pod (fieldPathAsEnv), which no job has")
        yield str(one["name"]), str(text)


def describe_entries(part: ClusterPart) -> Iterator[str]:
    """What to make on AWS for the secrets and config maps, in words."""
    for one in part.entries:
        name = f"{one.name.value!r}" if isinstance(one.name, Literal) else "that the run names"
        where, call = (
            ("a secret of AWS Secrets Manager", "secretsmanager:GetSecretValue")
            if one.kind == "secret"
            else ("a parameter of the Parameter Store", "ssm:GetParameter")
        )
        keys = ", ".join(sorted(one.env.values())) or "each entry"
        yield (
            f"The {one.kind} {name} is {where} of the same name now: a JSON object with {keys}. The role of the "
            f"pipelines needs {call}."
        )

"""What one job runs with in a rehearsal: its own program where there is one, else a stand-in, and data that is there.

Belongs here: what processing and training jobs have in common. The kinds are in ``processing_plan``, ``training_plan``
and ``transform_plan``.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.engine.jobs.images import ImageError
from airflow_sm_pipelines.rehearsal.samples import program_text, sample_bytes
from airflow_sm_pipelines.rehearsal.sample_store import is_uri

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_sm_pipelines.definition import JsonValue, Step
    from airflow_sm_pipelines.engine.jobs import ImageCatalog
    from airflow_sm_pipelines.rehearsal.sample_store import SampleStore
    from airflow_sm_pipelines.rehearsal.sample_values import SampleValues

REHEARSAL_IMAGE = "rehearsal"
"""The image of stood-in jobs: the Python that runs the rehearsal."""

PLAN_VARIABLE = "SM_PIPELINES_REHEARSAL"
_SHELLS = ("sh", "bash")
_SCRIPT = re.compile(r"/opt/ml/[^\s'\";&|]+\.(?:sh|py)\b")


@dataclass(slots=True)
class Outputs:
    """Where the jobs of the rehearsal write: what a real program should have written is never made up.

    :ivar real: the addresses that real programs fill.
    :ivar made: the addresses that stand-ins fill.
    """

    real: list[str] = field(default_factory=list)
    made: list[str] = field(default_factory=list)

    def covers(self, uri: str) -> bool:
        """Whether an address is one that a real program had to fill."""
        return _is_below(uri, self.real)

    def has_made(self, uri: str) -> bool:
        """Whether an address is one that a stand-in filled."""
        return _is_below(uri, self.made)


def _is_below(uri: str, targets: Sequence[str]) -> bool:
    return any(uri == target or uri.startswith(target.rstrip("/") + "/") for target in targets)


@dataclass(slots=True)
class JobPlan:
    """A job's request as the rehearsal runs it.

    :ivar request: the request, changed where something is stood in for.
    :ivar containers: of a transform job, its model's containers, likewise.
    :ivar is_stood_in: whether a program of the rehearsal runs.
    :ivar notes: what was stood in for, for people.
    """

    request: dict[str, Any]
    containers: tuple[dict[str, Any], ...] = ()
    is_stood_in: bool = False
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class JobScene:
    """What plans are made from.

    :param step: the step that started the job; None for one that a script started.
    :param features_only: the outputs that a transform reads as they are, by step and output name.
    :param content_types: what training jobs take the outputs for, by step and output name.
    """

    store: SampleStore
    values: SampleValues
    outputs: Outputs
    images: ImageCatalog
    step: Step | None
    features_only: frozenset[tuple[str, str]] = frozenset()
    content_types: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def ensure_input(
        self, plan: JobPlan, uri: object, *, data_type: str = "S3Prefix", content_type: str = "", has_label: bool = True
    ) -> None:
        """Put a sample where an input has nothing, unless a real program should have filled it."""
        if not is_uri(uri) or self.outputs.covers(str(uri)):
            return
        text = str(uri)

        def make(name: str) -> bytes:
            return sample_bytes(name, content_type=content_type, has_label=has_label)

        if data_type == "ManifestFile":
            folder = text.rpartition("/")[0] + "/rehearsal/"
            if self.store.find_first(text) is None:
                self.store.put(text, json.dumps([{"prefix": folder}, "sample.csv"]).encode())
                self.store.put(folder + "sample.csv", make("sample.csv"))
                plan.notes.append(f"data {text}")
        elif self.store.ensure(text, make):
            plan.notes.append(f"data {text}")

    def is_made_up(self, uri: str) -> bool:
        """Whether what is, or would be, at an address comes from the rehearsal."""
        if self.outputs.covers(uri):
            return False
        return self.outputs.has_made(uri) or self.store.find_first(uri) is None or self.store.is_sample(uri)

    def has_image(self, uri: str) -> bool:
        """Whether an environment stands in for an image."""
        try:
            self.images.resolve(uri)
        except ImageError:
            return False
        return True

    def ensure_script(self, plan: JobPlan, uri: str, relative: PurePosixPath) -> None:
        """Put a stand-in where a script is missing; the job is stood in for if it is, or was at an earlier run."""
        if self.outputs.covers(uri):
            return
        if self.store.find_first(uri) is None:
            is_itself = uri.rpartition("/")[2] == relative.name
            target = uri if is_itself else f"{uri.rstrip('/')}/{relative.as_posix()}"
            self.store.put(target, program_text(relative.name).encode())
        elif not self.store.is_sample(uri):
            return
        plan.is_stood_in = True
        plan.notes.append(f"script {relative.name}")


def find_program(argv: Sequence[str]) -> PurePosixPath | None:
    """The script that a command runs, if it is a file of the container; of a shell's command line, the first one."""
    for position, word in enumerate(argv[:3]):
        if word.startswith("/") and PurePosixPath(word).suffix:
            return PurePosixPath(word)
        # SDK v3: /bin/bash -c "chmod +x /opt/ml/input/data/sm_drivers/sm_train.sh && ..."
        if position and argv[position - 1] == "-c" and (named := _SCRIPT.search(word)):
            return PurePosixPath(named[0])
    return None


def is_interpreter(argv: Sequence[str]) -> bool:
    """Whether a command begins with a program that every image has: Python or a shell."""
    name = PurePosixPath(argv[0]).name if argv else ""
    return name.startswith("python") or name in _SHELLS


def stand_in_environment(
    request: dict[str, Any], *, what: str, files: Mapping[str, str], lines: Sequence[str] = ()
) -> dict[str, str]:
    """The request's environment with what the stand-in writes."""
    plan = {"for": what, "files": dict(files), "lines": list(lines)}
    return {**(request.get("Environment") or {}), PLAN_VARIABLE: json.dumps(plan)}


def document_text(value: JsonValue) -> str:
    """A document as a file's content."""
    return json.dumps(value, indent=2)

"""Small made-up data for S3 addresses that a pipeline reads and nobody filled, and archives of stand-in programs.

Tables hold numbers: a label that is 0 or 1 in the first column, and four features.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import tarfile
import zipfile
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from airflow_sm_pipelines.engine.jobs.container import PROGRAMS_DIRECTORY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

STAND_IN_PROGRAM = PROGRAMS_DIRECTORY / "rehearsal_program.py"
"""The program that runs in place of a script or of an image's own program."""

_ROWS = 40
# A grey GIF of one pixel. Viewers and decoders look at the content, not at the file's name.
_IMAGE = base64.b64decode("R0lGODlhAQABAIAAAICAgAAAACH5BAAAAAAALAAAAAABAAEAAAICRAEAOw==")
_MONITORING = {
    "statistics.json": {"version": 0.0, "dataset": {"item_count": 0}, "features": []},
    "constraints.json": {"version": 0.0, "features": []},
}


def sample_table(*, has_label: bool = True) -> str:
    """A table as CSV without a header."""
    rows = []
    for number in range(_ROWS):
        features = [f"{(number * step % 17) / 10 + 0.1:.1f}" for step in (1, 3, 5, 7)]
        rows.append(",".join([str(number % 2), *features] if has_label else features))
    return "\n".join(rows) + "\n"


def sample_libsvm() -> str:
    """The same table in libsvm's format."""
    lines = []
    for row in sample_table().splitlines():
        label, *features = row.split(",")
        lines.append(" ".join([label, *(f"{index}:{value}" for index, value in enumerate(features))]))
    return "\n".join(lines) + "\n"


def sample_text(name: str, *, content_type: str = "", has_label: bool = True) -> str:
    """The content of a text file.

    :param name: its name, which decides where it has a known suffix.
    :param content_type: a media type, which decides otherwise.
    :param has_label: whether rows begin with a label.
    """
    suffix = PurePosixPath(name).suffix.lower()
    kind = content_type.partition(";")[0].strip().lower()
    if PurePosixPath(name).name in _MONITORING:
        return json.dumps(_MONITORING[PurePosixPath(name).name])
    if suffix == ".ipynb":
        return json.dumps({"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    if suffix in (".jsonl", ".jsonlines") or kind in ("application/jsonlines", "application/x-jsonlines"):
        return "".join(json.dumps(_record(row)) + "\n" for row in sample_table(has_label=has_label).splitlines())
    if suffix == ".json" or kind == "application/json":
        return json.dumps([_record(row) for row in sample_table(has_label=has_label).splitlines()])
    if kind in ("text/libsvm", "text/x-libsvm") or suffix in (".libsvm", ".svm"):
        return sample_libsvm()
    return sample_table(has_label=has_label)


def sample_bytes(name: str, *, content_type: str = "", has_label: bool = True) -> bytes:
    """The content of a file by its name: an archive, an image, a script, else as :func:`sample_text`."""
    lowered = name.lower()
    if lowered.endswith((".tar.gz", ".tgz", ".tar")):
        return pack_archive({"model.json": b"{}", **_inference_code(())})
    if lowered.endswith((".png", ".jpg", ".jpeg", ".gif", ".tif", ".tiff")):
        return _IMAGE
    if lowered.endswith(".zip"):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("sample.csv", sample_table())
        return packed.getvalue()
    if lowered.endswith((".py", ".sh")):
        return b"# There was nothing here: a rehearsal made this file up.\n"
    text = sample_text(name.removesuffix(".gz"), content_type=content_type, has_label=has_label).encode()
    return gzip.compress(text, mtime=0) if lowered.endswith(".gz") else text


def program_text(name: str) -> str:
    """The stand-in for a script of this name."""
    text = STAND_IN_PROGRAM.read_text(encoding="utf-8")
    if name.endswith(".py") or "." not in name:
        return text
    return f"#!/bin/sh\nexec python3 - \"$@\" <<'END_OF_THE_STAND_IN'\n{text}END_OF_THE_STAND_IN\n"


def pack_source(program: str) -> bytes:
    """The ``sourcedir.tar.gz`` of a training script."""
    return pack_archive({program: program_text(program).encode()})


def pack_model(programs: Sequence[str] = ()) -> bytes:
    """A ``model.tar.gz`` whose model gives the same answer to every request.

    :param programs: further file names under which to pack its inference code.
    """
    return pack_archive({"model.json": b"{}", **_inference_code(programs)})


def pack_inference(program: str) -> bytes:
    """The ``sourcedir.tar.gz`` of a model's inference script."""
    return pack_archive({program: inference_text().encode()})


def inference_text() -> str:
    """The stand-in for a model's ``inference.py``."""
    return (PROGRAMS_DIRECTORY / "rehearsal_inference.py").read_text(encoding="utf-8")


def pack_archive(files: Mapping[str, bytes]) -> bytes:
    """A ``.tar.gz`` of these files."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def pack_function(result: object) -> bytes:
    """A Lambda deployment package whose ``index.handler`` returns this."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("index.py", f"RESULT = {result!r}\n\n\ndef handler(event, context):\n    return RESULT\n")
    return packed.getvalue()


def _record(row: str) -> dict[str, float]:
    return {f"column_{number}": float(value) for number, value in enumerate(row.split(","))}


def _inference_code(programs: Sequence[str]) -> dict[str, bytes]:
    content = inference_text().encode()
    return {"code/inference.py": content, **{f"code/{name}": content for name in programs}}

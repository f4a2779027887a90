"""Which Python environment stands in for a container image: a table, and the user's own entries before it.

What belongs here: the table, the user's TOML file, the choice. What does not: making the environment
(:mod:`airflow_sm_pipelines.environments`), and what an entry's Dockerfile gives (``local_images``).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.definition.image_uri import ImageUri, parse_image_uri
from airflow_sm_pipelines.engine.jobs.image_contents import ImageContents, ImageFile
from airflow_sm_pipelines.engine.jobs.public_images import (
    BASE_REQUIREMENTS,
    DATA_REQUIREMENTS,
    find_row,
    make_requirements,
)
from airflow_sm_pipelines.engine.jobs.toml_file import (
    TomlFileError,
    find_unknown_keys,
    is_list_of_texts,
    is_table_of_texts,
    read_tables,
)
from airflow_sm_pipelines.exceptions import LocalEndpointError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airflow_sm_pipelines.engine.jobs.interpreters import Interpreter

IMAGES_VARIABLE = "SM_PIPELINES_IMAGES"
_TEXT_KEYS = ("interpreter", "python", "workdir", "dockerfile", "context", "stage")
_LIST_KEYS = ("requirements", "entrypoint", "command")
_MAP_KEYS = ("env", "files", "args")
_KEYS = {"match", *_TEXT_KEYS, *_LIST_KEYS, *_MAP_KEYS}
_DOCKERFILE_KEYS = ("context", "stage", "args")

_SUGGESTED = (*BASE_REQUIREMENTS, "pandas<3", "scikit-learn")
"""What an unknown image is likely to have."""


class ImageError(LocalEndpointError):
    """An image that nothing stands in for, or a table that is wrong; the message says what to write where."""


@dataclass(frozen=True, slots=True)
class DockerfileSource:
    """Which Dockerfile an entry is read off. It is read again for every job, so a change counts at once.

    :param context: the folder that COPY copies from.
    :param stage: the stage to read; the last one if empty.
    :param arguments: values of ARG.
    """

    path: Path
    context: Path
    stage: str = ""
    arguments: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ImageEntry:
    """One line of the table.

    :param match: a shell-style pattern for ``repository``, ``repository:tag`` or the whole address. The images of AWS's
        public galleries are also known without these, as ``sagemaker-distribution``.
    :param requirements: what uv installs. ``{version}`` is the number that the tag begins with; without one nothing is
        pinned.
    :param interpreter: a ready interpreter instead.
    :param python: the Python of the image, such as ``3.9``; the one that runs the engine if not given.
    :param contents: the files, variables and program of the image. They win over the Dockerfile's.
    :param dockerfile: what else there is to know of the image.
    """

    match: str
    requirements: tuple[str, ...] = ()
    interpreter: str | None = None
    python: str | None = None
    contents: ImageContents = field(default_factory=ImageContents)
    dockerfile: DockerfileSource | None = None

    def covers(self, image: ImageUri) -> bool:
        """Whether this line is about the image."""
        names = (image.name, image.repository)
        candidates = (*names, *(f"{name}:{image.tag}" for name in names), image.text)
        return any(fnmatchcase(candidate, self.match) for candidate in candidates)


BUILT_IN_ENTRIES: tuple[ImageEntry, ...] = (
    # Images of AWS whose tag has no number; those with one have rows (public_images).
    ImageEntry("sagemaker-scikit-learn", DATA_REQUIREMENTS),
    # The module is the same `xgboost`; the plain package brings 300 MB of GPU libraries.
    ImageEntry("sagemaker-xgboost", (*DATA_REQUIREMENTS, "xgboost-cpu>=2.1")),
    ImageEntry("xgboost:1", (*DATA_REQUIREMENTS, "xgboost-cpu>=2.1")),
    ImageEntry("xgboost:latest", (*DATA_REQUIREMENTS, "xgboost-cpu>=2.1")),
    # torch from PyPI is 0.8 GB (2.5 GB with its GPU libraries); a user's entry can name another build.
    ImageEntry("pytorch-training", (*DATA_REQUIREMENTS, "torch")),
    ImageEntry("pytorch-inference", (*DATA_REQUIREMENTS, "torch")),
    ImageEntry("huggingface-pytorch-*", (*DATA_REQUIREMENTS, "torch", "transformers", "datasets")),
    ImageEntry("tensorflow-training", (*DATA_REQUIREMENTS, "tensorflow-cpu")),
    ImageEntry("tensorflow-inference", (*DATA_REQUIREMENTS, "tensorflow-cpu")),
    ImageEntry("sagemaker-base-python*", (*BASE_REQUIREMENTS, "pandas<3")),
    # programs/*_analyzer.py replace the programs of these images and need no more; boto3 brings jmespath.
    ImageEntry("sagemaker-model-monitor-analyzer", BASE_REQUIREMENTS),
    ImageEntry("sagemaker-clarify-processing", BASE_REQUIREMENTS),
    ImageEntry("sagemaker-distribution*", (*DATA_REQUIREMENTS, "nbclient", "ipykernel")),
    ImageEntry("tensorflow/tensorflow", (*BASE_REQUIREMENTS, "tensorflow-cpu=={version}")),
    ImageEntry("pytorch/pytorch", (*BASE_REQUIREMENTS, "torch=={version}", "torchvision")),
    ImageEntry("python", BASE_REQUIREMENTS),
    ImageEntry("library/python", BASE_REQUIREMENTS),
    ImageEntry("docker/library/python", BASE_REQUIREMENTS),
    # Not an image but a runtime of the Lambda service, addressed as "lambda:python3.12".
    ImageEntry("lambda:python3*", ("pip", "boto3")),
)


class ImageCatalog:
    """The table of images: the user's entries first, then AWS's images by version, then the built-in ones."""

    def __init__(self, entries: Sequence[ImageEntry] = (), *, source: Path | None = None) -> None:
        self.entries = tuple(entries)
        """The user's entries."""
        self._source = source
        self.interpreters: dict[Path, Interpreter] = {}
        """What is known of the interpreters used so far. To ask one again would cost a start of Python."""
        self.differences: dict[str, tuple[str, ...]] = {}
        """By image used so far, how what runs in its place differs from it."""

    @classmethod
    def load(cls, path: Path | None = None, *, env: Mapping[str, str] | None = None) -> ImageCatalog:
        """Read the user's table, from ``path`` or from the file that ``$SM_PIPELINES_IMAGES`` in ``env`` names.

        The file is TOML: one ``[[image]]`` table per entry, with ``match`` and one of ``requirements``, ``interpreter``
        and ``dockerfile`` at least (docs/local.md has all keys).

        :raises ImageError: the file is missing or wrong; the message lists all findings.
        """
        if path is None and env and (named := env.get(IMAGES_VARIABLE)):
            path = Path(named).expanduser()
        return cls(_read_entries(path), source=path) if path else cls()

    def find(self, image: ImageUri, *, but: ImageEntry | None = None) -> ImageEntry | None:
        """The entry for an image, or None.

        :param but: an entry that does not count: the one whose Dockerfile begins with the image.
        """
        for entry in self.entries:
            if entry is not but and entry.covers(image):
                return entry
        return _make_public_entry(image) or next((one for one in BUILT_IN_ENTRIES if one.covers(image)), None)

    def resolve(self, uri: str) -> ImageEntry:
        """The entry for an image.

        :raises ImageError: there is none; the message holds the lines to add.
        """
        image = parse_image_uri(uri)
        entry = self.find(image)
        if entry is not None:
            return entry
        where = f"to {self._source}" if self._source else f"to a TOML file, and name that file in ${IMAGES_VARIABLE}"
        raise ImageError(
            f"No local environment stands in for the image '{uri}'. Add these lines {where}:\n"
            f'[[image]]\nmatch = "{image.repository}"\n'
            f"requirements = {json.dumps(_SUGGESTED)}  # and what else its programs import\n"
            '# dockerfile = "Dockerfile"  # has its packages, files and program: give its path from this file\n'
            '# or, in place of requirements: interpreter = "/path/to/python"'
        )


def _make_public_entry(image: ImageUri) -> ImageEntry | None:
    """The entry of an image of AWS's by its version; None for other images."""
    found = find_row(image)
    if found is None:
        return None
    row, besides = found
    return ImageEntry(image.text, make_requirements(image, row, besides), python=image.python or row.python)


def _read_entries(path: Path) -> tuple[ImageEntry, ...]:
    try:
        tables = read_tables(path, "image", what="The table of images", check=partial(_find_faults, folder=path.parent))
    except TomlFileError as error:
        raise ImageError(str(error)) from error
    return tuple(_make_entry(table, path.parent) for table in tables)


def _make_entry(table: dict[str, Any], folder: Path) -> ImageEntry:
    def locate(name: str) -> Path:
        return folder / Path(name).expanduser()

    dockerfile = None
    if "dockerfile" in table:
        source = locate(table["dockerfile"])
        context = locate(table["context"]) if "context" in table else source.parent
        dockerfile = DockerfileSource(source, context, table.get("stage", ""), table.get("args", {}))
    files = [ImageFile(locate(source), target) for target, source in table.get("files", {}).items()]
    contents = ImageContents(
        workdir=table.get("workdir"),
        env=table.get("env", {}),
        entrypoint=tuple(table["entrypoint"]) if "entrypoint" in table else None,
        command=tuple(table["command"]) if "command" in table else None,
        files=tuple(files),
    )
    return ImageEntry(
        match=table["match"],
        requirements=tuple(table.get("requirements", ())),
        interpreter=str(locate(table["interpreter"])) if "interpreter" in table else None,
        python=table.get("python"),
        contents=contents,
        dockerfile=dockerfile,
    )


def _find_faults(table: dict[str, Any], folder: Path) -> list[str]:
    findings = find_unknown_keys(table, _KEYS)
    if not isinstance(table.get("match"), str) or not table["match"]:
        findings.append("'match' must be a pattern such as \"my-team/*\"")
    if "requirements" in table and "interpreter" in table:
        findings.append("only one of 'requirements' and 'interpreter' is possible")
    elif not {"requirements", "interpreter", "dockerfile"} & set(table):
        findings.append("one of 'requirements', 'interpreter' and 'dockerfile' is needed")
    findings += [f"'{key}' must be a text" for key in _TEXT_KEYS if not isinstance(table.get(key, ""), str)]
    findings += [f"'{key}' must be an array of texts" for key in _LIST_KEYS if not is_list_of_texts(table.get(key, []))]
    findings += [
        f"'{key}' must be a table of texts, such as {{ NAME = \"value\" }}"
        for key in _MAP_KEYS
        if not is_table_of_texts(table.get(key, {}))
    ]
    if "dockerfile" not in table:
        findings += [f"'{key}' needs 'dockerfile'" for key in _DOCKERFILE_KEYS if key in table]
    return findings or [*_find_path_faults(table, folder)]


def _find_path_faults(table: dict[str, Any], folder: Path) -> Iterator[str]:
    if not re.fullmatch(r"3\.\d+", table.get("python", "3.10")):
        yield "'python' must be a version such as \"3.9\""
    if not table.get("workdir", "/").startswith("/"):
        yield "'workdir' must be a path in the container that begins with '/'"
    for target, source in table.get("files", {}).items():
        if not target.startswith("/") or target == "/":
            yield f"'files' has '{target}', which must be a path in the container that begins with '/'"
        if not (folder / Path(source).expanduser()).exists():
            yield f"'files' has '{source}', which is not in {folder}"
    if "dockerfile" in table:
        from airflow_sm_pipelines.engine.jobs.dockerfile import read_dockerfile

        source = _make_entry(table, folder).dockerfile
        try:
            if source is not None:
                read_dockerfile(source.path, context=source.context, stage=source.stage)
        except OSError as error:
            yield f"'dockerfile' {source and source.path} cannot be read: {error.strerror}"
        except ValueError as error:
            yield f"'dockerfile': {error}"

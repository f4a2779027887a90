"""Which Python environment stands in for a container image: a table, and the user's own entries before it.

What belongs here: the table, the user's TOML file, the choice. What does not: making the environment
(:mod:`airflow_sm_pipelines.environments`) and what an image's own program does.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.definition.image_uri import ImageUri, parse_image_uri
from airflow_sm_pipelines.engine.jobs.toml_file import TomlFileError, find_unknown_keys, is_list_of_texts, read_tables
from airflow_sm_pipelines.exceptions import LocalEndpointError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_sm_pipelines.engine.jobs.interpreters import Interpreter

IMAGES_VARIABLE = "SM_PIPELINES_IMAGES"
_KEYS = {"match", "requirements", "interpreter"}

_BASE = ("pip", "setuptools<81", "wheel", "boto3", "requests")
"""SDK scripts call ``pip install``, so every environment has pip, and setuptools and wheel for sdists."""
_DATA = (*_BASE, "numpy", "pandas<3", "scipy", "scikit-learn", "joblib", "pyarrow", "psutil")
_SUGGESTED = (*_BASE, "pandas<3", "scikit-learn")
"""What an unknown image is likely to have."""


class ImageError(LocalEndpointError):
    """An image that nothing stands in for, or a table that is wrong; the message says what to write where."""


@dataclass(frozen=True, slots=True)
class ImageEntry:
    """One line of the table.

    :param match: a shell-style pattern for ``repository``, ``repository:tag`` or the whole address. The images of AWS's
        public galleries are also known without these, as ``sagemaker-distribution``.
    :param requirements: what uv installs, on the Python that runs the engine.
    :param interpreter: a ready interpreter instead.
    """

    match: str
    requirements: tuple[str, ...] = ()
    interpreter: str | None = None

    def covers(self, image: ImageUri) -> bool:
        """Whether this line is about the image."""
        names = (image.name, image.repository)
        candidates = (*names, *(f"{name}:{image.tag}" for name in names), image.text)
        return any(fnmatchcase(candidate, self.match) for candidate in candidates)


BUILT_IN_ENTRIES: tuple[ImageEntry, ...] = (
    ImageEntry("sagemaker-scikit-learn", _DATA),
    # The module is the same `xgboost`; the plain package brings 300 MB of GPU libraries.
    ImageEntry("sagemaker-xgboost", (*_DATA, "xgboost-cpu>=2.1")),
    ImageEntry("xgboost:1", (*_DATA, "xgboost-cpu>=2.1")),
    ImageEntry("xgboost:latest", (*_DATA, "xgboost-cpu>=2.1")),
    # torch from PyPI is 0.8 GB (2.5 GB with its GPU libraries); a user's entry can name another build.
    ImageEntry("pytorch-training", (*_DATA, "torch")),
    ImageEntry("pytorch-inference", (*_DATA, "torch")),
    ImageEntry("huggingface-pytorch-*", (*_DATA, "torch", "transformers", "datasets")),
    ImageEntry("tensorflow-training", (*_DATA, "tensorflow-cpu")),
    ImageEntry("tensorflow-inference", (*_DATA, "tensorflow-cpu")),
    ImageEntry("sagemaker-base-python*", (*_BASE, "pandas<3")),
    # programs/*_analyzer.py replace the programs of these images and need no more; boto3 brings jmespath.
    ImageEntry("sagemaker-model-monitor-analyzer", _BASE),
    ImageEntry("sagemaker-clarify-processing", _BASE),
    ImageEntry("sagemaker-distribution*", (*_DATA, "nbclient", "ipykernel")),
    ImageEntry("python", _BASE),
    ImageEntry("library/python", _BASE),
    ImageEntry("docker/library/python", _BASE),
    # Not an image but a runtime of the Lambda service, addressed as "lambda:python3.12".
    ImageEntry("lambda:python3*", ("pip", "boto3")),
)


class ImageCatalog:
    """The table of images: the user's entries first, then the built-in ones; the first match wins."""

    def __init__(self, entries: Sequence[ImageEntry] = (), *, source: Path | None = None) -> None:
        self.entries = (*entries, *BUILT_IN_ENTRIES)
        self._source = source
        self.interpreters: dict[Path, Interpreter] = {}
        """What is known of the interpreters used so far. To ask one again would cost a start of Python."""

    @classmethod
    def load(cls, path: Path | None = None, *, env: Mapping[str, str] | None = None) -> ImageCatalog:
        """Read the user's table, from ``path`` or from the file that ``$SM_PIPELINES_IMAGES`` in ``env`` names.

        The file is TOML: one ``[[image]]`` table per entry, with ``match`` and either ``requirements`` or
        ``interpreter``.

        :raises ImageError: the file is missing or wrong; the message lists all findings.
        """
        if path is None and env and (named := env.get(IMAGES_VARIABLE)):
            path = Path(named).expanduser()
        return cls(_read_entries(path), source=path) if path else cls()

    def resolve(self, uri: str) -> ImageEntry:
        """The entry for an image.

        :raises ImageError: there is none; the message holds the lines to add.
        """
        image = parse_image_uri(uri)
        for entry in self.entries:
            if entry.covers(image):
                return entry
        where = f"to {self._source}" if self._source else f"to a TOML file, and name that file in ${IMAGES_VARIABLE}"
        raise ImageError(
            f"No local environment stands in for the image '{uri}'. Add these lines {where}:\n"
            f'[[image]]\nmatch = "{image.repository}"\n'
            f"requirements = {json.dumps(_SUGGESTED)}  # and what else its programs import\n"
            '# or, in place of requirements: interpreter = "/path/to/python"'
        )


def _read_entries(path: Path) -> tuple[ImageEntry, ...]:
    try:
        tables = read_tables(path, "image", what="The table of images", check=_find_faults)
    except TomlFileError as error:
        raise ImageError(str(error)) from error
    return tuple(
        ImageEntry(
            match=table["match"],
            requirements=tuple(table.get("requirements", ())),
            interpreter=str(path.parent / Path(table["interpreter"]).expanduser()) if "interpreter" in table else None,
        )
        for table in tables
    )


def _find_faults(table: dict[str, Any]) -> list[str]:
    findings = find_unknown_keys(table, _KEYS)
    if not isinstance(table.get("match"), str) or not table["match"]:
        findings.append("'match' must be a pattern such as \"my-team/*\"")
    if ("requirements" in table) == ("interpreter" in table):
        findings.append("exactly one of 'requirements' and 'interpreter' is needed")
    if not is_list_of_texts(table.get("requirements", [])):
        findings.append("'requirements' must be an array of texts")
    if not isinstance(table.get("interpreter", ""), str):
        findings.append("'interpreter' must be a path")
    return findings

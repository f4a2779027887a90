"""Which Python environment stands in for a container image: a table, and the user's own lines before it.

Belongs here: the table, its TOML extension, the choice. Does not belong here: making the environment
(:mod:`airflow_sm_pipelines.environments`) and what an image's own program does.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.engine.jobs.image_uri import ImageUri, parse_image_uri
from airflow_sm_pipelines.exceptions import LocalEndpointError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_sm_pipelines.engine.jobs.interpreters import Interpreter

IMAGES_VARIABLE = "SM_PIPELINES_IMAGES"
_KEYS = {"match", "requirements", "interpreter"}

# SDK scripts call `pip install -r requirements.txt`, so every environment has pip (setuptools and wheel: for sdists).
_BASE = ("pip", "setuptools<81", "wheel", "boto3", "requests")
_DATA = (*_BASE, "numpy", "pandas<3", "scipy", "scikit-learn", "joblib", "pyarrow", "psutil")


class ImageError(LocalEndpointError):
    """An image that nothing stands in for, or a table that cannot be read: the message says what to write where."""


@dataclass(frozen=True, slots=True)
class ImageEntry:
    """One line of the table.

    :param match: shell-style pattern for ``repository``, ``repository:tag`` or the whole address.
    :param requirements: what uv installs; the Python is the one that runs the engine.
    :param interpreter: a ready interpreter instead.
    """

    match: str
    requirements: tuple[str, ...] = ()
    interpreter: str | None = None

    def covers(self, image: ImageUri) -> bool:
        """Whether this line speaks of the image."""
        candidates = (image.repository, f"{image.repository}:{image.tag}", image.text)
        return any(fnmatchcase(candidate, self.match) for candidate in candidates)


BUILT_IN_ENTRIES: tuple[ImageEntry, ...] = (
    ImageEntry("sagemaker-scikit-learn", _DATA),
    # The module is the same `xgboost`; the plain package brings 300 MB of GPU libraries.
    ImageEntry("sagemaker-xgboost", (*_DATA, "xgboost-cpu>=2.1")),
    ImageEntry("xgboost:1", (*_DATA, "xgboost-cpu>=2.1")),
    ImageEntry("xgboost:latest", (*_DATA, "xgboost-cpu>=2.1")),
    # torch from PyPI is 0.8 GB (2.5 GB with its GPU libraries); an entry of one's own can name another build.
    ImageEntry("pytorch-training", (*_DATA, "torch")),
    ImageEntry("pytorch-inference", (*_DATA, "torch")),
    ImageEntry("huggingface-pytorch-*", (*_DATA, "torch", "transformers", "datasets")),
    ImageEntry("tensorflow-training", (*_DATA, "tensorflow-cpu")),
    ImageEntry("tensorflow-inference", (*_DATA, "tensorflow-cpu")),
    ImageEntry("sagemaker-base-python*", (*_BASE, "pandas<3")),
    # Their programs are ours (programs/*_analyzer.py) and need no more; boto3 brings jmespath.
    ImageEntry("sagemaker-model-monitor-analyzer", _BASE),
    ImageEntry("sagemaker-clarify-processing", _BASE),
    ImageEntry("sagemaker-distribution*", (*_DATA, "nbclient", "ipykernel")),
    ImageEntry("python", _BASE),
    ImageEntry("library/python", _BASE),
    ImageEntry("docker/library/python", _BASE),
    # Not an image: the Lambda service's own runtimes, addressed as "lambda:python3.12".
    ImageEntry("lambda:python3*", ("pip", "boto3")),
)


class ImageCatalog:
    """The table to look images up in: the user's entries first, then the built-in ones; the first match wins."""

    def __init__(self, entries: Sequence[ImageEntry] = (), *, source: Path | None = None) -> None:
        self.entries = (*entries, *BUILT_IN_ENTRIES)
        self._source = source
        self.interpreters: dict[Path, Interpreter] = {}
        """What is known of the interpreters used so far; asking one costs a start of Python."""

    @classmethod
    def load(cls, path: Path | None = None, *, env: Mapping[str, str] | None = None) -> ImageCatalog:
        """Read the user's table, from ``path`` or from the file that ``$SM_PIPELINES_IMAGES`` in ``env`` names.

        The file is TOML: one ``[[image]]`` table per entry, with ``match`` and either ``requirements`` or
        ``interpreter``.

        :raises ImageError: the file is missing or wrong; all findings at once.
        """
        if path is None and env and (named := env.get(IMAGES_VARIABLE)):
            path = Path(named).expanduser()
        return cls(_read_entries(path), source=path) if path else cls()

    def resolve(self, uri: str) -> ImageEntry:
        """Give the entry for an image.

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
            'requirements = ["pip"]  # what its programs import; or: interpreter = "/path/to/python"'
        )


def _read_entries(path: Path) -> tuple[ImageEntry, ...]:
    tomllib = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    try:
        with path.open("rb") as file:
            document = tomllib.load(file)
    except OSError as error:
        raise ImageError(f"The table of images {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise ImageError(f"The table of images {path} is not TOML: {error}.") from error
    findings = [f"unknown table '{key}', expected [[image]]" for key in document if key != "image"]
    tables = document.get("image", [])
    if not isinstance(tables, list):
        findings.append("'image' must be written as [[image]]")
        tables = []
    for number, table in enumerate(tables, start=1):
        findings += [f"image {number}: {finding}" for finding in _check_entry(table)]
    if findings:
        raise ImageError(f"The table of images {path} is wrong:\n" + "\n".join(f"- {finding}" for finding in findings))
    return tuple(
        ImageEntry(
            match=table["match"],
            requirements=tuple(table.get("requirements", ())),
            interpreter=str(path.parent / Path(table["interpreter"]).expanduser()) if "interpreter" in table else None,
        )
        for table in tables
    )


def _check_entry(table: Any) -> list[str]:
    if not isinstance(table, dict):
        return ["expected a table"]
    findings = [f"unknown key '{key}', expected one of {sorted(_KEYS)}" for key in table if key not in _KEYS]
    if not isinstance(table.get("match"), str) or not table["match"]:
        findings.append("'match' must be a pattern such as \"my-team/*\"")
    if ("requirements" in table) == ("interpreter" in table):
        findings.append("exactly one of 'requirements' and 'interpreter' is needed")
    requirements = table.get("requirements", [])
    if not isinstance(requirements, list) or not all(isinstance(item, str) for item in requirements):
        findings.append("'requirements' must be a list of strings")
    if not isinstance(table.get("interpreter", ""), str):
        findings.append("'interpreter' must be a path")
    return findings

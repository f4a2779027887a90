"""The packages that a script needs, as people write them down: options, requirements files, ``pip install`` lines.

Nothing is installed here.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_sm_pipelines.compiler.sdk_side.sdk import PINS, find_generation
from airflow_sm_pipelines.exceptions import ScriptMetadataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_WITH_VALUE = frozenset(
    {
        *("-r", "--requirement", "-c", "--constraint", "-i", "--index-url", "--extra-index-url", "-f", "--find-links"),
        *("-t", "--target", "--trusted-host", "--prefix", "--root", "--progress-bar", "--root-user-action", "--src"),
        *("--no-binary", "--only-binary", "--python", "--platform", "--timeout", "--retries", "-e", "--editable"),
    }
)
"""Options of pip that take the next word."""
_INSTALLERS = frozenset({"pip", "setuptools", "wheel"})
_UNBOUNDED = re.compile(r"(?:>=?|!=)[^,<=~]*(?:,(?:>=?|!=)[^,<=~]*)*")


def read_requirements(given: str | Sequence[str], *, folder: Path) -> tuple[str, ...]:
    """The requirements of an option: each entry is one requirement (PEP 508), or the path of a requirements file.

    :param folder: where relative paths start.
    :raises ScriptMetadataError: a file is named that cannot be read.
    """
    found: list[str] = []
    for entry in [given] if isinstance(given, str) else given:
        text = entry.strip()
        path = folder / text
        if text.endswith(".txt") or (path.is_file() and _NAME.fullmatch(text) is None):
            try:
                content = path.expanduser().read_text(encoding="utf-8")
            except OSError as error:
                raise ScriptMetadataError(f"The requirements file {path} cannot be read: {error.strerror}.") from error
            found += _iter_file(content, folder=path.parent, seen=(path,))
        elif text:
            found.append(text)
    return tuple(dict.fromkeys(found))


def parse_pip_install(words: Sequence[str], *, folder: Path, files: Mapping[str, str]) -> Iterator[str]:
    """The requirements of what stands after ``pip install``. Folders, files and addresses are left out.

    :param files: requirements files that exist only in the caller's mind, by path.
    """
    rest = iter(words)
    for word in rest:
        option, is_joined, value = word.partition("=")
        if word.startswith("-"):
            if option in _WITH_VALUE and not is_joined:
                value = next(rest, "")
            if option in ("-r", "--requirement"):
                yield from _read_listed(value, folder, files)
        elif not word.startswith((">", "2>", "|", "&", "<")):
            yield from _as_requirement(word)


def merge_requirements(found: Sequence[str], source: str) -> tuple[str, ...]:
    """The requirements of several ``pip install`` lines as one list: the last line for a package counts.

    The SDK of the generation that the source is written for is among them. An open ``sagemaker`` was the newest of its
    generation when the line was written; it would be the next generation today.

    :param source: the script's text.
    """
    generation = find_generation(source) or 2
    by_name = {_key(requirement): requirement for requirement in found}
    sdk = by_name.get("sagemaker")
    if sdk is not None and generation == 2 and _is_unbounded(sdk):
        by_name["sagemaker"] = f"{sdk},<3" if len(sdk) > len("sagemaker") else PINS[2]
    if not any(name.startswith("sagemaker") for name in by_name):
        by_name["sagemaker"] = PINS[generation]
    return tuple(by_name.values())


@dataclass(slots=True)
class PipLines:
    """Collects the ``pip install`` lines of a notebook.

    :param folder: the notebook's.
    :ivar found: the requirements, in the order of the lines.
    """

    folder: Path
    files: dict[str, str] = field(default_factory=dict)
    found: list[str] = field(default_factory=list)

    def take(self, command: str) -> bool:
        """Take a shell command if it installs packages.

        :return: whether it does.
        """
        try:
            words = shlex.split(command, comments=True)
        except ValueError:
            return False
        for start, word in enumerate(words[:4]):
            if re.fullmatch(r"pip3?|.*/pip3?", word) and words[start + 1 : start + 2] == ["install"]:
                self.found += parse_pip_install(words[start + 2 :], folder=self.folder, files=self.files)
                return True
        return False


def _read_listed(value: str, folder: Path, files: Mapping[str, str]) -> Iterator[str]:
    name = value.removeprefix("./")
    if name in files:
        yield from _iter_file(files[name], folder=folder, seen=())
        return
    path = folder / value
    try:
        content = path.read_text(encoding="utf-8")
    except OSError:
        return  # as a line of the notebook that fails there, too
    yield from _iter_file(content, folder=path.parent, seen=(path,))


def _iter_file(content: str, *, folder: Path, seen: tuple[Path, ...]) -> Iterator[str]:
    for line in content.replace("\\\n", " ").splitlines():
        text = re.sub(r"(^|\s)#.*$", "", line).strip()
        listed = re.fullmatch(r"(?:-r|--requirement)[\s=]+(\S+)", text)
        if listed:
            path = folder / listed[1]
            if path not in seen and path.is_file():
                yield from _iter_file(path.read_text(encoding="utf-8"), folder=path.parent, seen=(*seen, path))
        elif text and not text.startswith("-"):
            yield from _as_requirement(re.split(r"\s+--hash", text)[0])


def _as_requirement(word: str) -> Iterator[str]:
    name = _NAME.match(word)
    is_place = "://" in word or "/" in word or word.startswith(".") or word.endswith((".whl", ".gz", ".zip"))
    if name is None or (is_place and "@" not in word) or _key(word) in _INSTALLERS:
        return
    if "{" in word or "$" in word:
        yield name[0]  # its version is known only while the notebook runs
        return
    yield re.sub(r"((?:>=|<=|>|<)\s*\d[\d.]*)\.\*", r"\1", word)


def _key(requirement: str) -> str:
    name = _NAME.match(requirement)
    return re.sub(r"[-_.]+", "-", name[0]).lower() if name else requirement


def _is_unbounded(requirement: str) -> bool:
    spec = requirement[len("sagemaker") :].replace(" ", "").split(";")[0]
    spec = re.sub(r"^\[.*?\]", "", spec)
    return not spec or _UNBOUNDED.fullmatch(spec) is not None

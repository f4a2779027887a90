"""What a Dockerfile puts into an image, as far as a Python environment and a few folders can hold it.

Nothing is built: COPY, ENV, WORKDIR, ENTRYPOINT and CMD are read, packages are collected from ``pip install``, and what
cannot be had here is said in a note.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import dropwhile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.compiler.requirements import parse_pip_install
from airflow_sm_pipelines.engine.jobs.dockerfile_text import (
    Instruction,
    iter_commands,
    parse_instructions,
    parse_pairs,
    split_words,
    substitute,
)
from airflow_sm_pipelines.engine.jobs.image_contents import PATH_REFERENCE, ImageContents, ImageFile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pathspec import PathSpec

_SILENT = frozenset({"LABEL", "EXPOSE", "HEALTHCHECK", "MAINTAINER", "VOLUME", "STOPSIGNAL", "SHELL", "ONBUILD"})
"""Instructions without effect on a job of SageMaker's, or on this machine."""
_HARMLESS = frozenset(
    {
        *(
            "rm",
            "echo",
            "true",
            "set",
            "export",
            "find",
            "touch",
            "ls",
            "cat",
            "ldconfig",
            "locale-gen",
            "test",
            "[",
            "fi",
        ),
        *("tar", "make", "configure", "unzip", "add-apt-repository", "apt-key", "update-ca-certificates", "fc-cache"),
        *(
            "virtualenv",
            "update-alternatives",
            "conda-clean",
            "printf",
            "sleep",
            "uname",
            "python3-config",
            "done",
            "do",
        ),
        *("chown", "pwd", "clean", "groupadd", "useradd", "adduser", "addgroup", "then", "if", "else", "exit", "which"),
    }
)
"""Commands that leave nothing behind which a program looks for."""
_SYSTEM_INSTALLERS = frozenset({"apt-get", "apt", "apk", "yum", "dnf", "microdnf"})
_NO_PACKAGES = frozenset({"update", "upgrade", "clean", "autoremove", "autoclean", "makecache", "-y", "-qq"})
_DEBIAN_NAMES = {"sklearn": "scikit-learn", "yaml": "pyyaml", "pil": "pillow", "opencv": "opencv-python-headless"}
_DEBIAN_TOOLS = frozenset({"pip", "dev", "setuptools", "venv", "wheel", "distutils", "minimal", "all", "full"})
_BUILD_TOOLS = frozenset(
    {
        *(
            "build-essential",
            "gcc",
            "g++",
            "make",
            "cmake",
            "ca-certificates",
            "python3",
            "python",
            "python-is-python3",
        ),
        *(
            "python3-pip",
            "python3-dev",
            "python3-setuptools",
            "python3-venv",
            "python-dev",
            "software-properties-common",
        ),
        *("gnupg", "apt-transport-https", "apt-utils", "pkg-config", "libgomp1", "gfortran", "musl-dev", "libffi-dev"),
    }
)
"""System packages that only the build of an image needs, or that every machine with Python has."""
_PIP = re.compile(r"(?:.*/)?pip[\d.]*")
_PYTHON = re.compile(r"(?:.*/)?python[\d.]*")
_ADDRESS = re.compile(r"(?:git\+)?[a-z]+://|\w+\+[a-z]+://")
_OPTIONS_OF_THE_BUILD = frozenset({"--user", "--no-build-isolation", "--no-deps"})
_FILE_COMMANDS = frozenset({"mkdir", "chmod", "ln", "cp", "mv"})
_LOCAL_VERSION = re.compile(r"(==[\w.]+)\+[\w.]+")
_TOOLKITS = re.compile(
    r"sagemaker[-_](?:(?:pytorch|tensorflow|mxnet|scikit[-_]learn|huggingface)[-_])?(?:training|containers?|inference)\b"
    r"|sagemaker[-_]xgboost[-_]container\b|multi-model-server\b"
)
"""The containers' own packages: modules of ours take their place."""


@dataclass(frozen=True, slots=True)
class DockerfileImage:
    """What was read.

    :param base: the image that it begins with, such as ``python:3.10-slim``.
    :param requirements: what ``pip`` installs, in order.
    :param notes: what is not done here, each with its line.
    :param python: the version of a Python that it installs itself.
    """

    base: str
    contents: ImageContents
    requirements: tuple[str, ...]
    notes: tuple[str, ...]
    python: str | None = None


def read_dockerfile(
    path: Path, *, context: Path | None = None, stage: str = "", arguments: Mapping[str, str] | None = None
) -> DockerfileImage:
    """Read a Dockerfile.

    :param context: the folder that COPY copies from; the Dockerfile's own if not given.
    :param stage: the stage to read, by its name or number; the last one if not given.
    :param arguments: values of ARG.
    :raises OSError: it cannot be read.
    :raises ValueError: it has no FROM, or not that stage.
    """
    folder = context or path.parent
    reader = _Reader(folder, _read_ignored(path, folder), dict(arguments or {}))
    for instruction in parse_instructions(path.read_text(encoding="utf-8", errors="replace")):
        reader.read(instruction)
    found = reader.find_stage(stage)
    if found is None:
        raise ValueError(f"{path} has no stage '{stage}'" if stage else f"{path} has no FROM")
    return found.finish()


def _read_ignored(path: Path, context: Path) -> PathSpec[Any] | None:
    """The rules of ``.dockerignore``. Its patterns begin at the root of the context, those of Git anywhere."""
    for candidate in (path.with_name(f"{path.name}.dockerignore"), context / ".dockerignore"):
        if candidate.is_file():
            from pathspec import PathSpec

            lines = [line.strip() for line in candidate.read_text(encoding="utf-8", errors="replace").splitlines()]
            patterns = [
                f"{'!' if line.startswith('!') else ''}/{line.lstrip('!').removeprefix('./').lstrip('/')}"
                for line in lines
                if line and not line.startswith("#")
            ]
            return PathSpec.from_lines("gitignore", patterns)
    return None


@dataclass(slots=True)
class _Stage:
    """One stage while it is read."""

    name: str
    base: str
    variables: dict[str, str]
    env: dict[str, str] = field(default_factory=lambda: {"PATH": PATH_REFERENCE})
    workdir: str | None = None
    entrypoint: tuple[str, ...] | None = None
    command: tuple[str, ...] | None = None
    files: list[ImageFile] = field(default_factory=list)
    executables: list[str] = field(default_factory=list)
    links: list[tuple[str, str]] = field(default_factory=list)
    installs: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    requirements: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    python: str | None = None

    @property
    def known(self) -> dict[str, str]:
        """The variables that instructions may refer to."""
        return {**self.variables, **self.env}

    def locate(self, path: str, folder: str | None = None) -> str:
        """A path in the image, absolute and without ``.`` and ``..``."""
        parts: list[str] = []
        for part in (PurePosixPath(folder or self.workdir or "/") / path).parts[1:]:
            if part == "..":
                parts = parts[:-1]
            else:
                parts.append(part)
        return "/" + "/".join(parts)

    def find(self, path: str) -> Path | None:
        """The file of this machine that is at a path in the image."""
        for file in reversed(self.files):
            if found := file.find(PurePosixPath(path)):
                return found
        return None

    def finish(self) -> DockerfileImage:
        """What the stage gives."""
        env = {name: value for name, value in self.env.items() if (name, value) != ("PATH", PATH_REFERENCE)}
        named = re.match(r"3\.\d+", self.known.get("PYTHON_VERSION", ""))
        contents = ImageContents(
            self.workdir,
            env,
            self.entrypoint,
            self.command,
            tuple(self.files),
            tuple(self.executables),
            tuple(self.links),
            tuple(self.installs),
        )
        return DockerfileImage(
            self.base,
            contents,
            tuple(self.requirements),
            tuple(self.notes),
            self.python or (named[0] if named else None),
        )


@dataclass(slots=True)
class _InstallWords:
    """What stands after ``pip install``: packages and options, requirements files, places in the image, addresses."""

    packages: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    local: list[str] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)

    def read(self, words: Sequence[str]) -> None:
        rest = iter(words)
        for word in rest:
            option, is_joined, value = word.partition("=")
            if option in ("-r", "--requirement"):
                self.files.append(value if is_joined else next(rest, ""))
            elif option in ("-e", "--editable"):
                self.local += ["-e", value if is_joined else next(rest, ".")]
            elif word.startswith((".", "/")) or word.endswith((".whl", ".tar.gz")):
                self.local.append(word)
            elif _ADDRESS.match(word):
                self.addresses.append(word)
            elif word in _OPTIONS_OF_THE_BUILD:
                self.local += [word] if self.local else []
            else:
                self.packages.append(word)


class _Reader:
    def __init__(self, context: Path, ignored: PathSpec[Any] | None, arguments: dict[str, str]) -> None:
        self._context, self._ignored, self._arguments = context, ignored, arguments
        self._global: dict[str, str] = {}
        self._stages: list[_Stage] = []
        self._readers: dict[str, Callable[[_Stage, Instruction], None]] = {
            "ARG": self._read_argument,
            "ENV": self._read_env,
            "WORKDIR": self._read_workdir,
            "ENTRYPOINT": self._read_entrypoint,
            "CMD": self._read_command,
            "COPY": self._read_copy,
            "ADD": self._read_copy,
            "RUN": self._read_run,
        }

    def find_stage(self, name: str) -> _Stage | None:
        """A stage by its name or number; the last one for an empty name."""
        if not name:
            return self._stages[-1] if self._stages else None
        if name.isdigit() and int(name) < len(self._stages):
            return self._stages[int(name)]
        return next((stage for stage in reversed(self._stages) if stage.name.lower() == name.lower()), None)

    def read(self, instruction: Instruction) -> None:
        """Take one instruction."""
        if instruction.name == "FROM":
            self._begin_stage(instruction)
        elif not self._stages:
            if instruction.name == "ARG":
                self._global |= self._parse_arguments(instruction, self._global)
        elif reader := self._readers.get(instruction.name):
            reader(self._stages[-1], instruction)
        elif instruction.name not in _SILENT:
            self._stages[-1].notes.append(_note(instruction))

    def _begin_stage(self, instruction: Instruction) -> None:
        words = split_words(substitute(instruction.text, self._global))
        base = words[0] if words else "scratch"
        name = words[2] if len(words) > 2 and words[1].lower() == "as" else ""
        if earlier := self.find_stage(base) if not base.isdigit() else None:
            stage = _Stage(
                name,
                earlier.base,
                dict(earlier.variables),
                dict(earlier.env),
                earlier.workdir,
                earlier.entrypoint,
                earlier.command,
                list(earlier.files),
                list(earlier.executables),
                list(earlier.links),
                list(earlier.installs),
                list(earlier.requirements),
                list(earlier.notes),
                earlier.python,
            )
        else:
            stage = _Stage(name, base, {})
        self._stages.append(stage)

    def _parse_arguments(self, instruction: Instruction, known: Mapping[str, str]) -> dict[str, str]:
        found = {}
        for word in split_words(instruction.text):
            name, is_given, value = word.partition("=")
            default = substitute(value, known) if is_given else self._global.get(name, "")
            found[name] = self._arguments.get(name, default)
        return found

    def _read_argument(self, stage: _Stage, instruction: Instruction) -> None:
        stage.variables |= self._parse_arguments(instruction, stage.known)

    def _read_env(self, stage: _Stage, instruction: Instruction) -> None:
        stage.env |= parse_pairs(instruction.text, stage.known)

    def _read_workdir(self, stage: _Stage, instruction: Instruction) -> None:
        stage.workdir = stage.locate(substitute(instruction.text.strip("\"'"), stage.known))
        stage.files.append(ImageFile(None, stage.workdir))

    def _read_entrypoint(self, stage: _Stage, instruction: Instruction) -> None:
        stage.entrypoint, stage.command = _as_program(instruction), None

    def _read_command(self, stage: _Stage, instruction: Instruction) -> None:
        stage.command = _as_program(instruction)

    def _read_copy(self, stage: _Stage, instruction: Instruction) -> None:
        words = instruction.array or split_words(instruction.text)
        words = [substitute(word, stage.known) for word in words]
        if len(words) < 2 or instruction.documents:
            stage.notes.append(_note(instruction))
            return
        *sources, target = words
        for source in sources:
            if origin := instruction.flags.get("from"):
                is_there = self._copy_from_stage(stage, self.find_stage(origin), source, target, count=len(sources))
            else:
                is_there = self._copy_from_context(stage, source, target, count=len(sources))
            if not is_there:
                stage.notes.append(_note(instruction))

    def _copy_from_context(self, stage: _Stage, source: str, target: str, *, count: int) -> bool:
        pattern = source.removeprefix("./").lstrip("/") or "."
        if "://" in source:
            return False
        found = [self._context] if pattern == "." else sorted(self._context.glob(pattern.rstrip("/")))
        for path in found:
            into = stage.locate(target)
            if path.is_file() and (
                target.endswith(("/", ".")) or count > 1 or len(found) > 1 or _is_folder(stage, into)
            ):
                into = stage.locate(path.name, into)
            stage.files.append(ImageFile(path, into, self._ignored, self._context))
        return bool(found)

    def _copy_from_stage(self, stage: _Stage, origin: _Stage | None, source: str, target: str, *, count: int) -> bool:
        """Copy from another stage: its own files, or, for all else, what it has installed."""
        if origin is None:
            return False
        path, into = origin.locate(source), stage.locate(target)
        inside = [
            file for file in origin.files if file.target == path or file.target.startswith(path.rstrip("/") + "/")
        ]
        if found := origin.find(path):
            is_into = found.is_file() and (target.endswith("/") or count > 1)
            stage.files.append(ImageFile(found, stage.locate(found.name, into) if is_into else into))
        for file in inside:
            rest = PurePosixPath(file.target).relative_to(path)
            stage.files.append(ImageFile(file.source, stage.locate(str(rest), into), file.ignored, file.root))
        if found is None and not any(file.source for file in inside):
            # A folder of packages, or of the programs that use them.
            stage.requirements += [one for one in origin.requirements if one not in stage.requirements]
            stage.installs += [one for one in origin.installs if one not in stage.installs]
            return bool(origin.requirements or origin.installs)
        return True

    def _read_run(self, stage: _Stage, instruction: Instruction) -> None:
        script = "\n".join(instruction.documents) if instruction.documents else instruction.text
        commands = [instruction.array] if instruction.array else list(iter_commands(script))
        folder = stage.workdir or "/"
        for command in commands:
            words = [substitute(word, stage.known) for word in dropwhile(_is_prefix, command)]
            if words[:1] == ["cd"] and len(words) > 1:
                folder = stage.locate(words[1], folder)
            elif words and not self._run(stage, words, folder):
                stage.notes.append(f"line {instruction.line}: {_shorten(' '.join(words))}")

    def _run(self, stage: _Stage, words: list[str], folder: str) -> bool:
        """Do what a command of a RUN does; whether that, or nothing, had to be done."""
        program = words[0].rpartition("/")[2]
        if program in _SYSTEM_INSTALLERS:
            return _install_system_packages(stage, words[1:])
        if (rest := _find_pip(words)) is not None:
            return self._install(stage, rest, folder)
        if program in _FILE_COMMANDS:
            return _change_files(stage, program, words[1:], folder)
        if any("get-pip.py" in word for word in words) or words[1:] in ([], ["--version"]):
            return True
        # A virtual environment of the image is the job's own.
        return program in _HARMLESS or words[1:3] == ["-m", "venv"]

    def _install(self, stage: _Stage, words: list[str], folder: str) -> bool:
        while words and words[0].startswith("-"):
            words = words[1:]
        if words[:1] != ["install"]:
            return True
        found = _InstallWords()
        found.read(words[1:])
        files = [self._find_requirements(stage, name, folder) for name in found.files]
        outside = [*found.packages, *(word for path in files if path for word in ("-r", str(path)))]
        for requirement in parse_pip_install(outside, folder=self._context, files={}):
            if not _TOOLKITS.match(requirement):
                # `sklearn` was an empty package that brought scikit-learn, and is refused by the index today.
                name = "scikit-learn" if requirement == "sklearn" else requirement
                stage.requirements.append(_LOCAL_VERSION.sub(r"\1", name))
        stage.requirements += found.addresses
        if found.local:
            stage.installs.append((folder, ("install", *found.local)))
        return None not in files

    def _find_requirements(self, stage: _Stage, name: str, folder: str) -> Path | None:
        """A requirements file of the image. ``RUN --mount`` reads it from the context."""
        mounted = self._context / name
        return stage.find(stage.locate(name, folder)) or (mounted if name and mounted.is_file() else None)


def _change_files(stage: _Stage, program: str, words: Sequence[str], folder: str) -> bool:
    """Do what mkdir, chmod, ln, cp or mv does; whether it could be done."""
    places = [stage.locate(word, folder) for word in words if not word.startswith("-")]
    if program == "mkdir":
        stage.files += [ImageFile(None, place) for place in places]
    elif program == "chmod" and len(places) > 1:
        mode = next(word for word in words if not word.startswith("-R"))
        if "x" in mode or re.fullmatch(r"0?[1357]\d\d", mode):
            stage.executables += [place.rstrip("*").rstrip("/") or "/" for place in places[1:]]
    elif program == "ln" and len(places) == 2:
        if stage.find(places[0]):
            stage.links.append((places[1], places[0]))
    elif program in ("cp", "mv") and len(places) == 2:
        found = stage.find(places[0])
        if found is None:
            return False
        stage.files.append(ImageFile(found, places[1]))
    return True


def _as_program(instruction: Instruction) -> tuple[str, ...]:
    words = instruction.array
    return tuple(words) if words is not None else ("/bin/sh", "-c", instruction.text)


def _is_folder(stage: _Stage, path: str) -> bool:
    return any(file.target == path and (file.source is None or file.source.is_dir()) for file in stage.files)


def _is_prefix(word: str) -> bool:
    """Whether a word stands before a command's name: ``sudo``, ``NAME=value``."""
    return word in ("sudo", "exec", "time", "!") or re.fullmatch(r"\w+=.*", word) is not None


def _find_pip(words: list[str]) -> list[str] | None:
    """What follows ``pip`` in a command; None if it does not call it."""
    for start, word in enumerate(words[:4]):
        if _PIP.fullmatch(word) and (start == 0 or words[start - 1] in ("-m", "uv", "run")):
            return words[start + 1 :]
        if start == 0 and not (_PYTHON.fullmatch(word) or word.rpartition("/")[2] in ("uv", "poetry")):
            return None
    return None


def _install_system_packages(stage: _Stage, words: Sequence[str]) -> bool:
    """Take Debian's packages of Python libraries as Python's own; whether nothing else is missing."""
    names = [word.split("=")[0] for word in words if not word.startswith("-") and word not in ("install", "add")]
    missing = []
    for name in names:
        library = name.removeprefix("python3-")
        if own := re.fullmatch(r"python(3\.\d+)", name):
            stage.python = own[1]
        if name in _NO_PACKAGES or name in _BUILD_TOOLS or name.startswith("python3.") or name.endswith("-dev"):
            continue
        if library != name and library not in _DEBIAN_TOOLS:
            stage.requirements.append(_DEBIAN_NAMES.get(library, library))
        else:
            missing.append(name)
            if name == "nginx":
                stage.files += [ImageFile(None, "/var/log/nginx"), ImageFile(None, "/var/lib/nginx")]
    if missing:
        stage.notes.append(f"system packages {', '.join(missing)}")
    return True


def _note(instruction: Instruction) -> str:
    return f"line {instruction.line}: {_shorten(f'{instruction.name} {instruction.text}')}"


def _shorten(text: str) -> str:
    return text if len(text) <= 80 else text[:77] + "..."

"""Changes the SDK in this process: it hashes no paths, gives each step a stamp of its own, and sends no telemetry."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import inspect
import shutil
import sys
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

from .archives import is_left_out
from .build_errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .project import Project
    from .stamps import Stamps
    from .step_payloads import LocalSecret

# Where the SDKs define what is replaced; loaded first, so that later imports of it get ours.
_HOMES = (
    "sagemaker.session",
    "sagemaker.core.helper.session_helper",
    "sagemaker.utils",
    "sagemaker.workflow.utilities",
    "sagemaker.telemetry.telemetry_logging",
    "sagemaker.core.common_utils",
    "sagemaker.core.modules.utils",
    "sagemaker.core.workflow.utilities",
    "sagemaker.core.telemetry.telemetry_logging",
    "sagemaker.train.utils",
)
_MODEL_BUILDERS = ("sagemaker.serve.model_builder", "sagemaker.serve.builder.model_builder")
_REPACKING = "sagemaker.workflow._utils"
_COMPILERS = ("sagemaker.workflow._steps_compiler", "sagemaker.mlops.workflow._steps_compiler")


class SdkPatches:
    """The changes to the SDK of one build.

    Telemetry has a setting of its own, TelemetryOptOut in a defaults file. With any defaults file the SDK (2.257, 3.27)
    validates the whole of it for every value it looks up, which makes a build three times as long.
    """

    def __init__(self, *, stamps: Stamps, project: Project, secret: LocalSecret, role_arn: str | None) -> None:
        self._stamps = stamps
        self._project = project
        self._secret = secret
        self._role_arn = role_arn
        self._own_code_hash: Callable[[Any], Any] | None = None
        self._replacements: dict[str, Any] = {
            "_get_unique_name": self._unique_name,
            "get_code_hash": self._code_hash,
            "_hash_file_or_dir": self._hash_file_or_dir,
            "_hash_dir": _hash_dir,
            "hash_files_or_dirs": self._hash_files_or_dirs,
            "get_execution_role": self._execution_role,
            **_NO_TELEMETRY,
        }

    def install(self) -> None:
        """Replace the functions in every module of the SDK that is loaded."""
        self._keep_code_hash()
        _replace(self._replacements)
        for name in _MODEL_BUILDERS:
            if name in sys.modules:
                self._give_own_folder(sys.modules[name].ModelBuilder)
        self._stamps.install_datetime()

    def install_once(self) -> None:
        """Change what is changed in its place: temporary files, and the class that builds the steps."""
        tempfile.tempdir = str(self._project.scratch)
        # A temporary file's name may end up in a key: it is a stamp like any other.
        tempfile._get_candidate_names = self._names  # type: ignore[attr-defined]
        for name in _COMPILERS:
            with contextlib.suppress(ImportError):  # it is the other SDK generation's
                self._stamp_each_step(importlib.import_module(name).StepsCompiler)
        with contextlib.suppress(ImportError):
            _repack_copies(importlib.import_module(_REPACKING)._RepackModelStep)

    def _give_own_folder(self, builder: Any) -> None:
        """Let models be prepared in the build's own folder; the SDK's, /tmp/sagemaker, is the first user's."""
        make = builder.__init__
        if getattr(make, "has_own_folder", False):
            return
        scratch = self._project.scratch

        @functools.wraps(make)
        def make_here(instance: Any, *args: Any, **options: Any) -> None:
            if not args and options.get("model_path") is None:
                options["model_path"] = str(scratch / "model-builder" / uuid.uuid1().hex)
            make(instance, *args, **options)

        make_here.has_own_folder = True  # type: ignore[attr-defined]
        builder.__init__ = make_here

    def _names(self) -> Iterator[str]:
        while True:
            yield self._stamps.short_id()

    def _unique_name(self, base: str, max_length: int = 63) -> str:
        # The SDK cuts the time off at its end; then two names may be one.
        moment = self._stamps.timestamp().replace("-", "")[:14]
        return f"{base[: max_length - len(moment) - 1]}-{moment}"

    def _execution_role(self, *_: Any, **__: Any) -> str:
        """Give the role of the notebook or job that a script believes to run in: the pipeline's role."""
        if self._role_arn is None:
            raise BuildError(
                "arguments",
                "The script asks for its execution role (get_execution_role), which notebooks have. Give the role of "
                "the pipeline: role_arn= (--role-arn).",
            )
        return self._role_arn

    def _stamp_each_step(self, compiler: Any) -> None:
        """Let each `@step` have a stamp of its own: with the pipeline's, one edited function would change all."""
        build, initialize = compiler._build_step, compiler.__init__
        stamps, secret = self._stamps, self._secret

        @functools.wraps(initialize)
        def initialize_with_key(self: Any, *args: Any, **options: Any) -> None:
            initialize(self, *args, **options)
            if hasattr(getattr(self, "_function_step_secret_token", None), "private_bytes"):
                self._function_step_secret_token = secret.signing_key(stamps.neutral(self.pipeline_name))

        @functools.wraps(build)
        def build_with_stamp(self: Any, step: Any) -> Any:
            self.pipeline_build_time = stamps.timestamp()
            self.upload_workspace = True
            return build(self, step)

        compiler.__init__, compiler._build_step = initialize_with_key, build_with_stamp

    def _keep_code_hash(self) -> None:
        for name in ("sagemaker.workflow.utilities", "sagemaker.core.workflow.utilities"):
            found = getattr(sys.modules.get(name), "get_code_hash", self._code_hash)
            if found != self._code_hash:
                self._own_code_hash = found

    def _code_hash(self, step: Any) -> Any:
        """Hash a step's code as the SDK does, but for code from Git: of that it knows only the path beforehand.

        Without this hash the SDK stamps the code's key, and a stamp becomes the digest of what was cloned.
        """
        arguments = getattr(step, "step_args", None)
        job = next(iter(getattr(arguments, "func_args", None) or ()), None)
        if getattr(job, "git_config", None) or (getattr(arguments, "func_kwargs", None) or {}).get("git_config"):
            return None
        return None if self._own_code_hash is None else self._own_code_hash(step)

    def _hash_files_or_dirs(self, paths: list[str]) -> str:
        digest = hashlib.sha256()
        for path in sorted(paths, key=lambda path: (self._project.name_of(_local(path)), path)):
            self._hash_file_or_dir(path, digest)
        return digest.hexdigest()

    def _hash_file_or_dir(self, path: str, digest: Any) -> Any:
        """Digest code as the SDK does, but for the path that it hashes, too: seen from the project it is the same."""
        place = Path(_local(path))
        digest.update(self._project.name_of(str(place)).encode())
        if place.is_dir():
            _hash_dir(place, digest)
        elif place.is_file():
            digest.update(place.read_bytes())
        return digest


def _repack_copies(step: Any) -> None:
    """Let repacking take a copy of the code: v2 (2.257) writes a script of its own into the user's folder.

    The next build would find that there, in whatever else packs the folder. v3 makes the copy itself.
    """
    make = step.__init__

    @functools.wraps(make)
    def make_with_copy(instance: Any, *args: Any, **options: Any) -> None:
        make(instance, *args, **options)
        folder = instance._source_dir
        if isinstance(folder, str) and Path(folder).is_dir():
            copy = tempfile.mkdtemp()
            skipped = shutil.ignore_patterns(".git", "__pycache__")
            shutil.copytree(folder, copy, ignore=skipped, ignore_dangling_symlinks=True, dirs_exist_ok=True)
            instance._source_dir = instance.estimator.source_dir = copy

    step.__init__ = make_with_copy


def silence_telemetry() -> None:
    """Let the SDK send no telemetry, and change nothing else."""
    _replace(_NO_TELEMETRY)


def _replace(replacements: dict[str, Any]) -> None:
    for home in _HOMES:
        with contextlib.suppress(ImportError):  # it is the other SDK generation's
            importlib.import_module(home)
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] == "sagemaker":
            for attribute, replacement in replacements.items():
                if inspect.isfunction(vars(module).get(attribute)):
                    setattr(module, attribute, replacement)


def _send_nothing(*args: object, **kwargs: object) -> None:
    """Stand in for the SDK's telemetry."""


_NO_TELEMETRY: dict[str, Any] = {
    "_send_telemetry": _send_nothing,
    "_send_telemetry_request": _send_nothing,
    "_emit_failure_telemetry": _send_nothing,
}


def _local(path: Any) -> str:
    text = str(path)
    return unquote(urlparse(text).path) if text.lower().startswith("file://") else text


def _hash_dir(directory: Any, digest: Any) -> Any:
    """Digest a folder of step code as the SDK does, but for what archives leave out, too."""
    for path in sorted(Path(directory).iterdir()):
        if not is_left_out(path.name):
            digest.update(path.name.encode())
            if path.is_file():
                digest.update(path.read_bytes())
            elif path.is_dir():
                _hash_dir(path, digest)
    return digest

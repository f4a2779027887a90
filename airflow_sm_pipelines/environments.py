"""Makes and keeps Python environments for code that must not run in ours: SDK scripts, the programs of step images.

An environment is named after what it was made from. It is built in another folder and then renamed, so a path that
exists is a complete environment. Who needs which requirements is decided elsewhere.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import platform
import re
import shutil
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_sm_pipelines.environment_lock import EnvironmentLock
from airflow_sm_pipelines.exceptions import EnvironmentBuildError
from airflow_sm_pipelines.private_directories import find_cache_fault
from airflow_sm_pipelines.processes import run_child

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from airflow_sm_pipelines.environment_lock import LockedEnvironment

_log = logging.getLogger(__name__)

_FORMAT = 1
_RESOLUTION_VARIABLES = ("UV_CONSTRAINT", "UV_OVERRIDE", "UV_EXCLUDE_NEWER", "UV_RESOLUTION", "UV_PRERELEASE")
"""The settings of uv that change which packages a requirement resolves to."""
_COMPLETE_MARK = "sm-pipelines-environment.json"
_LOCK_POLL_SECONDS = 0.2
_CHOOSE_SECONDS = 600.0
_FIND_SECONDS = 60.0
_FETCH_SECONDS = 180.0
_SDK_WITH_PYTZ = "2.257"
_NETWORK_TROUBLE = re.compile(
    r"(?i)error sending request|dns error|failed to lookup address|connection refused|tcp connect error|timed out"
    r"|network is unreachable|could not connect|network connectivity is disabled"
)
_CLAUSE = re.compile(r"(?P<operator>>=|<=|==|!=|~=|>|<)?\s*(?P<version>\d+(?:\.\d+)*)(?P<wildcard>\.\*)?")


CACHE_DIR_VARIABLE = "SM_PIPELINES_CACHE_DIR"


def default_cache_dir(env: Mapping[str, str]) -> Path:
    """The directory for files that can be made again: ``$SM_PIPELINES_CACHE_DIR``, or the user's cache directory.

    :param env: environment variables, usually ``os.environ``.
    """
    if explicit := env.get(CACHE_DIR_VARIABLE):
        return Path(explicit).expanduser()
    if base := env.get("XDG_CACHE_HOME"):
        return Path(base).expanduser() / "airflow-sm-pipelines"
    home = env.get("HOME")
    return (Path(home) if home else Path.home()) / ".cache" / "airflow-sm-pipelines"


def find_uv() -> str:
    """Find the ``uv`` binary: that of the PyPI package ``uv``, or the one on PATH.

    :raises EnvironmentBuildError: there is none.
    """
    try:
        from uv import find_uv_bin

        return str(find_uv_bin())
    except (ImportError, FileNotFoundError):
        pass
    if found := shutil.which("uv"):
        return found
    raise EnvironmentBuildError(
        "Python environments are made with uv, which is not installed here. Install it with "
        "`pip install 'airflow-sm-pipelines[compiler]'`, or name an existing Python that has the packages with "
        "interpreter= (--interpreter)."
    )


def find_python(version: str, *, env: Mapping[str, str]) -> Path | None:
    """Find a Python of a version (``3.8``) or a range (``>=3.12,<3.13``) on this machine; None if there is none.

    Nothing is downloaded.

    Beside the places where uv looks, those of pyenv count: uv meets pyenv's shims first, which run only the versions
    that are switched on.
    """
    if version == f"{sys.version_info[0]}.{sys.version_info[1]}":
        return Path(_python_request(None))
    installed = _find_in_pyenv(version, env)
    if installed is not None and re.fullmatch(r"[\d.]+", version):
        return installed
    command = [find_uv(), "python", "find", "--no-project", "--no-python-downloads", version]
    is_found, said = _run_uv(command, env, time.monotonic() + _FIND_SECONDS, lambda line: None)
    found = Path(said.strip().rpartition("\n")[2])
    return found if is_found and found.exists() else installed


def _find_in_pyenv(request: str, env: Mapping[str, str]) -> Path | None:
    """The newest Python of pyenv's that fits a version or a range."""
    home = Path(env.get("PYENV_ROOT") or Path(env.get("HOME") or Path.home()) / ".pyenv")
    fitting: dict[tuple[int, int, int], Path] = {}
    for folder in home.glob("versions/*"):
        match = re.fullmatch(r"(\d+)\.(\d+)\.(\d+)", folder.name)
        if match is not None:
            version = (int(match[1]), int(match[2]), int(match[3]))
            interpreter = folder / "bin" / f"python{match[1]}.{match[2]}"
            if interpreter.exists() and is_python_accepted(request, version):
                fitting[version] = interpreter
    return fitting[max(fitting)] if fitting else None


def fetch_python(version: str, *, env: Mapping[str, str], log: Callable[[str], None]) -> Path | None:
    """Have uv download a Python of a version; None where the user's settings forbid it, or it cannot be had.

    :param log: told that it is tried.
    """
    if env.get("UV_PYTHON_DOWNLOADS") in ("never", "manual") or "UV_OFFLINE" in env:
        return None
    log(f"This machine has no Python {version}: uv downloads one.")
    deadline = time.monotonic() + _FETCH_SECONDS
    is_there, said = _run_uv([find_uv(), "python", "install", version], env, deadline, lambda line: None)
    if not is_there:
        log(f"No Python {version} could be had: {said.strip().rpartition(chr(10))[2].strip()}")
        return None
    return find_python(version, env=env)


def is_python_accepted(requirement: str, version: tuple[int, ...]) -> bool:
    """Whether a Python version satisfies a ``requires-python`` such as ``>=3.10,<3.13``, or is a plain ``3.11``.

    Only release numbers are compared. A clause with an operator that is not PEP 440's is not satisfied.
    """
    return all(_is_clause_met(clause.strip(), version) for clause in requirement.split(",") if clause.strip())


def add_forgotten(requirements: Sequence[str]) -> list[str]:
    """The requirements, with what packages among them import without asking for it.

    SDK v2 from 2.199 on imports pytz, which it asks for in its last releases alone. pandas brought it until version 3.
    """
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.version import Version

    with_pytz = Version(_SDK_WITH_PYTZ)
    names, has_old_sdk = set(), False
    for text in requirements:
        try:
            one = Requirement(text.strip())
        except InvalidRequirement:
            continue  # such as a path
        names.add(one.name.lower())
        if one.name.lower() == "sagemaker":
            bounds = [part for part in one.specifier if part.operator in ("==", "~=", "<", "<=")]
            has_old_sdk = any(Version(part.version.removesuffix(".*")) < with_pytz for part in bounds)
    return [*requirements, *(["pytz"] if has_old_sdk and "pytz" not in names else [])]


def environment_key(requirements: Sequence[str], *, python: str | None = None, env: Mapping[str, str]) -> str:
    """The name of the environment that requirements make on this machine. An environment with an equal name fits.

    :raises EnvironmentBuildError: there is a lock file without these requirements.
    """
    described = {
        "format": _FORMAT,
        "requirements": sorted(requirement.strip() for requirement in add_forgotten(requirements)),
        "python": _python_request(python),
        "platform": [sys.platform, platform.machine(), platform.libc_ver()[0]],
        "resolution": {name: env[name] for name in _RESOLUTION_VARIABLES if name in env},
    }
    if (lock := EnvironmentLock.of_environment(env)) is not None:
        described |= {"packages": lock.find(requirements, python).packages, "resolution": {}}
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:20]


def ensure_environment(
    requirements: Sequence[str],
    *,
    python: str | None = None,
    cache_dir: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout_seconds: float = 900,
    log: Callable[[str], None] | None = None,
    chatter: Callable[[str], None] | None = None,
) -> Path:
    """Make an environment with these requirements if there is none yet.

    uv reads its own variables (``UV_INDEX_URL``, ``UV_CACHE_DIR``, ``UV_OFFLINE`` ...) and configuration as always.

    :param requirements: PEP 508 requirements, such as ``["sagemaker>=2.257,<3"]``.
    :param python: a version (``3.11``), a range (``>=3.10,<3.13``) or a path. The Python that runs this code is taken
        if it fits. Otherwise uv looks for one on this machine, and downloads one only if there is none.
    :param cache_dir: see :func:`default_cache_dir`.
    :param env: the environment variables that uv gets; those of this process by default.
    :param timeout_seconds: for the build, and for waiting while another process builds the same environment.
    :param log: told that an environment is made.
    :param chatter: called with each line of uv; ``log`` where not given.
    :return: the environment's interpreter.
    :raises EnvironmentBuildError: uv is missing, or it failed: the message has uv's own reason. Or the lock file that
        ``SM_PIPELINES_LOCK`` names has no such environment.
    """
    tell = log or (lambda line: None)
    env = os.environ if env is None else env
    if (interpreter := find_environment(requirements, python=python, cache_dir=cache_dir, env=env)) is not None:
        return interpreter
    target = _locate(requirements, python, cache_dir, env)
    home = target.parent
    deadline = time.monotonic() + timeout_seconds
    try:
        keep_cache_closed(home.parent, tell)
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EnvironmentBuildError(
            f"Cannot make the directory for Python environments, {home}: {error.strerror}. "
            "Set SM_PIPELINES_CACHE_DIR to a writable directory."
        ) from error
    with _locked(target.with_suffix(".lock"), deadline):
        if (interpreter := _find_ready_interpreter(target)) is not None:
            return interpreter
        shutil.rmtree(target, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=home, prefix=f"{target.name}-", ignore_cleanup_errors=True) as scratch:
            built = Path(scratch) / "environment"
            uv = find_uv()
            tell(f"Making a Python environment ({_python_request(python)}) with {_list(requirements)}")
            _build(uv, built, requirements, python, env, deadline, chatter or tell)
            built.rename(target)
    return _get_interpreter(target)


def find_environment(
    requirements: Sequence[str],
    *,
    python: str | None = None,
    cache_dir: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Path | None:
    """The interpreter that :func:`ensure_environment` gives without making anything; None where there is none yet."""
    target = _locate(requirements, python, cache_dir, os.environ if env is None else env)
    if (found := _find_ready_interpreter(target)) is not None:
        keep_cache_closed(target.parent.parent, _log.warning)
    return found


def choose_packages(requirements: Sequence[str], *, python: str | None, env: Mapping[str, str]) -> str:
    """The packages that requirements resolve to now, on any platform: lines of a requirements file, with hashes.

    :raises EnvironmentBuildError: uv is missing, or it failed.
    """
    with tempfile.TemporaryDirectory(prefix="sm-pipelines-") as scratch:
        given, chosen = Path(scratch) / "requirements.in", Path(scratch) / "requirements.txt"
        given.write_text("\n".join(add_forgotten(requirements)), encoding="utf-8")
        options = ["--universal", "--generate-hashes", "--no-header", "--no-annotate", "--no-emit-index-url"]
        command = [find_uv(), "pip", "compile", "--quiet", *options, "--python", _python_request(python)]
        deadline = time.monotonic() + _CHOOSE_SECONDS
        done, said = _run_uv([*command, "-o", str(chosen), str(given)], env, deadline, lambda line: None)
        if not done:
            raise EnvironmentBuildError(
                f"uv could not choose packages for {_list(requirements)}:\n{said}{_explain_network(said)}"
            )
        return chosen.read_text(encoding="utf-8").strip()


def download_packages(
    locked: LockedEnvironment, folder: Path, *, env: Mapping[str, str], log: Callable[[str], None]
) -> None:
    """Put the packages of a locked environment, for this platform, into a folder that ``UV_FIND_LINKS`` can name.

    :raises EnvironmentBuildError: pip failed.
    """
    pip = ensure_environment(["pip"], python=locked.python, env=env, log=log)
    with tempfile.TemporaryDirectory(prefix="sm-pipelines-") as scratch:
        given = Path(scratch) / "requirements.txt"
        given.write_text(locked.packages, encoding="utf-8")
        options = ["--quiet", "--no-deps", "--require-hashes", "--dest", str(folder), "-r", str(given)]
        outcome = run_child(
            [str(pip), "-m", "pip", "download", *options], env=dict(env), timeout_seconds=_CHOOSE_SECONDS, log=log
        )
    if outcome.exit_code != 0:
        raise EnvironmentBuildError("pip could not download the packages:\n" + "\n".join(outcome.tail))


def keep_cache_closed(cache_dir: Path, tell: Callable[[str], None]) -> None:
    """Close the cache directory to what other users write.

    :param tell: told that it was closed.
    :raises EnvironmentBuildError: if another user could have written to it.
    :raises OSError: if it cannot be made or read.
    """
    fault, line = find_cache_fault(cache_dir)
    if fault is not None:
        raise EnvironmentBuildError(f"The cache directory is not yours alone. {fault}")
    if line is not None:
        tell(line)


def _locate(requirements: Sequence[str], python: str | None, cache_dir: Path | None, env: Mapping[str, str]) -> Path:
    home = (cache_dir or default_cache_dir(env)) / "environments"
    return home / environment_key(requirements, python=python, env=env)


def _is_clause_met(clause: str, version: tuple[int, ...]) -> bool:
    match = _CLAUSE.fullmatch(clause)
    if match is None:
        return False
    operator = match["operator"] or "=="
    wanted = tuple(int(part) for part in match["version"].split("."))
    is_prefix = bool(match["wildcard"]) or not match["operator"]
    width = max(len(wanted), len(version))
    have, bound = (part + (0,) * (width - len(part)) for part in (version, wanted))
    is_equal = version[: len(wanted)] == wanted if is_prefix else have == bound
    return {
        "==": is_equal,
        "!=": not is_equal,
        ">=": have >= bound,
        "<=": have <= bound,
        ">": have > bound,
        "<": have < bound,
        "~=": have >= bound and version[: len(wanted) - 1] == wanted[:-1],
    }[operator]


def _python_request(python: str | None) -> str:
    """What uv is asked for: our own Python if it fits the caller's request."""
    if python is None or is_python_accepted(python, sys.version_info[:3]):
        base = Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
        return str(base if base.exists() else sys.executable)
    return python


def _get_interpreter(environment: Path) -> Path:
    return environment / "bin" / "python"


def _find_ready_interpreter(environment: Path) -> Path | None:
    interpreter = _get_interpreter(environment)
    # exists() follows the link, so an environment whose base Python is gone is built again.
    return interpreter if (environment / _COMPLETE_MARK).exists() and interpreter.exists() else None


@contextmanager
def _locked(path: Path, deadline: float) -> Iterator[None]:
    with path.open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise EnvironmentBuildError(
                        f"Another process holds {path}, and has not built this environment in time."
                    ) from None
                time.sleep(_LOCK_POLL_SECONDS)
        yield


def _build(
    uv: str,
    target: Path,
    requirements: Sequence[str],
    python: str | None,
    env: Mapping[str, str],
    deadline: float,
    log: Callable[[str], None],
) -> None:
    request = _python_request(python)
    venv = [uv, "venv", "--no-project", "--relocatable", "--python", request, str(target)]
    # First without a download. Whether uv may download one after that is for the user's UV_PYTHON_DOWNLOADS to say.
    found, _ = _run_uv([*venv, "--no-python-downloads"], env, deadline, lambda line: None)
    if not found and (own := _find_in_pyenv(request, env)) is not None:
        shutil.rmtree(target, ignore_errors=True)
        words = [str(own) if word == request else word for word in venv]
        found, _ = _run_uv(words, env, deadline, lambda line: None)
    if not found:
        shutil.rmtree(target, ignore_errors=True)
        found, said = _run_uv(venv, env, deadline, log)
        if not found:
            raise EnvironmentBuildError(f"uv found no Python for {python or request}:\n{said}")
    if requirements:
        wanted = add_forgotten(requirements)
        if (lock := EnvironmentLock.of_environment(env)) is not None:
            given = target.with_name("requirements.txt")
            given.write_text(lock.find(requirements, python).packages, encoding="utf-8")
            wanted = ["--require-hashes", "--no-deps", "--requirements", str(given)]
        install = [uv, "pip", "install", "--python", str(_get_interpreter(target)), *wanted]
        installed, said = _run_uv(install, env, deadline, log)
        if not installed:
            raise EnvironmentBuildError(
                f"uv could not make a Python environment with {_list(requirements)}:\n{said}{_explain_network(said)}"
            )
    (target / _COMPLETE_MARK).write_text(json.dumps({"requirements": list(requirements), "python": request}))


def _list(requirements: Sequence[str]) -> str:
    return ", ".join(requirements) or "no requirements"


def _explain_network(said: str) -> str:
    """What to do where uv has reached no package index. uv gives only text."""
    if not _NETWORK_TROUBLE.search(said):
        return ""
    return (
        "\nNo package index can be reached. Name one that this machine reaches with UV_DEFAULT_INDEX (or a proxy with "
        "HTTPS_PROXY), or a Python that has the packages with interpreter= (--interpreter)."
    )


def _run_uv(
    command: Sequence[str], env: Mapping[str, str], deadline: float, log: Callable[[str], None]
) -> tuple[bool, str]:
    # uv would take the caller's own virtual environment for the one to work on.
    own = {name: value for name, value in env.items() if name not in ("VIRTUAL_ENV", "CONDA_PREFIX")}
    own |= {"UV_NO_PROGRESS": "1", "NO_COLOR": "1"}
    outcome = run_child(command, env=own, timeout_seconds=deadline - time.monotonic(), log=log)
    said = "\n".join(outcome.tail)
    if outcome.is_timed_out:
        return False, f"{said}\nuv took too long and was stopped.".lstrip()
    return outcome.exit_code == 0, said

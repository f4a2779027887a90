"""One instance of a job, as its container would be: its files under ``/opt/ml``, its environment, and its launch.

What belongs here: what the kinds of jobs share about an instance. What does not: the contract of one kind.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from airflow_sm_pipelines.engine.jobs.failures import JobFailure
from airflow_sm_pipelines.engine.jobs.image_contents import PATH_REFERENCE, ImageContents, iter_mounts
from airflow_sm_pipelines.engine.jobs.instances import Instance
from airflow_sm_pipelines.engine.jobs.interpreters import make_layer
from airflow_sm_pipelines.engine.jobs.isolation import OPT_ML, IsolationMode
from airflow_sm_pipelines.engine.jobs.process import LaunchPlan
from airflow_sm_pipelines.local_endpoint import (
    LOOPBACK_HOSTS,
    NO_PROXY_VARIABLES,
    PROXY_VARIABLES,
    join_no_proxy,
    join_python_path,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_sm_pipelines.definition import JsonValue
    from airflow_sm_pipelines.engine.jobs.job_spec import JobContext
    from airflow_sm_pipelines.engine.jobs.local_images import LocalImage

PROGRAMS_DIRECTORY = Path(__file__).with_name("programs")
"""The programs that run in the processes of jobs, by their path."""

_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PASSED_PREFIXES = ("PIP_", "UV_")
_PASSED = frozenset(
    {
        "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy",
        "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "LD_LIBRARY_PATH",
    }
)  # fmt: skip
"""``pip install`` in a step needs these to reach the index of the user, and the dynamic linker needs the last one."""
_PASSWORD = re.compile(r"://[^/\s@]+@")
_PASSWORD_NAMES = re.compile(r"UV_(INDEX_.*_(USERNAME|PASSWORD)|PUBLISH_.*)")
"""An index's password, in its address or in a variable of uv's."""
_PYTHON = re.compile(r"/\S*/python(?:3(?:\.\d+)?)?")
_TMP = "/tmp"  # noqa: S108 - a mount point
_SDK_CONFIG = "SchemaVersion: '1.0'\nSageMaker:\n  PythonSDK:\n    Modules:\n      TelemetryOptOut: true\n"
"""Without this, SDK code in a step would post usage data to AWS."""
_HOSTS_FILE = Path("/etc/hosts")
_DIRECTORIES = (
    *("opt-ml", "opt-ml/input", "opt-ml/input/config", "opt-ml/input/data", "opt-ml/model", "opt-ml/output"),
    *("opt-ml/output/data", "opt-ml/code", "opt-ml/config", "opt-ml/processing", "work", "home", "tmp"),
)
"""Of each instance, every one after the one that it is in."""


@dataclass(frozen=True, slots=True)
class Container:
    """The directory of one instance.

    :param host: ``algo-1``.
    :param root: everything of the instance is below it.
    """

    host: str
    root: Path

    @classmethod
    def create(cls, directory: Path, host: str, contents: ImageContents | None = None) -> Container:
        """Make the directories of an instance below the directory of a job.

        :param contents: what the image holds. Without it they are empty.
        """
        container = cls(host, (directory / host).resolve())
        # A job that runs again after a crash must not find the files of its first run.
        shutil.rmtree(container.root, ignore_errors=True)
        container.root.mkdir(parents=True, exist_ok=True)
        for name in _DIRECTORIES:
            with suppress(FileExistsError):
                os.mkdir(f"{container.root}/{name}")  # noqa: PTH102 - pathlib's time counts in that of a short job
        if contents is not None:
            contents.stage(container._place)
        return container

    @classmethod
    def of_job(cls, directory: Path, host: str, contents: ImageContents, *, is_over: bool) -> Container:
        """An instance with the directories of its image; if its program is over, with what that has left there."""
        return cls(host, (directory / host).resolve()) if is_over else cls.create(directory, host, contents)

    @property
    def opt_ml(self) -> Path:
        """The directory that the job sees as ``/opt/ml``."""
        return self.root / "opt-ml"

    def _place(self, path: PurePosixPath) -> Path:
        """Where a file of the image is on this machine."""
        for directory, target in ((self.opt_ml, OPT_ML), (self.root / "tmp", _TMP)):
            if path.is_relative_to(target):
                return directory / path.relative_to(target)
        return self.root / "image" / path.relative_to("/")

    def path_of(self, local_path: str) -> Path:
        """The path on this machine of a path below ``/opt/ml``.

        :raises JobFailure: it is not below ``/opt/ml``.
        """
        path = PurePosixPath(local_path)
        if ".." in path.parts or not path.is_relative_to(OPT_ML):
            raise JobFailure(f"ClientError: the local path '{local_path}' must be below {OPT_ML}.")
        return self.opt_ml / path.relative_to(OPT_ML)

    def write_json(self, local_path: str, value: JsonValue) -> None:
        """Write a configuration file."""
        path = self.path_of(local_path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value), encoding="utf-8")

    def read_text(self, local_path: str, max_characters: int) -> str | None:
        """Read the beginning of a file that the job may have written; None if there is none."""
        path = self.path_of(local_path)
        if path.is_symlink() or not path.is_file():
            return None
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(max_characters).strip() or None

    def plan_instance(
        self,
        argv: Sequence[str],
        *,
        image: LocalImage,
        context: JobContext,
        contract: Mapping[str, str],
        requested: Mapping[str, str],
        hosts: Sequence[str] = (),
        cwd: Path | None = None,
        is_offline: bool = False,
    ) -> Instance:
        """Plan how to start the program of the instance.

        :param contract: the variables that SageMaker sets for this kind of job.
        :param requested: the variables of the request.
        :param hosts: all instances of the job, if they are to find each other by name.
        :param is_offline: whether it has no network (:func:`plan_network`).
        """
        programs = make_layer(image.interpreter, self.root / "layer")
        is_private = context.isolation.has_private_opt_ml
        fallback = (
            {} if is_private else {"SAGEMAKER_BASE_DIR": str(self.opt_ml.parent), "TMPDIR": str(self.root / "tmp")}
        )
        environment = build_environment(
            host=os.environ,
            aws={
                "AWS_ENDPOINT_URL": context.endpoint_url,
                "AWS_REGION": context.region,
                "AWS_DEFAULT_REGION": context.region,
                **context.environment,
            },
            requested={**image.contents.env, **{name: str(value) for name, value in requested.items()}},
            contract={**contract, **fallback},
            home=self.root / "home",
            programs=programs,
            hosts=hosts,
        )
        command = _plan_command(argv, image)
        workdir = str(cwd or image.contents.workdir or self.root / "work")
        mounts = self._mounts(hosts)
        if not is_private:
            # The toolkits append opt/ml to SAGEMAKER_BASE_DIR, so that path leads to the same directory.
            (self.root / "opt").mkdir(exist_ok=True)
            (self.root / "opt" / "ml").symlink_to(self.opt_ml)
            command = [_rewrite_all(part, mounts) for part in command]
            environment = {name: _rewrite_all(value, mounts) for name, value in environment.items()}
            workdir = _rewrite_all(workdir, mounts)
        plan = LaunchPlan(
            argv=tuple(command),
            env=environment,
            cwd=workdir,
            new_mounts=is_private,
            new_user=context.isolation.new_user,
            new_pids=context.isolation.mode is IsolationMode.NAMESPACES,
            new_net=is_offline,
            mounts=mounts if is_private else (),
            keep=(str(self.root), str(PROGRAMS_DIRECTORY), *image.interpreter.prefixes),
        )
        return Instance(self.host, plan, self.root / "launch.json", context.launcher)

    def _mounts(self, hosts: Sequence[str]) -> tuple[tuple[str, str], ...]:
        mounts = [(str(self.opt_ml), OPT_ML), (str(self.root / "tmp"), _TMP)]
        if hosts and _HOSTS_FILE.exists():
            # Each has its own address, so that all instances can listen on the same port.
            names = "".join(f"127.9.0.{number} {host}\n" for number, host in enumerate(hosts, start=1))
            path = self.root / "hosts"
            path.write_text(_HOSTS_FILE.read_text(encoding="utf-8", errors="replace") + "\n" + names)
            mounts.append((str(path), str(_HOSTS_FILE)))
        if (self.root / "image").is_dir():
            mounts += iter_mounts(self.root / "image")
        return tuple(mounts)


def _plan_command(argv: Sequence[str], image: LocalImage) -> list[str]:
    """The command that is started.

    A Python at a place of its own in the image is the job's Python. Packages out of the image's files are installed
    first.
    """
    command = [str(part) for part in argv]
    if command and _PYTHON.fullmatch(command[0]):
        command[0] = "python"
    if not image.contents.installs:
        return command
    lines = [
        f"cd {shlex.quote(folder)} && python -m pip {shlex.join(words)} --quiet"
        for folder, words in image.contents.installs
    ]
    workdir = shlex.quote(image.contents.workdir or "/")
    return ["/bin/sh", "-c", f'{" && ".join(lines)} && cd {workdir} && exec "$@"', "sh", *command]


def build_environment(
    *,
    host: Mapping[str, str],
    aws: Mapping[str, str],
    requested: Mapping[str, str],
    contract: Mapping[str, str],
    home: Path,
    programs: Sequence[Path],
    hosts: Sequence[str] = (),
) -> dict[str, str]:
    """All variables of a job's process.

    :param host: the environment of the engine; only settings for proxies, certificates, pip and uv are taken from it,
        and of these none of :func:`find_password_settings`.
    :param aws: the endpoint, region and local credentials. A request cannot change the endpoint.
    :param requested: ``Environment`` of the job's request.
    :param contract: what SageMaker itself sets for this kind of job.
    :param home: the home directory of the job; a configuration for the SDK is written there.
    :param programs: directories for the front of ``PATH``.
    :param hosts: the instances of the job, which find each other without a proxy.
    """
    left_out = find_password_settings(host)
    environment = {name: value for name, value in _find_settings(host).items() if name not in left_out}
    sdk_config = home / "sagemaker-config.yaml"
    sdk_config.write_text(_SDK_CONFIG)
    environment |= {
        "PATH": ":".join([str(PROGRAMS_DIRECTORY / "bin"), *map(str, programs), _SYSTEM_PATH]),
        "HOME": str(home),
        # As in a container. Without a user the SDKs ask for sudo, which programs/bin has for those who are not root.
        "USER": "root",
        "LOGNAME": "root",
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONUNBUFFERED": "1",
        "PYTHONIOENCODING": "UTF-8",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
        "SAGEMAKER_USER_CONFIG_OVERRIDE": str(sdk_config),
        **aws,
        **contract,
        **requested,
    }
    if own := requested.get("PATH"):
        # Programs of the image before ours, and ours in any case.
        jobs = f"{PROGRAMS_DIRECTORY / 'bin'}:{':'.join(map(str, programs))}:{_SYSTEM_PATH}"
        environment["PATH"] = own.replace(PATH_REFERENCE, jobs) if PATH_REFERENCE in own else f"{own}:{jobs}"
    # A login shell (`bash -l`) reads this machine's /etc/profile, which sets another PATH.
    (home / ".profile").write_text(f"PATH={shlex.quote(environment['PATH'])}\nexport PATH\n")
    environment |= {
        name: value for name, value in aws.items() if name.startswith("AWS_ENDPOINT_URL") or name in PROXY_VARIABLES
    }
    # programs/site/sitecustomize.py keeps calls with explicit AWS addresses on this machine.
    environment["PYTHONPATH"] = join_python_path(requested.get("PYTHONPATH"))
    for name in NO_PROXY_VARIABLES:
        environment[name] = join_no_proxy(LOOPBACK_HOSTS, ",".join(hosts), host.get(name), requested.get(name))
    return environment


def rewrite_paths(text: str, source: Path | str, target: str = OPT_ML) -> str:
    """Replace a path where it is one or the beginning of one."""
    return re.sub(rf"(?<![\w.-]){re.escape(target)}(?=$|[^A-Za-z0-9_.-])", lambda match: str(source), text)


def _rewrite_all(text: str, mounts: Sequence[tuple[str, str]]) -> str:
    for source, target in mounts:
        if target not in (_TMP, str(_HOSTS_FILE)):
            text = rewrite_paths(text, source, target)
    return text


def find_password_settings(host: Mapping[str, str]) -> tuple[str, ...]:
    """The settings of pip and uv that hold an index's password, which no job gets: a step's code is not the user's own.

    :param host: the environment of the engine.
    :return: the names of the variables; ``PIP_CONFIG_FILE`` for the file of the user's that pip would read.
    """
    return tuple(
        name
        for name, value in _find_settings(host).items()
        if name.startswith(_PASSED_PREFIXES)
        and (_PASSWORD_NAMES.fullmatch(name) or _PASSWORD.search(_read_setting(name, value)))
    )


def _find_settings(host: Mapping[str, str]) -> dict[str, str]:
    found = {name: value for name, value in host.items() if name in _PASSED or name.startswith(_PASSED_PREFIXES)}
    if "PIP_CONFIG_FILE" not in found and (settings := _user_pip_configuration(host)):
        found["PIP_CONFIG_FILE"] = str(settings)
    return found


def _read_setting(name: str, value: str) -> str:
    """The text of a setting; of one that names a configuration file, the file's."""
    if not name.endswith("_CONFIG_FILE"):
        return value
    try:
        return Path(value).expanduser().read_text(encoding="utf-8", errors="replace")
    except OSError:
        return value


def _user_pip_configuration(host: Mapping[str, str]) -> Path | None:
    # The job has its own home, so pip would not find the user's settings there.
    home = host.get("HOME")
    if not home:
        return None
    configuration = Path(host.get("XDG_CONFIG_HOME") or Path(home) / ".config")
    for path in (configuration / "pip" / "pip.conf", Path(home) / ".pip" / "pip.conf"):
        if path.is_file():
            return path
    return None

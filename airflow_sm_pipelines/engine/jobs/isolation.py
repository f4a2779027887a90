"""How a job gets an ``/opt/ml`` of its own on this machine. The engine tries it once when it starts.

This keeps jobs apart from each other. It is not a sandbox: a job can read and write what the user of the engine can.

What belongs here: the modes, the probe, and what a job gets in each mode. What does not: running jobs.
"""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_sm_pipelines.engine.jobs.process import Launcher, LaunchPlan

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_PROBE_SECONDS = 20.0
OPT_ML = "/opt/ml"


class IsolationMode(str, Enum):
    """What separates the jobs from each other."""

    NAMESPACES = "namespaces"
    """A private ``/opt/ml`` and ``/tmp``. Every process of a job ends with the job."""

    MOUNTS = "mounts"
    """A private ``/opt/ml`` and ``/tmp``, but the process ids of the machine."""

    PATHS = "paths"
    """No private file system. ``/opt/ml`` is replaced in commands and environment variables only."""


@dataclass(frozen=True, slots=True)
class Isolation:
    """The chosen mode.

    :param sentence: the same for people: what is used, what is missing, and how to get more.
    :param new_user: whether the launcher needs a user namespace; only root does not.
    """

    mode: IsolationMode
    sentence: str
    new_user: bool = False

    @property
    def has_private_opt_ml(self) -> bool:
        """Whether a program that has ``/opt/ml`` written into it works."""
        return self.mode is not IsolationMode.PATHS


def probe_isolation() -> Isolation:
    """Find the best mode that works here by running a program in it. This takes about a tenth of a second.

    For root the first try is without a user namespace: in a user namespace ``tar`` and ``chown`` fail for owners other
    than root, and in SageMaker's containers they do not.
    """
    if sys.platform != "linux":
        return Isolation(IsolationMode.PATHS, _sentence(IsolationMode.PATHS, f"it runs {sys.platform}, not Linux"))
    faults: list[str] = []
    for mode in (IsolationMode.NAMESPACES, IsolationMode.MOUNTS):
        for new_user in (False, True) if os.geteuid() == 0 else (True,):
            fault = _try_mode(mode, new_user=new_user)
            if fault is None:
                return Isolation(mode, _sentence(mode, ""), new_user)
            faults.append(fault)
    return Isolation(IsolationMode.PATHS, _sentence(IsolationMode.PATHS, faults[0]))


def plan_network(isolation: Isolation, hosts: Sequence[str], *, is_offline: bool, note: Callable[[str], None]) -> bool:
    """Whether a job with ``EnableNetworkIsolation`` gets a network of its own, which leads nowhere.

    Instances of one job find each other through this machine's network, so several cannot do without it.

    :param is_offline: what the request says.
    :param note: takes the line that says that it has no effect.
    """
    if not is_offline:
        return False
    if len(hosts) > 1:
        note("WARNING: EnableNetworkIsolation has no effect here on a job of several instances.")
    elif not isolation.has_private_opt_ml:
        note("WARNING: EnableNetworkIsolation has no effect here: this machine has no namespaces for jobs.")
    else:
        return True
    return False


def _try_mode(mode: IsolationMode, *, new_user: bool) -> str | None:
    """Why a program in this mode does not see its own ``/opt/ml``; None if it does."""
    with tempfile.TemporaryDirectory(prefix="sm-pipelines-probe-", ignore_cleanup_errors=True) as name:
        directory = Path(name).resolve()
        opt_ml, tmp = directory / "opt-ml", directory / "tmp"
        opt_ml.mkdir()
        tmp.mkdir()
        plan = LaunchPlan(
            argv=("/bin/sh", "-c", f"echo $$ > {OPT_ML}/probe && echo > /tmp/probe"),
            env={"PATH": os.defpath},
            cwd="/",
            new_mounts=True,
            new_user=new_user,
            new_pids=mode is IsolationMode.NAMESPACES,
            mounts=((str(opt_ml), OPT_ML), (str(tmp), "/tmp")),  # noqa: S108 - the mount point, not a file
            keep=(str(directory),),
        )
        launcher = Launcher()
        try:
            process = launcher.start(plan, directory / "launch.json")
        except OSError as error:
            return str(error)
        try:
            end = process.wait(_PROBE_SECONDS)
        finally:
            process.close()
            launcher.close()
        if end is None:
            return "the probe did not end"
        if end.error or end.exit_code != 0:
            return end.error or f"the probe ended with exit code {end.exit_code}"
        if not (opt_ml / "probe").exists() or not (tmp / "probe").exists():
            return "the probe's file did not arrive in the private directory"
    return None


def _sentence(mode: IsolationMode, fault: str) -> str:
    if mode is IsolationMode.NAMESPACES:
        return "Each job has its own /opt/ml, /tmp and process ids (Linux namespaces)."
    if mode is IsolationMode.MOUNTS:
        return (
            "Each job has its own /opt/ml and /tmp (Linux mount namespace), but shares process ids with this machine: "
            "a process that leaves its session is found by its parents and killed, not by the kernel."
        )
    return (
        f"Jobs have no /opt/ml of their own, as this machine refuses private mounts ({fault.rstrip('.')}). /opt/ml "
        "is rewritten in commands and environment variables, so programs that take their paths from arguments or SM_* "
        "variables work; programs with /opt/ml written into them, such as SDK v3's drivers, do not. To enable it: on "
        "Ubuntu `sysctl kernel.apparmor_restrict_unprivileged_userns=0`; in Docker run the container with `--cap-add "
        "SYS_ADMIN --security-opt apparmor=unconfined`; on macOS use a Linux container."
    )

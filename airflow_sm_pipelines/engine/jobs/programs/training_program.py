"""Runs a user's training script as the SageMaker training toolkit does inside framework containers ("script mode").

It is run by path; standard library of Python 3.7 only. With the argument ``module`` it takes ``train`` for
``train.py``, as the XGBoost container does, whose older toolkit runs modules. Source of the contract:
aws/sagemaker-training-toolkit (environment.py, mapping.py, entry_point.py, errors.py) at 33839372. MPI, parameter
servers and the debugger are not supported.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path
from typing import Any

_BASE = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/")) / "opt" / "ml"
_SDK_PARAMETERS = {
    "sagemaker_program", "sagemaker_submit_directory", "sagemaker_enable_cloudwatch_metrics", "sagemaker_region",
    "sagemaker_container_log_level", "sagemaker_job_name", "default_user_module_name", "_tuning_objective_metric",
    "sagemaker_s3_output",
}  # fmt: skip
_MESSAGE_CHARACTERS = 700


class ScriptError(Exception):
    """The script failed or could not be run; the text is written to ``/opt/ml/output/failure``."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def main() -> int:
    """Run the script, and give its exit code."""
    runs_modules = sys.argv[1:] == ["module"]
    # The whole process group gets SIGTERM. The script decides what to do, and this program reports how it ends.
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    try:
        parameters = _decode(_read_json("hyperparameters.json"))
        program = str(parameters.get("sagemaker_program") or os.environ["SAGEMAKER_PROGRAM"])
        code = _BASE / "code"
        if runs_modules and not (code / program).exists() and (code / f"{program}.py").is_file():
            program += ".py"
        _check_program(code, program)
        arguments = to_arguments(_user_parameters(parameters))
        environment = {**os.environ, **to_environment(make_variables(parameters, program, code, arguments))}
        python_path = [str(code), environment.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, python_path))
        _install_requirements(code, environment)
        command = _command(code, program, arguments)
        print(f"Invoking script with the following command:\n\n{_join(command)}\n", flush=True)
        _run(command, code, environment, "ExecuteUserScriptError")
    except ScriptError as error:
        failure = _BASE / "output" / "failure"
        if not failure.exists():
            failure.write_text(str(error), encoding="utf-8")
        return error.exit_code
    return 0


def make_variables(parameters: dict[str, Any], program: str, code: Path, arguments: list[str]) -> dict[str, Any]:
    """The variables of the toolkit by their names without ``SM_``."""
    resources, channels = _read_json("resourceconfig.json"), _read_json("inputdataconfig.json")
    user = _user_parameters(parameters)
    groups = resources.get("instance_groups", [])
    group = resources.get("current_group_name", "homogeneousCluster")
    variables: dict[str, Any] = {
        "hosts": resources["hosts"],
        "network_interface_name": resources.get("network_interface_name"),
        "hps": user,
        "user_entry_point": program,
        "framework_params": {name: value for name, value in parameters.items() if name not in user},
        "resource_config": resources,
        "input_data_config": channels,
        "output_data_dir": str(_BASE / "output" / "data"),
        "channels": sorted(channels),
        "current_host": resources["current_host"],
        "current_instance_type": resources.get("current_instance_type"),
        "current_instance_group": group,
        "current_instance_group_hosts": next(
            (entry["hosts"] for entry in groups if entry["instance_group_name"] == group), resources["hosts"]
        ),
        "instance_groups": [entry["instance_group_name"] for entry in groups],
        "instance_groups_dict": {entry["instance_group_name"]: entry for entry in groups},
        "distribution_instance_groups": [],
        "is_hetero": len(groups) > 1,
        "module_name": program[:-3] if program.endswith(".py") else program,
        "log_level": int(parameters.get("sagemaker_container_log_level", 20)),
        "framework_module": os.environ.get("SAGEMAKER_TRAINING_MODULE", ""),
        "input_dir": str(_BASE / "input"),
        "input_config_dir": str(_BASE / "input" / "config"),
        "output_dir": str(_BASE / "output"),
        "num_cpus": os.cpu_count() or 1,
        "num_gpus": 0,
        "num_neurons": 0,
        "model_dir": str(_BASE / "model"),
        "module_dir": str(parameters.get("sagemaker_submit_directory", code)),
        "output_intermediate_dir": str(_BASE / "output" / "intermediate"),
        "job_name": os.environ.get("TRAINING_JOB_NAME", ""),
        "is_master": resources["current_host"] == sorted(resources["hosts"])[0],
        "master_hostname": sorted(resources["hosts"])[0],
    }
    paths = {name: str(_BASE / "input" / "data" / name) for name in channels}
    variables["training_env"] = {
        **variables,
        "channel_input_dirs": paths,
        "hyperparameters": user,
        "additional_framework_parameters": variables["framework_params"],
        "job_name": variables["job_name"],
    }
    # These are not variables of the toolkit, only parts of SM_TRAINING_ENV.
    for name in ("job_name", "is_master", "master_hostname"):
        del variables[name]
    variables["user_args"] = arguments
    variables.update({f"channel_{name}": path for name, path in paths.items()})
    return {**variables, **{f"hp_{name}": value for name, value in user.items()}}


def to_environment(values: dict[str, Any]) -> dict[str, str]:
    """Values as environment variables of the toolkit (``mapping.to_env_vars``)."""

    def encode(value: Any) -> str:
        if value is None:
            return ""
        return value if isinstance(value, str) else json.dumps(value, sort_keys=True, separators=(",", ":"))

    return {f"SM_{name.upper()}": encode(value) for name, value in values.items()}


def to_arguments(parameters: dict[str, Any]) -> list[str]:
    """Hyperparameters as the command line of the toolkit (``mapping.to_cmd_args``)."""
    arguments = []
    for name in sorted(parameters):
        value = parameters[name]
        if isinstance(value, dict):
            value = ",".join(f"{key}={item}" for key, item in sorted(value.items()))
        arguments += [f"--{name}" if len(name) > 1 else f"-{name}", "" if value is None else str(value)]
    return arguments


def _user_parameters(parameters: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in parameters.items()
        if name not in _SDK_PARAMETERS and not name.startswith("sagemaker_")
    }


def _read_json(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((_BASE / "input" / "config" / name).read_text(encoding="utf-8"))
    return content


def _decode(parameters: dict[str, str]) -> dict[str, Any]:
    decoded: dict[str, Any] = {}
    for name, value in parameters.items():
        try:
            decoded[name] = json.loads(value)
        except ValueError:
            decoded[name] = value
    return decoded


def _check_program(code: Path, program: str) -> None:
    if not (code / program).exists() and not (code / "setup.py").exists():
        there = ", ".join(sorted(path.name for path in code.iterdir())) or "nothing"
        raise ScriptError(
            f"ImportModuleError: the entry point '{program}' is not in the source directory, which holds {there}."
        )


def _install_requirements(code: Path, environment: dict[str, str]) -> None:
    pip = [sys.executable, "-m", "pip", "install"]
    if (code / "setup.py").exists():
        _run([*pip, ".", "-U"], code, environment, "InstallModuleError")
    if (code / "requirements.txt").exists():
        _run([*pip, "-r", "requirements.txt"], code, environment, "InstallRequirementsError")


def _command(code: Path, program: str, arguments: list[str]) -> list[str]:
    if (code / "setup.py").exists():
        return [sys.executable, "-m", program[:-3] if program.endswith(".py") else program, *arguments]
    if program.endswith(".py"):
        return [sys.executable, program, *arguments]
    (code / program).chmod(0o755)
    return ["/bin/sh", "-c", _join([f"./{program}", *arguments])]


def _run(command: list[str], code: Path, environment: dict[str, str], error_name: str) -> None:
    tail: deque[str] = deque(maxlen=30)
    with subprocess.Popen(command, cwd=code, env=environment, stderr=subprocess.PIPE) as child:
        reader = threading.Thread(target=_tee, args=(child.stderr, tail), daemon=True)
        reader.start()
        exit_code = child.wait()
        # A process that the script left behind may hold the pipe.
        reader.join(2)
    if exit_code:
        said = "".join(tail)
        start = said.rfind("Traceback (most recent call last)")
        message = (said[start:] if start >= 0 else said).strip()[-_MESSAGE_CHARACTERS:]
        how = f"ExitCode {exit_code}" if exit_code > 0 else f"killed by {signal.Signals(-exit_code).name}"
        # Python puts its own path before what it says itself, such as "No module named pip".
        if message.startswith(f"{command[0]}: "):
            message = message[len(command[0]) + 2 :]
        raise ScriptError(
            f'{error_name}:\n{how}\nErrorMessage "{message}"\nCommand "{_join(command)}"',
            exit_code if exit_code > 0 else 128 - exit_code,
        )


def _join(command: list[str]) -> str:
    return " ".join(map(shlex.quote, command))  # Python 3.7 has no join for this


def _tee(stream: Any, tail: deque[str]) -> None:
    for line in iter(stream.readline, b""):
        sys.stderr.buffer.write(line)
        sys.stderr.buffer.flush()
        tail.append(line.decode("utf-8", errors="replace"))


if __name__ == "__main__":
    sys.exit(main())

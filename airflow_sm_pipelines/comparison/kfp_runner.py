"""Runs a pipeline of Kubeflow with ``kfp.local``, and writes what its tasks did. Started by path in a Python with kfp.

It imports nothing of ours. A task that is made to fail does not run.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any


class _Notes:
    """What the tasks of one run did.

    :ivar failing: the tasks that are made to fail.
    """

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.failing: list[str] = []


def watch(notes: _Notes) -> None:
    """Have kfp.local tell of each task that it runs."""
    from kfp.local import status  # type: ignore[import-not-found]
    from kfp.local.orchestrator import task_executor  # type: ignore[import-not-found]

    execute = task_executor.execute_single_task

    def watched(**given: Any) -> Any:
        name, spec = given["task_name"], given["task_spec"]
        component = given["components"][spec.component_ref.name]
        if given["executors"][component.executor_label].WhichOneof("spec") == "importer":
            return execute(**given)
        if name in notes.failing:
            outputs, ended = {}, status.Status.FAILURE
        else:
            outputs, ended = execute(**given)
        is_failure = ended == status.Status.FAILURE
        values = {key: value for key, value in outputs.items() if not hasattr(value, "uri")}
        files = {key: describe_artifact(value) for key, value in outputs.items() if hasattr(value, "uri")}
        event = {"task": name, "component": spec.component_ref.name, "values": values, "artifacts": files}
        notes.events.append({**event, "is_failure": is_failure})
        return outputs, ended

    task_executor.execute_single_task = watched


def describe_artifact(artifact: Any) -> dict[str, Any]:
    """An artifact's type, metadata and content."""
    path = Path(getattr(artifact, "custom_path", None) or artifact.path)
    files = sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path] * path.is_file()
    content = [(str(one.relative_to(path)), hashlib.sha256(one.read_bytes()).hexdigest()) for one in files]
    return {"metadata": dict(artifact.metadata), "files": dict(content)}


def main() -> None:
    """Run the pipeline once for each script. The arguments are two files: the request, and where the answer goes."""
    from kfp import components, local  # type: ignore[import-not-found]

    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    root = Path(sys.argv[1]).parent
    notes, found = _Notes(), []
    watch(notes)
    for number, script in enumerate(request["scripts"]):
        Path(request["seed_file"]).write_text(str(script["seed"]), encoding="utf-8")
        notes.events, notes.failing = [], script["failing"]
        local.init(
            runner=local.SubprocessRunner(use_venv=False),
            pipeline_root=str(root / f"outputs-{number}"),
            raise_on_error=True,
        )
        pipeline = components.load_component_from_text(request["pipeline"])
        end, reason = "success", ""
        try:
            pipeline(**script["input"])
        except (RuntimeError, TypeError, ValueError, LookupError, NotImplementedError) as error:
            end, reason = "failed", f"{type(error).__name__}: {error}"
        found.append({"events": notes.events, "end": end, "reason": reason})
    Path(sys.argv[2]).write_text(json.dumps({"runs": found}, default=str), encoding="utf-8")


if __name__ == "__main__":
    main()

"""Runs a notebook as ``amazon_sagemaker_scheduler`` does in the image of NotebookJob steps.

It is run by path, without arguments, in an environment with nbclient and ipykernel. Source: SDK v2, ``NotebookJobStep``
(the variables and hyperparameters that it sets). As in Papermill, parameters go into a cell of their own after the cell
with the tag ``parameters``. If the job succeeds, ``output.tar.gz`` has the notebook with its outputs. What the cells
print is always in the log.

What differs: the kernel is the Python of this environment, whatever ``SM_KERNEL_NAME`` says, and there is no start-up
script.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

_BASE = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/")) / "opt" / "ml"
_SETTINGS = ("default_s3_bucket", "initialization_script", "sagemaker_")


def main() -> int:
    """Run the notebook, and give the exit code."""
    import nbformat  # type: ignore[import-not-found]
    from nbclient import NotebookClient  # type: ignore[import-not-found]
    from nbclient.exceptions import CellExecutionError  # type: ignore[import-not-found]

    source = Path(os.environ["SM_EXECUTION_INPUT_PATH"])
    work = _BASE / "code" / "notebook"
    shutil.copytree(source, work, dirs_exist_ok=True)
    notebook = nbformat.read(work / os.environ["SM_INPUT_NOTEBOOK_NAME"], as_version=4)
    inject_parameters(notebook, read_parameters(), nbformat.v4.new_code_cell)
    output = _BASE / "output" / "data" / os.environ["SM_OUTPUT_NOTEBOOK_NAME"]
    output.parent.mkdir(parents=True, exist_ok=True)
    try:
        NotebookClient(notebook, timeout=None, kernel_name="python3", resources={"metadata": {"path": work}}).execute()
    except CellExecutionError as error:
        print(error, file=sys.stderr, flush=True)
        (_BASE / "output" / "failure").write_text(
            f"AlgorithmError: the notebook failed: {error.ename}: {error.evalue}", encoding="utf-8"
        )
        return 1
    finally:
        nbformat.write(notebook, output)
        _print_outputs(notebook)
    return 0


def read_parameters() -> dict[str, str]:
    """The parameters of the notebook: the hyperparameters that are not settings of the scheduler."""
    path = _BASE / "input" / "config" / "hyperparameters.json"
    given: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return {name: value for name, value in given.items() if not name.startswith(_SETTINGS)}


def inject_parameters(notebook: Any, parameters: dict[str, str], new_cell: Any) -> None:
    """Insert a cell that sets the parameters: after the tagged cell, or at the beginning."""
    if not parameters:
        return
    text = "# Parameters\n" + "".join(f"{name} = {value!r}\n" for name, value in sorted(parameters.items()))
    tagged = [n for n, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", [])]
    notebook.cells.insert(tagged[0] + 1 if tagged else 0, new_cell(text, metadata={"tags": ["injected-parameters"]}))


def _print_outputs(notebook: Any) -> None:
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            if output.get("output_type") == "stream":
                print(output["text"], end="", flush=True)


if __name__ == "__main__":
    sys.exit(main())

"""Runs ``sm-pipelines`` in a Python where this package is not installed: loads it from the folder that this file is in.

It is run by its path. Only this one package becomes importable, nothing else that is installed beside it.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

PACKAGE = "airflow_sm_pipelines"

if __name__ == "__main__":
    folder = Path(__file__).resolve().parents[1]
    spec = importlib.util.spec_from_file_location(
        PACKAGE, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None and spec.loader is not None  # noqa: PT018, S101 - for the type checker
    module = importlib.util.module_from_spec(spec)
    sys.modules[PACKAGE] = module
    spec.loader.exec_module(module)
    from airflow_sm_pipelines.cli import main

    sys.exit(main())

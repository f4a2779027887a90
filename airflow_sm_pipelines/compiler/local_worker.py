"""Runs a script of the SDK's local mode on the local endpoint. It is run by path in the SDK's interpreter.

Usage: ``local_worker.py SCRIPT ARGUMENT...``. ``worker.py`` explains how the modules beside the SDK are loaded.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path

_PACKAGE = "_sm_pipelines_sdk_side"


def main() -> int:
    """Load ``sdk_side`` under a name that no script has, and let it run the script."""
    folder = Path(__file__).absolute().with_name("sdk_side")
    spec = importlib.util.spec_from_file_location(
        _PACKAGE, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None  # noqa: S101 - the file lies beside this one
    sys.modules[_PACKAGE] = importlib.util.module_from_spec(spec)
    code: int = importlib.import_module(f"{_PACKAGE}.local_main").main()
    return code


if __name__ == "__main__":
    sys.exit(main())

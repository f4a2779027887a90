"""Builds one pipeline in the interpreter that has the SageMaker SDK. It is run by path and never imported.

It imports nothing of this package by name, because its interpreter has only the user's requirements. It loads the
modules of ``sdk_side`` by path. It reads one JSON document and writes one JSON document; stdout and stderr belong to
the SDK and the script. Usage: ``worker.py REQUEST ANSWER``.
"""

from __future__ import annotations

import sys

del sys.path[:1]  # this file's folder; nothing is imported from there by name

import importlib  # noqa: E402
import importlib.util  # noqa: E402
from pathlib import Path  # noqa: E402

_PACKAGE = "_sm_pipelines_sdk_side"


def main() -> int:
    """Load ``sdk_side`` under a name that no script has, and run its main function."""
    folder = Path(__file__).with_name("sdk_side")
    spec = importlib.util.spec_from_file_location(
        _PACKAGE, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None  # noqa: S101 - the file lies beside this one
    sys.modules[_PACKAGE] = importlib.util.module_from_spec(spec)
    code: int = importlib.import_module(f"{_PACKAGE}.build_main").main()
    return code


if __name__ == "__main__":
    sys.exit(main())

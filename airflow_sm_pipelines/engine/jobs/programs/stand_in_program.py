"""Calls a stand-in. This file is the whole code of a function, and its handler calls the function of the user.

It runs in the stand-in's own process. Standard library only.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any


def handler(event: dict[str, Any], context: Any) -> Any:
    """Load the user's file, and call the function in it with the step."""
    sys.path.insert(0, str(Path(event["file"]).parent))
    spec = importlib.util.spec_from_file_location("stand_in", event["file"])
    if spec is None or spec.loader is None:
        raise ImportError(f"{event['file']} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules["stand_in"] = module
    spec.loader.exec_module(module)
    return getattr(module, event["function"])(event["step"])

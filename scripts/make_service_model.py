"""Makes the model of the SageMaker API that this package carries, from the installed botocore.

It keeps operations, shapes and constraints, and leaves out prose, errors and HTTP. Run it after ``make lock``.
"""

from __future__ import annotations

import gzip
import json
from typing import Any

from airflow_sm_pipelines.service_model.api_model import CARRIED_MODEL, read_installed_model, read_installed_version

_SHAPE_KEYS = ("type", "required", "min", "max", "pattern", "enum", "union")


def trim_model(document: Any, version: str) -> dict[str, Any]:
    """The part of botocore's model that a judge needs."""
    operations = {
        name: {side: {"shape": operation[side]["shape"]} for side in ("input", "output") if side in operation}
        for name, operation in document["operations"].items()
    }
    return {
        "botocore": version,
        "operations": operations,
        "shapes": {name: _trim_shape(shape) for name, shape in document["shapes"].items()},
    }


def _trim_shape(shape: Any) -> dict[str, Any]:
    kept = {key: shape[key] for key in _SHAPE_KEYS if key in shape}
    if "members" in shape:
        kept["members"] = {name: {"shape": member["shape"]} for name, member in shape["members"].items()}
    return kept | {part: {"shape": shape[part]["shape"]} for part in ("member", "key", "value") if part in shape}


def main() -> None:
    """Write the file."""
    version = read_installed_version()
    text = json.dumps(trim_model(read_installed_model(), version), separators=(",", ":"))
    # No time in the file: the same model gives the same bytes.
    CARRIED_MODEL.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    print(f"{CARRIED_MODEL.name}: the model of botocore {version}, {CARRIED_MODEL.stat().st_size} bytes")


if __name__ == "__main__":
    main()

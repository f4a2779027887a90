"""The pipeline of ``dags/pipelines/gate``, whose outcome a score decides, for tests of versions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

ROLE = "arn:aws:iam::123456789012:role/SageMakerExecution"


def definition(repository: Path, score: float) -> str:
    found: dict[str, Any] = json.loads((repository / "dags/pipelines/gate/definition.json").read_text())
    found["Parameters"][0]["DefaultValue"] = score
    return json.dumps(found)

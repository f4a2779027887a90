"""Reads payloads from a file and writes the answers to another one. A payload is a line of JSON, and then its bytes.

The programs in this directory import it; standard library of Python 3.7 only. The engine's side is
``jobs/transform.py``.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

BASE = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/")) / "opt" / "ml"


class ServingError(Exception):
    """The model cannot serve; the text tells its author why, and begins with the class of the error."""


def serve_file(
    payloads: str, answers: str, invoke: Callable[[bytes, str | None, str | None], tuple[bytes, Any]]
) -> int:
    """Answer every payload in order, and give the exit code. A failure is written to ``/opt/ml/output/failure``.

    :param invoke: gets the body, the content type and the accepted type; gives the body and content type of the answer.
    """
    number = 0
    try:
        with Path(payloads).open("rb") as source, Path(answers).open("wb") as target:
            for line in iter(source.readline, b""):
                number += 1
                headers = json.loads(line)
                body, content_type = invoke(source.read(headers["size"]), headers["content_type"], headers["accept"])
                head = {"content_type": content_type, "accept": headers["accept"], "size": len(body)}
                target.write(json.dumps(head).encode() + b"\n" + body)
    except ServingError as error:
        return fail(str(error))
    except Exception as error:  # noqa: BLE001 - whatever the model's code raises fails the job
        traceback.print_exc()
        return fail(f"AlgorithmError: payload {number}: {type(error).__name__}: {error}")
    print(f"Answered {number} payload(s)", flush=True)
    return 0


def fail(text: str) -> int:
    """Write the reason of a failure to where the engine reads it, and give the exit code."""
    print(text, file=sys.stderr, flush=True)
    path = BASE / "output" / "failure"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return 1

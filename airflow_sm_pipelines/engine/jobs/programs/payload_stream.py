"""Brings payloads to a model and its answers back. A payload is a line of JSON, and then its bytes; so is an answer.

In a batch transform they come from a file and go to another one; the engine's side is ``jobs/transform.py``. Behind an
endpoint they come through a socket, one to a connection, and an answer has an HTTP status; the engine's side is
``jobs/served_model.py``. The programs in this directory import it; standard library of Python 3.7 only.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

BASE = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/")) / "opt" / "ml"


class ServingError(Exception):
    """The model cannot serve; the text tells its author why, and begins with the class of the error.

    :param status: the HTTP status for the caller of an endpoint; by default that of the class.
    :param said: what the model's own server said.
    """

    def __init__(self, text: str, *, status: int | None = None, said: bytes | None = None) -> None:
        super().__init__(text)
        self.status = status or (400 if text.startswith("ClientError") else 500)
        plain = text.partition(": ")[2] if text.startswith(("ClientError: ", "AlgorithmError: ")) else text
        self.said = plain.encode() if said is None else said


def serve(
    payloads: str,
    answers: str,
    invoke: Callable[[bytes, str | None, str | None], tuple[bytes, Any]],
    *,
    is_parallel: bool = False,
) -> int:
    """Answer every payload, and give the exit code.

    :param answers: the file for the answers. Where it is empty, `payloads` is a socket to listen on.
    :param invoke: gets the body, the content type and the accepted type; gives the body and content type of the answer.
    :param is_parallel: whether payloads that come through a socket may be answered at the same time.
    """
    if answers:
        return serve_file(payloads, answers, invoke)
    _serve_socket(payloads, invoke, is_parallel=is_parallel)
    return 0


def _serve_socket(path: str, invoke: Callable[..., tuple[bytes, Any]], *, is_parallel: bool) -> None:
    """Answer payloads until this process is ended."""
    listener = socket.socket(socket.AF_UNIX)
    # The address of a socket is short, so it is a name in the working directory.
    directory, name = os.path.split(path)
    before = Path.cwd()
    os.chdir(directory)
    listener.bind(name)
    os.chdir(before)
    listener.listen(128)
    while True:
        connection, _ = listener.accept()
        if is_parallel:
            threading.Thread(target=_answer, args=(connection, invoke), daemon=True).start()
        else:
            _answer(connection, invoke)


def _answer(connection: socket.socket, invoke: Callable[..., tuple[bytes, Any]]) -> None:
    with connection, connection.makefile("rwb") as stream:
        try:
            line = stream.readline()
            if not line:
                return  # the engine has only asked whether somebody listens
            headers = json.loads(line)
            body, content_type = invoke(stream.read(headers["size"]), headers["content_type"], headers["accept"])
            status = 200
        except ServingError as error:
            print(str(error), file=sys.stderr, flush=True)
            body, content_type, status = error.said, "text/plain", error.status
        except Exception as error:  # noqa: BLE001 - whatever the model's code raises is an answer
            traceback.print_exc()
            body, content_type, status = f"{type(error).__name__}: {error}".encode(), "text/plain", 500
        try:
            head = {"status": status, "content_type": content_type, "size": len(body)}
            stream.write(json.dumps(head).encode() + b"\n" + body)
            stream.flush()
        except OSError:
            pass  # the caller waits no longer


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

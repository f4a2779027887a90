"""Calls a Lambda function's handler as the Lambda runtime does.

It is run by path in the function's own process, as ``function_program.py EVENT RESULT``. Both are files; the second
gets ``{"result": ...}`` or the runtime's ``{"errorMessage", "errorType", "stackTrace"}``. Standard library only.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
import traceback
from pathlib import Path
from typing import Any


class LambdaContext:
    """The context object of a handler, from the variables that the runtime sets."""

    def __init__(self, request_id: str, deadline: float) -> None:
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = os.environ["AWS_LAMBDA_FUNCTION_VERSION"]
        self.memory_limit_in_mb = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self.log_group_name = os.environ["AWS_LAMBDA_LOG_GROUP_NAME"]
        self.log_stream_name = os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]
        self.invoked_function_arn = os.environ["SM_PIPELINES_FUNCTION_ARN"]
        self.aws_request_id = request_id
        self.identity = None
        self.client_context = None
        self._deadline = deadline

    def get_remaining_time_in_millis(self) -> int:
        """The milliseconds that are left before the function is ended."""
        return max(0, int((self._deadline - time.monotonic()) * 1000))


def main(event_path: str, result_path: str) -> int:
    """Run the handler once, and give the exit code."""
    envelope = json.loads(Path(event_path).read_text(encoding="utf-8"))
    deadline = time.monotonic() + float(os.environ["SM_PIPELINES_FUNCTION_SECONDS"])
    layers = Path(os.environ["SM_PIPELINES_FUNCTION_LAYERS"]) / "python"
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    sys.path[:0] = [os.environ["LAMBDA_TASK_ROOT"], str(layers / "lib" / version / "site-packages"), str(layers)]
    try:
        handler = _find_handler(os.environ["_HANDLER"])
        result = handler(envelope["event"], LambdaContext(envelope["request_id"], deadline))
        try:
            answer = json.dumps({"result": result})
        except (TypeError, ValueError) as error:
            raise _MarshalError(f"Unable to marshal response: {error}") from error
        code = 0
    except BaseException as error:  # noqa: BLE001 - the runtime reports whatever a handler raises, SystemExit too
        name = "Runtime.MarshalError" if isinstance(error, _MarshalError) else _error_type(error)
        frames = [line for line in traceback.format_tb(error.__traceback__) if __file__ not in line]
        answer = json.dumps({"errorMessage": str(error), "errorType": name, "stackTrace": frames})
        print(f"[ERROR] {name}: {error}\n" + "Traceback (most recent call last):\n" + "".join(frames), flush=True)
        code = 1
    Path(result_path).write_text(answer, encoding="utf-8")
    return code


class _MarshalError(Exception):
    pass


class _HandlerNotFoundError(Exception):
    pass


def _error_type(error: BaseException) -> str:
    if isinstance(error, _HandlerNotFoundError):
        return "Runtime.HandlerNotFound"
    return type(error).__name__


def _find_handler(name: str) -> Any:
    module_name, _, function_name = name.rpartition(".")
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ModuleNotFoundError as error:
        if error.name and module_name.startswith(error.name):
            message = f"Unable to import module '{module_name}': the function's code has no such module"
            raise _HandlerNotFoundError(message) from error
        raise
    if not hasattr(module, function_name):
        raise _HandlerNotFoundError(f"Handler '{function_name}' missing on module '{module_name}'")
    return getattr(module, function_name)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))

"""Lambda functions from their real deployment packages."""

from __future__ import annotations

import io
import tempfile
import threading
import zipfile
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.engine.jobs import FunctionOutcome, FunctionSpec, JobContext, run_function
from airflow_sm_pipelines.engine.jobs.function import sweep_directories
from tests.durability.whole_server import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.engine.jobs.conftest import RecordedLog

Call = Callable[..., FunctionOutcome]


def package(files: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zipped:
        for name, text in files.items():
            zipped.writestr(name, text)
    return buffer.getvalue()


@pytest.fixture
def call(context: JobContext) -> Call:
    def call(source: str | bytes, event: Any = None, **changes: Any) -> FunctionOutcome:
        code = source if isinstance(source, bytes) else package({"app.py": source})
        arn = "arn:aws:lambda:us-east-1:123456789012:function:f"
        options: dict[str, Any] = {
            "runtime": "python3.12",
            "handler": "app.handler",
            "code_zip": code,
            "timeout_seconds": 20,
        }
        return run_function(FunctionSpec(arn, "f", **(options | changes)), event, context, threading.Event())

    return call


def test_a_handler_gets_event_context_and_environment(call: Call, log: RecordedLog) -> None:
    source = (
        "import os\n"
        "def handler(event, context):\n"
        "    print('hello from', context.function_name)\n"
        "    assert 0 < context.get_remaining_time_in_millis() <= 20000\n"
        "    return {'sum': sum(event['values']), 'mode': os.environ['MODE'], 'arn': context.invoked_function_arn}\n"
    )
    outcome = call(source, {"values": [1, 2]}, environment={"MODE": "test"})
    assert outcome.status == "Completed", outcome
    assert outcome.result == {"sum": 3, "mode": "test", "arn": "arn:aws:lambda:us-east-1:123456789012:function:f"}
    assert "hello from f" in log.lines


def test_a_package_can_be_a_file_with_folders(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "code.zip"
    path.write_bytes(
        package(
            {
                "pkg/__init__.py": "",
                "pkg/app.py": "from pkg.other import x\ndef go(e, c): return x",
                "pkg/other.py": "x = 5",
            }
        )
    )
    outcome = call("", code_zip=path, handler="pkg.app.go")
    assert outcome.result == 5, outcome


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("def handler(e, c): raise ValueError('no such model')", "ValueError: no such model"),
        ("def other(e, c): pass", "Runtime.HandlerNotFound: Handler 'handler' missing on module 'app'"),
        ("def handler(e, c): return {1, 2}", "Runtime.MarshalError: Unable to marshal response: Object of type set"),
        ("import no_such_library", "ModuleNotFoundError: No module named 'no_such_library'"),
        ("import os\ndef handler(e, c): os._exit(3)", "Function 'f' ended with exit code 3."),
        ("import os\ndef handler(e, c): os.kill(os.getpid(), 9)", "Function 'f' was killed by SIGKILL"),
    ],
    ids=["raises", "no-handler", "not-json", "import", "exit", "killed"],
)
def test_a_failing_function_says_why(call: Call, source: str, error: str) -> None:
    outcome = call(source)
    assert outcome.status == "Failed"
    assert outcome.error is not None
    assert outcome.error.startswith(error)


def test_lambdas_own_error_object_is_the_result(call: Call) -> None:
    outcome = call("def handler(e, c): raise ValueError('no such model')")
    assert isinstance(outcome.result, dict)
    assert outcome.result["errorType"] == "ValueError"
    assert "app.py" in str(outcome.result["stackTrace"])


def test_a_function_past_its_time_is_ended(call: Call) -> None:
    outcome = call("import time\ndef handler(e, c): time.sleep(60)", timeout_seconds=1)
    assert outcome.error == "Task timed out after 1.00 seconds"


def test_a_runtime_that_is_not_python_is_refused(call: Call) -> None:
    outcome = call("", runtime="nodejs22.x")
    assert outcome.error == "The runtime 'nodejs22.x' of function 'f' does not run locally, only Python 3 ones do."


def test_a_package_that_points_outside_is_not_unpacked(call: Call) -> None:
    outcome = call(package({"../escape.py": ""}))
    assert outcome.error is not None
    assert "'../escape.py', which points outside the archive" in outcome.error
    assert "not a zip" in str(call(b"junk").error)


def test_what_a_killed_engine_s_calls_left_is_swept_and_what_runs_is_left_alone(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left = tmp_path / "sm-pipelines-function-left"
    left.mkdir()
    (left / "lock").touch()
    other = tmp_path / "sm-pipelines-function-of-somebody"
    other.mkdir()
    source = "import time\ndef handler(event, context):\n    time.sleep(0.5)\n    return 1\n"
    thread = threading.Thread(target=lambda: results.append(call(source)))
    results: list[FunctionOutcome] = []
    thread.start()
    wait_for(lambda: len(list(tmp_path.glob("*/lock"))) == 2, "the call has its directory")
    sweep_directories()
    assert not left.exists()
    assert other.exists()
    thread.join(60)
    assert (results[0].result, results[0].error) == (1, None)
    assert list(tmp_path.iterdir()) == [other]

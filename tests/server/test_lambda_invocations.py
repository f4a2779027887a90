"""A function that is invoked through Lambda's API runs as it does for a Lambda step."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import botocore.exceptions
import pytest

from airflow_sm_pipelines.engine.jobs import FunctionOutcome, FunctionSpec
from airflow_sm_pipelines.server.http.messages import Request
from airflow_sm_pipelines.server.lambda_functions import find_function
from airflow_sm_pipelines.server.lambda_invocations import LambdaInvoker, is_invocation
from tests.airflow_runs import create_functions

if TYPE_CHECKING:
    from collections.abc import Iterator

HANDLER = """
def work(event, context):
    if event.get("fails"):
        raise ValueError("no good")
    return {"got": event}
"""


@pytest.fixture(scope="module")
def functions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A client of an endpoint that has a function."""
    from airflow_sm_pipelines.server import serve

    with serve(tmp_path_factory.mktemp("endpoint") / "state") as running:
        yield create_functions(running, HANDLER, "work")


def invoke(client: Any, event: Any, **options: Any) -> tuple[Any, Any]:
    answer = client.invoke(FunctionName="work", Payload=json.dumps(event).encode(), **options)
    text = answer["Payload"].read()
    return answer, json.loads(text) if text else None


def test_its_answer_is_the_functions(functions: Any) -> None:
    answer, result = invoke(functions, {"a": 1})
    assert (answer["StatusCode"], answer.get("FunctionError"), result) == (200, None, {"got": {"a": 1}})


def test_a_failure_of_the_function_is_told_as_lambda_tells_it(functions: Any) -> None:
    answer, result = invoke(functions, {"fails": True})
    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    assert "no good" in result["errorMessage"]


def pack(name: str, text: str) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr(name, text)
    return archive.getvalue()


def test_what_its_layers_hold_can_be_imported(functions: Any) -> None:
    content = {"ZipFile": pack("python/shared.py", "VALUE = 'of the layer'")}
    layer = functions.publish_layer_version(LayerName="shared", Content=content)["LayerVersionArn"]
    code = {"ZipFile": pack("app.py", "import shared\ndef handler(event, context): return shared.VALUE")}
    role = "arn:aws:iam::123456789012:role/LambdaExecution"
    made = {"Runtime": "python3.12", "Handler": "app.handler", "Role": role, "Code": code, "Layers": [layer]}
    functions.create_function(FunctionName="layered", **made)
    assert json.loads(functions.invoke(FunctionName="layered")["Payload"].read()) == "of the layer"


def test_a_function_in_an_image_says_that_it_does_not_run(functions: Any) -> None:
    image = {"ImageUri": "123456789012.dkr.ecr.us-east-1.amazonaws.com/f:1"}
    role = "arn:aws:iam::123456789012:role/LambdaExecution"
    functions.create_function(FunctionName="pictured", PackageType="Image", Role=role, Code=image)
    answer = functions.invoke(FunctionName="pictured")
    assert answer["FunctionError"] == "Unhandled"
    assert "is a container image, which does not run locally" in json.loads(answer["Payload"].read())["errorMessage"]


def test_what_is_not_there_and_a_dry_run(functions: Any) -> None:
    with pytest.raises(botocore.exceptions.ClientError, match="Function not found: other"):
        functions.invoke(FunctionName="other")
    assert invoke(functions, {}, InvocationType="DryRun")[0]["StatusCode"] == 204


@dataclass
class Services:
    """The engine's services, as far as an invocation needs them, with one function whose name has a space."""

    outcome: FunctionOutcome
    calls: list[Any] = field(default_factory=list)

    def find_function(self, name: str) -> FunctionSpec | None:
        if name != "a b":
            return None
        return FunctionSpec("arn", name, "python3.12", "app.handler", b"", timeout_seconds=3)

    def job_context(self, log_group: str) -> str:
        return log_group

    def run_function(self, spec: FunctionSpec, event: Any, context: str, stop: Any) -> FunctionOutcome:
        self.calls.append((spec.name, event, context, stop.is_set()))
        return self.outcome


def call(services: Services, body: bytes = b"{}", name: str = "a%20b", **headers: str) -> Any:
    environ = {"REQUEST_METHOD": "POST", "PATH_INFO": f"/2015-03-31/functions/{name}/invocations", **headers}
    environ["HTTP_AUTHORIZATION"] = "AWS4-HMAC-SHA256 Credential=k/20260101/us-east-1/lambda/aws4_request"
    request = Request(environ, body)
    assert is_invocation(request)
    return LambdaInvoker(cast("Any", services)).call(request)


COMPLETED = FunctionOutcome("Completed", {"a": None})
ERROR: Any = {"errorMessage": "no", "errorType": "ValueError"}
VERSION = ("X-Amz-Executed-Version", "$LATEST")
UNHANDLED = ("X-Amz-Function-Error", "Unhandled")


@pytest.mark.parametrize(
    ("outcome", "answer", "headers"),
    [
        (COMPLETED, {"a": None}, (VERSION,)),
        (FunctionOutcome("Completed"), None, (VERSION,)),
        (FunctionOutcome("Failed", ERROR, "no"), ERROR, (VERSION, UNHANDLED)),
        (
            FunctionOutcome("Failed", None, "it took too long"),
            {"errorMessage": "it took too long"},
            (VERSION, UNHANDLED),
        ),
        (FunctionOutcome("Stopped"), {"errorMessage": "Stopped"}, (VERSION, UNHANDLED)),
    ],
    ids=["an object", "nothing", "its error", "no error of its own", "stopped"],
)
def test_how_a_call_ended_is_answered_as_lambda_does(
    outcome: FunctionOutcome, answer: Any, headers: tuple[tuple[str, str], ...]
) -> None:
    services = Services(outcome)
    found = call(services, b'{"x": [1]}')
    assert (found.status, json.loads(found.body), found.headers) == (200, answer, headers)
    assert services.calls == [("a b", {"x": [1]}, "/aws/lambda/a b", False)]


def test_an_event_gets_its_answer_without_the_result_and_a_dry_run_calls_nothing() -> None:
    services = Services(FunctionOutcome("Failed", ERROR, "no"))
    found = call(services, b"", HTTP_X_AMZ_INVOCATION_TYPE="Event")
    assert (found.status, found.body) == (202, b"")
    assert services.calls == [("a b", {}, "/aws/lambda/a b", False)]
    found = call(services, b"no JSON", HTTP_X_AMZ_INVOCATION_TYPE="DryRun")
    assert (found.status, found.body, len(services.calls)) == (204, b"", 1)


@pytest.mark.parametrize(
    ("body", "name", "status", "code", "says"),
    [
        (b"{", "a%20b", 400, "InvalidRequestContentException", "Could not parse request body into json: "),
        (b"\xff", "a%20b", 400, "InvalidRequestContentException", "Could not parse request body into json: "),
        (b"{}", "a%2520b", 404, "ResourceNotFoundException", "Function not found: a%20b"),
    ],
    ids=["no JSON", "no text", "no function"],
)
def test_a_call_that_cannot_be_made_says_which_error_it_is(
    body: bytes, name: str, status: int, code: str, says: str
) -> None:
    services = Services(COMPLETED)
    found = call(services, body, name)
    assert (found.status, services.calls) == (status, [])
    # A client takes the class of its exception from the header or the body.
    assert dict(found.headers)["x-amzn-errortype"] == json.loads(found.body)["__type"] == code
    assert json.loads(found.body)["message"].startswith(says)


def test_a_definition_of_another_region_finds_the_endpoints_function(functions: Any) -> None:
    region = functions.meta.region_name
    for arn in ("arn:aws:lambda:eu-west-3:111122223333:function:work", "arn:aws:lambda:eu-west-3:1:function:work:2"):
        found = find_function(arn, region)
        assert found is not None
        assert found.name == "work"
    assert find_function("arn:aws:lambda:eu-west-3:111122223333:function:other", region) is None

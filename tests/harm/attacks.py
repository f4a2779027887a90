"""Attacks by kind: by another user, by a web page, on the pages, on directories, in archives, on a terminal.

Each attack is tried on a whole `local serve` or on the function that it would have to deceive, and what came of it is a
text: empty where it was refused and left nothing behind.
"""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
import tarfile
import zipfile
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from botocore.auth import HmacV1QueryAuth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from airflow_sm_pipelines.engine.jobs.archives import ArchiveLimits, unpack_tar, unpack_zip
from airflow_sm_pipelines.exceptions import SageMakerPipelinesError
from tests.airflow_runs import write_image_table
from tests.durability.whole_server import ROLE, WholeServer, list_steps, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

NOBODY = 65534
CLI = [sys.executable, "-m", "airflow_sm_pipelines.cli"]
# What the other user runs: requests in, answers out, as a list of texts in latin-1.
SENDER = """
import json, socket, sys
port, requests = json.load(sys.stdin)
answers = []
for request in requests:
    got = b""
    try:
        with socket.create_connection(("127.0.0.1", port), 20) as connection:
            connection.sendall(request.encode("latin-1"))
            while part := connection.recv(65536):
                got += part
    except OSError:
        pass
    answers.append(got.decode("latin-1"))
json.dump(answers, sys.stdout)
"""
Call = tuple[str, str, str, dict[str, str], str]
"""Service, method, path, headers and body."""


def _sagemaker(operation: str, body: dict[str, Any]) -> Call:
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"SageMaker.{operation}"}
    return "sagemaker", "POST", "/", headers, json.dumps(body)


def _query(service: str, body: str) -> Call:
    return service, "POST", "/", {"Content-Type": "application/x-www-form-urlencoded"}, body


CALLS: tuple[Call, ...] = (
    _sagemaker(
        "CreatePipeline",
        {"PipelineName": "taken", "ClientRequestToken": "x" * 40, "RoleArn": ROLE, "PipelineDefinition": "{}"},
    ),
    _sagemaker("StartPipelineExecution", {"PipelineName": "owned", "ClientRequestToken": "y" * 40}),
    _sagemaker("ListPipelines", {}),
    _sagemaker("DeletePipeline", {"PipelineName": "owned", "ClientRequestToken": "y" * 40}),
    ("s3", "PUT", "/owned/taken", {}, "x"),
    ("s3", "PUT", "/taken", {}, ""),
    ("s3", "GET", "/owned/kept", {}, ""),
    ("s3", "DELETE", "/owned/kept", {}, ""),
    ("s3", "GET", "/", {}, ""),
    _query("iam", "Action=CreateUser&UserName=taken&Version=2010-05-08"),
    _query("sts", "Action=GetSessionToken&Version=2011-06-15"),
    _query("sts", f"Action=AssumeRole&RoleArn={ROLE}&RoleSessionName=x&Version=2011-06-15"),
    _query("sqs", "Action=CreateQueue&QueueName=taken&Version=2012-11-05"),
    ("lambda", "GET", "/2015-03-31/functions", {}, ""),
    ("logs", "POST", "/", {"X-Amz-Target": "Logs_20140328.DescribeLogGroups"}, "{}"),
    ("events", "POST", "/", {"X-Amz-Target": "AWSEvents.PutRule"}, '{"Name": "taken", "EventPattern": "{}"}'),
    ("s3", "GET", "/_console", {}, ""),
    ("s3", "GET", "/_console/pipelines/owned", {}, ""),
)
SIGNATURES = ("none", "header", "header, unknown key", "header, session", "address", "address, version 2", "garbage")


def sign(call: Call, how: str, host: str) -> str:
    """A whole HTTP request, signed wrongly or not at all."""
    service, method, path, headers, body = call
    request = AWSRequest(method, f"http://{host}{path}", dict(headers), body.encode())
    keys = Credentials("AKIAUNKNOWN" if "unknown" in how else "local", "guessed", "a.b" if "session" in how else None)
    if how.startswith("header"):
        SigV4Auth(keys, service, "us-east-1").add_auth(request)
    elif how == "address":
        request.data = b""  # botocore would put a form into the address
        SigV4QueryAuth(keys, service, "us-east-1").add_auth(request)
    elif how == "address, version 2":
        HmacV1QueryAuth(keys).add_auth(request)
    elif how == "garbage":
        request.headers["Authorization"] = "AWS4-HMAC-SHA256 Credential=local/, Signature=\u00e9"
    prepared = request.prepare()
    target = str(prepared.url).removeprefix(f"http://{host}")
    return write_request(method, target, {"Host": host, **{k: _text(v) for k, v in prepared.headers.items()}}, body)


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def write_request(method: str, target: str, headers: dict[str, str], body: str = "") -> str:
    """The text of a request that closes its connection."""
    headers = {name: value for name, value in headers.items() if name.lower() != "content-length"}
    if body:
        headers["Content-Length"] = str(len(body.encode()))
    lines = [f"{method} {target} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items()), "Connection: close", "", body]
    return "\r\n".join(lines)


def send(port: int, requests: Sequence[str], *, user: int | None = None) -> list[str]:
    """Send requests, as another user of this machine where one is given."""
    python = os.path.realpath(sys.executable)
    if user is not None and not _may_run(python, user):
        python = "/usr/bin/python3"
    who: dict[str, Any] = {} if user is None else {"user": user, "group": user, "extra_groups": []}
    done = subprocess.run(
        [python, "-I", "-S", "-c", SENDER], input=json.dumps([port, list(requests)]), text=True, capture_output=True,
        timeout=600, check=True, cwd="/", env={}, **who,
    )  # fmt: skip
    answers: list[str] = json.loads(done.stdout)
    return answers


def _may_run(python: str, user: int) -> bool:
    with suppress(OSError):
        command = [python, "-I", "-S", "-c", ""]
        done = subprocess.run(command, user=user, group=user, extra_groups=[], cwd="/", timeout=60, check=False)
        return done.returncode == 0
    return False


@contextmanager
def owned_server(folder: Path, *options: str) -> Iterator[WholeServer]:
    """A server with a bucket, an object and a pipeline of its owner's."""
    server = WholeServer(folder)
    server.options = options
    server.start()
    try:
        s3, sagemaker = server.client("s3"), server.client("sagemaker")
        s3.create_bucket(Bucket="owned")
        s3.put_object(Bucket="owned", Key="kept", Body=b"kept")
        definition = {"Version": "2020-12-01", "Steps": [_fail_step()]}
        sagemaker.create_pipeline(PipelineName="owned", RoleArn=ROLE, PipelineDefinition=json.dumps(definition))
        yield server
    finally:
        server.kill()


def _fail_step() -> dict[str, Any]:
    return {"Name": "End", "Type": "Fail", "Arguments": {"ErrorMessage": "end"}}


def find_traces(server: WholeServer) -> str:
    """What is there that the owner did not make, or not there that the owner made."""
    s3, sagemaker = server.client("s3"), server.client("sagemaker")
    found = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    found += [item["Key"] for item in s3.list_objects_v2(Bucket="owned").get("Contents", [])]
    found += [item["PipelineName"] for item in sagemaker.list_pipelines()["PipelineSummaries"]]
    found += sagemaker.list_pipeline_executions(PipelineName="owned")["PipelineExecutionSummaries"]
    found += [user["UserName"] for user in server.client("iam").list_users()["Users"]]
    found += server.client("sqs").list_queues().get("QueueUrls", [])
    found += [rule["Name"] for rule in server.client("events").list_rules()["Rules"]]
    return "" if found == ["owned", "kept", "owned"] else f"there is {found}"


def by_another_user(folder: Path) -> list[str]:
    """Every call with every wrong signature, from a process of another user; and the proxy without its password."""
    with owned_server(folder) as server:
        port = _port(server)
        host = f"127.0.0.1:{port}"
        stories = [(call, how) for call in CALLS for how in SIGNATURES]
        requests = [sign(call, how, host) for call, how in stories]
        proxied = [f"CONNECT {to} HTTP/1.1\r\n\r\n" for to in ("example.com:443", "sts.amazonaws.com:443", host)]
        answers = send(port, [*requests, *proxied], user=NOBODY)
        ends = [
            "" if answer[9:12] in {"403", "400"} and "kept" not in answer else f"{call} {how}: {answer[:200]}"
            for (call, how), answer in zip(stories, answers, strict=False)
        ]
        ends += ["" if answer[9:12] == "407" else f"the proxy: {answer[:200]}" for answer in answers[len(stories) :]]
        return [*ends, find_traces(server)]


def by_a_web_page(folder: Path) -> list[str]:
    """What a page in the owner's browser can send: from elsewhere, from another port, under another name, by links."""
    with owned_server(folder) as server:
        port = _port(server)
        host = f"127.0.0.1:{port}"
        foreign = (
            {"Host": host, "Origin": "https://evil.example"},
            {"Host": host, "Origin": "http://127.0.0.1:1"},
            {"Host": host, "Origin": "null"},
            {"Host": host, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
            {"Host": host, "Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"},
            {"Host": host, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},
            {"Host": f"evil.example:{port}"},
            {"Host": f"127.0.0.1.evil.example:{port}"},
        )
        requests = []
        for headers in foreign:
            for _service, method, path, own, body in CALLS:
                if path.startswith("/_console") and headers.get("Sec-Fetch-Mode") == "navigate":
                    continue
                # A page cannot set these headers of its own, but for the kinds of forms.
                kinds = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x")
                for kind in kinds if body else ("",):
                    requests.append(write_request(method, path, {**own, **headers, "Content-Type": kind}, body))
        # Without any header that tells where it comes from: links, images and forms of old browsers.
        links = (
            "/?Action=CreateUser&UserName=taken&Version=2010-05-08",
            "/iam_us-east-1/?Action=CreateUser&UserName=taken",
            "/sqs_us-east-1/?Action=CreateQueue&QueueName=taken",
            "/owned/kept?acl",
            "/owned/kept",
        )
        requests += [write_request("GET", link, {"Host": host}) for link in links]
        part = '--x\r\nContent-Disposition: form-data; name="{}"\r\n\r\n{}\r\n'
        form = part.format("key", "taken") + part.format("file", "x") + "--x--\r\n"
        requests.append(
            write_request("POST", "/owned", {"Host": host, "Content-Type": "multipart/form-data; boundary=x"}, form)
        )
        ends = []
        for request, answer in zip(requests, send(port, requests), strict=True):
            ends.append("" if answer[9:12] in {"403", "400"} else f"{request[:300]!r} gave {answer[:120]!r}")
        return [*ends, find_traces(server)]


def on_the_pages(folder: Path) -> list[str]:
    """The pages without their token, where the kernel's word does not count."""
    server = WholeServer(folder)
    server.options = ("--require-key",)
    server.start()
    try:
        port = _port(server)
        host = f"127.0.0.1:{port}"
        paths = (
            "",
            "/",
            "/pipelines/owned",
            "/pipelines/owned/executions/x",
            "/logs/processing-job/x",
            "/style.css",
            "/%00",
        )
        cookies = ("", "sm-pipelines=x", "token=x", "session=", "sm-pipelines=" + "0" * 64)
        queries = ("", "?token=x", "?token=", "?token=" + "0" * 64, "?token=9999999999.x")
        requests = [
            write_request("GET", f"/_console{path}{query}", {"Host": host, **({"Cookie": cookie} if cookie else {})})
            for path in paths for cookie in cookies for query in queries
        ]  # fmt: skip
        answers = send(port, requests)
        return [
            "" if answer[9:12] in {"401", "403", "404", "400"} else f"{request.splitlines()[0]}: {answer[:120]!r}"
            for request, answer in zip(requests, answers, strict=True)
        ]
    finally:
        server.kill()


def on_directories(folder: Path) -> list[str]:
    """State and cache directories into which another user could have written."""
    ends = []
    for name, spoil in _SPOILS.items():
        state, cache = folder / name / "state", folder / name / "cache"
        state.mkdir(parents=True, mode=0o700)
        (cache / "environments").mkdir(parents=True, mode=0o700)
        spoil(state, cache)
        environment = {**os.environ, "SM_PIPELINES_CACHE_DIR": str(cache)}
        command = [*CLI, "local", "exec", "--state-dir", str(state), "--", "true"]
        if name.startswith("cache"):
            program = "from airflow_sm_pipelines.environments import ensure_environment as e; e([])"
            command = [sys.executable, "-c", program]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
        is_refused = done.returncode != 0 and "chown" in done.stderr
        ends.append("" if is_refused else f"{name}: {done.returncode} {done.stderr[-300:]}")
    return ends


def _give_away(path: Path) -> None:
    os.chown(path, NOBODY, NOBODY)


def _plant(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"planted")
    _give_away(path)


_SPOILS: dict[str, Callable[[Path, Path], object]] = {
    "state of another": lambda state, _: _give_away(state),
    "state with a checkpoint of another": lambda state, _: _plant(state / "moto.checkpoint"),
    "state with a database of another": lambda state, _: _plant(state / "engine" / "engine.db"),
    "state with a secret of another": lambda state, _: _plant(state / "secret"),
    "state with a folder of another": lambda state, _: ((state / "engine").mkdir(), _give_away(state / "engine")),
    "cache of another": lambda _, cache: _give_away(cache),
}


def in_archives(folder: Path) -> list[str]:
    """Archives that point outside, nest without end, name what no file can be, or grow without end."""
    ends = []
    outside = folder / "outside"
    outside.mkdir()
    for number, (name, data, unpack) in enumerate(_iter_archives(outside)):
        archive, target = folder / f"{number}.bin", folder / str(number)
        archive.write_bytes(data)
        target.mkdir()
        try:
            unpack(archive, target, ArchiveLimits(max_bytes=1 << 20, max_members=1000))
        except SageMakerPipelinesError:
            end = ""
        except Exception as error:
            end = f"{name}: {type(error).__name__}: {error}"
        else:
            end = f"{name} was unpacked"
        ends.append(end or ("" if not any(outside.iterdir()) else f"{name} wrote outside"))
    return ends


def _iter_archives(outside: Path) -> Iterator[tuple[str, bytes, Callable[..., None]]]:
    deep = "/".join(["d"] * 2000) + "/f"
    for name in ("../x", f"{outside}/x", "a/../../x", deep, "x" * 300, "..", "/"):
        yield f"tar with {name[:20]!r}", _tar((name, b"x", None, "")), unpack_tar
    links = {tarfile.SYMTYPE: str(outside), tarfile.LNKTYPE: "../x", tarfile.CHRTYPE: "", tarfile.FIFOTYPE: ""}
    for kind, link in links.items():
        yield f"tar with type {kind!r}", _tar(("l", b"", kind, link)), unpack_tar
    behind = (("l", b"", tarfile.SYMTYPE, str(outside)), ("l/x", b"x", None, ""))
    yield "tar with a file behind a link", _tar(*behind), unpack_tar
    yield "tar with a NUL in a name", _tar(("a", b"x", None, ""), path="a\0b"), unpack_tar
    yield "tar bomb", _tar(("big", bytes(2 << 20), None, "")), unpack_tar
    yield "tar of many files", _tar(*((str(number), b"", None, "") for number in range(1001))), unpack_tar
    yield "cut tar", _tar(("a", bytes(10_000), None, ""))[:3000], unpack_tar
    yield "no tar", b"x" * 1000, unpack_tar
    for name in ("../x", f"{outside}/x", "a/../../x", "..\\x", "C:\\x", deep, "x" * 300):
        yield f"zip with {name[:20]!r}", _zip({name: b"x"}), unpack_zip
    yield "zip bomb", _zip({"big": bytes(2 << 20)}), unpack_zip
    yield "zip of many files", _zip({str(number): b"" for number in range(1001)}), unpack_zip
    yield "cut zip", _zip({"a": bytes(10_000)})[:60], unpack_zip


def _tar(*members: tuple[str, bytes, bytes | None, str], path: str = "") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content, kind, link in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            member.pax_headers = {"path": path} if path else {}
            if kind is not None:
                member.type, member.linkname = kind, link
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _zip(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


ESCAPES = "\x1b[2J\x1b]0;owned\x07\x9b31m\r\x00\u202e"


def on_a_terminal(folder: Path) -> list[str]:
    """Control characters from a reason and from descriptions, in every command and page that shows them."""
    server = WholeServer(folder)
    write_image_table(folder, "tests-python")
    server.start()
    try:
        sagemaker = server.client("sagemaker")
        steps = [{"Name": "End", "Type": "Fail", "Arguments": {"ErrorMessage": f"reason {ESCAPES}"}}]
        definition = json.dumps({"Version": "2020-12-01", "Steps": steps})
        sagemaker.create_pipeline(PipelineName="p", RoleArn=ROLE, PipelineDefinition=definition)
        with suppress(Exception):
            sagemaker.update_pipeline(PipelineName="p", PipelineDescription=f"d {ESCAPES}", PipelineDisplayName="p")
        arn = sagemaker.start_pipeline_execution(PipelineName="p", PipelineExecutionDescription=f"e {ESCAPES}")[
            "PipelineExecutionArn"
        ]
        wait_for(lambda: [step["StepStatus"] for step in list_steps(server, arn)] == ["Failed"], "the step fails")
        ends = []
        environment = {**os.environ, "AWS_ENDPOINT_URL": server.url, "AWS_ACCESS_KEY_ID": "a",
                       "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1"}  # fmt: skip
        shows = (["list"], ["list", "p"], ["show", arn], ["show", arn, "--json"], ["logs", arn], ["outputs", arn])
        shows += (["versions", "p"], ["watch", arn], ["graph", "--execution", arn], ["show", f"p{ESCAPES[:4]}"])
        for words in shows:
            done = subprocess.run([*CLI, *words], env=environment, capture_output=True, timeout=120, check=False)
            said = (done.stdout + done.stderr).decode("utf-8", "replace")
            bad = [char for char in said if (ord(char) < 32 and char not in "\n\t") or 127 <= ord(char) < 160]
            ends.append(f"{words[0]}: {bad[:5]!r}" if bad else "")
        with socket.create_connection(("127.0.0.1", _port(server)), 20) as connection:
            path = f"/_console/pipelines/p/executions/{arn.rpartition('/')[2]}"
            connection.sendall(write_request("GET", path, {"Host": f"127.0.0.1:{_port(server)}"}).encode())
            page = b"".join(iter(lambda: connection.recv(65536), b""))
        return [*ends, "the page holds an escape" if b"\x1b" in page or b"\xc2\x9b" in page else ""]
    finally:
        server.kill()


def _port(server: WholeServer) -> int:
    return int(server.url.rpartition(":")[2])


ONLY_ROOT = {"calls by another user of the machine": by_another_user, "directories of others": on_directories}
"""To become another user takes root."""
KINDS: dict[str, Callable[[Path], list[str]]] = {
    **ONLY_ROOT,
    "requests of web pages in the owner's browser": by_a_web_page,
    "pages without their token": on_the_pages,
    "archives": in_archives,
    "control characters in commands and pages": on_a_terminal,
}


def try_all(folder: Path) -> dict[str, list[str]]:
    """Every attack that this user can try, by kind: a text for each, empty where it was refused."""
    found = {}
    for number, (kind, attack) in enumerate(KINDS.items()):
        if kind in ONLY_ROOT and os.geteuid() != 0:
            continue
        place = folder / str(number)
        place.mkdir(parents=True)
        found[kind] = attack(place)
    return found

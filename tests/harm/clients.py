"""Where clients' calls go under `local exec`: each is run as it is, naming AWS itself, and every connect is recorded.

``python -m tests.harm.clients`` prints a table by client; ``--write`` puts it into docs/local.md. It needs Linux and
strace, a package index for the clients in Python, and Node, curl and a JDK for theirs; what is missing is left out.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_sm_pipelines.environments import ensure_environment
from airflow_sm_pipelines.exceptions import EnvironmentBuildError

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE = Path("docs/local.md")
BEGIN, END = "<!-- made by `python -m tests.harm.clients --write`: begin -->", "<!-- made by clients: end -->"
ACCOUNT = "123456789012"
"""What the endpoint answers to whoever asks who it is."""
STS = "https://sts.us-east-1.amazonaws.com"
_CONNECT = re.compile(r'connect\(\d+, \{sa_family=AF_INET6?,.*?inet_(?:addr|pton)\((?:AF_INET6, )?"([^"]+)"')
_ASK = (
    "import boto3\n"
    f"print(boto3.client('sts', region_name='us-east-1', endpoint_url={STS!r}).get_caller_identity()['Account'])\n"
    "boto3.client('s3', region_name='us-east-1').create_bucket(Bucket='asked')\n"
    "print(boto3.client('sts', region_name='us-east-1').get_caller_identity()['Account'])\n"
)
_SDK_2 = "import sagemaker\ns = sagemaker.Session()\nprint(s.account_id(), s.default_bucket())\n"
_SDK_3 = (
    "from sagemaker.core.helper.session_helper import Session, get_execution_role\n"
    "s = Session()\nprint(s.account_id(), s.default_bucket())\n"
)
_S3FS = (
    "import s3fs\nfs = s3fs.S3FileSystem()\nfs.mkdir('asked-fs')\nfs.pipe('asked-fs/a', b'1')\n"
    f"print(fs.cat('asked-fs/a'), {ACCOUNT!r})\n"
)
_REQUESTS = f"import urllib.request\nprint(urllib.request.urlopen({STS!r}, timeout=20).status)\n"
_NODE_HTTPS = f"require('https').get('{STS}', r => console.log(r.statusCode)).on('error', e => {{throw e}})"
_NODE_FETCH = f"fetch('{STS}').then(r => console.log(r.status))"
_JAVA = """
class Ask {
    public static void main(String[] words) throws Exception {
        var connection = (java.net.HttpURLConnection) new java.net.URL("%s").openConnection();
        connection.setConnectTimeout(20000);
        System.out.println(connection.getResponseCode());
    }
}
"""


@dataclass(frozen=True)
class Client:
    """One program that calls AWS.

    :param make: gives its command, in a scratch folder; None where this machine has no such program.
    """

    name: str
    make: Callable[[Path], list[str] | None]


@dataclass(frozen=True)
class Seen:
    """What came of a client.

    :param is_answered: whether the endpoint's account was in what it printed.
    :param left: the addresses beyond this machine that it connected to.
    """

    is_answered: bool
    exit_code: int
    left: frozenset[str]
    said: str

    @property
    def verdict(self) -> str:
        """In words."""
        if self.left:
            return "**not covered**: it looks AWS up, and connects there if it can"
        return "answered" if self.is_answered and not self.exit_code else "refused"


def python_with(*requirements: str, program: str) -> Callable[[Path], list[str]]:
    """A program in an environment of its own."""

    def make(_folder: Path) -> list[str]:
        python = ensure_environment(requirements) if requirements else sys.executable
        return [str(python), "-c", program]

    return make


def aws_1(_folder: Path) -> list[str]:
    """The AWS CLI, version 1."""
    python = ensure_environment(["awscli<2"])
    command = [str(python.with_name("aws")), "sts", "get-caller-identity"]
    return ["sh", "-c", " ".join([*command, "--endpoint-url", STS]) + " && " + " ".join(command)]


def program(name: str, *words: str) -> Callable[[Path], list[str] | None]:
    """A program of this machine."""
    return lambda _folder: [found, *words] if (found := shutil.which(name)) else None


def java(folder: Path) -> list[str] | None:
    """A Java program that uses what the JDK brings."""
    if not shutil.which("javac"):
        return None
    (folder / "Ask.java").write_text(_JAVA % STS)
    return ["java", str(folder / "Ask.java")]


def pip(folder: Path) -> list[str]:
    """pip fetching a package from the index."""
    python = ensure_environment(["pip"])
    where = folder / "wheels"
    fetch = f"{python} -m pip download --quiet --no-cache-dir --no-deps --dest {where} iniconfig==2.1.0"
    return ["sh", "-c", f"{fetch} && ls {where} && echo {ACCOUNT}"]


def node_package(folder: Path) -> list[str] | None:
    """npm fetching a package from its registry."""
    if not shutil.which("npm"):
        return None
    return ["sh", "-c", f"cd {folder} && npm pack --silent --cache {folder}/npm is-number@7.0.0 && echo {ACCOUNT}"]


CLIENTS = (
    Client("boto3, newest; STS by AWS's own address, S3 without one", python_with(program=_ASK)),
    Client("boto3 1.20, which knows no `AWS_ENDPOINT_URL`", python_with("boto3==1.20.54", "urllib3<2", program=_ASK)),
    Client("SageMaker SDK v2: account and default bucket", python_with("sagemaker>=2.257,<3", program=_SDK_2)),
    Client("SageMaker SDK v3: the same", python_with("sagemaker>=3", program=_SDK_3)),
    Client("s3fs (aiobotocore)", python_with("s3fs>=2025", program=_S3FS)),
    Client("AWS CLI 1, also with `--endpoint-url` of AWS", aws_1),
    Client("Python without boto3 (`urllib`, `requests`)", python_with(program=_REQUESTS)),
    Client("Python with `-I` or `-E`, without boto3", lambda _: [sys.executable, "-I", "-c", _REQUESTS]),
    Client("curl", program("curl", "--silent", "--show-error", "--fail", "--max-time", "20", STS)),
    Client("Node: `https`", program("node", "-e", _NODE_HTTPS)),
    Client("Node: `fetch`", program("node", "-e", _NODE_FETCH)),
    Client("Java: what the JDK brings", java),
)
FETCHERS = (Client("pip", pip), Client("npm", node_package))
"""What must go on working: it fetches from an index through the proxy."""


def watch(command: list[str], folder: Path, *, also: dict[str, str] | None = None) -> Seen:
    """Run a command under `local exec`, and record every address that it connects to."""
    trace = folder / "trace.txt"
    strace = ["strace", "-f", "-qq", "-e", "trace=connect", "-o", str(trace)] if shutil.which("strace") else []
    endpoint = [sys.executable, "-m", "airflow_sm_pipelines.cli", "local", "exec", "--ephemeral", "--quiet", "--"]
    environment = {**os.environ, "PYTHONWARNINGS": "ignore", **(also or {})}
    done = subprocess.run(
        [*endpoint, *strace, *command], env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    text = trace.read_text(errors="replace") if trace.exists() else ""
    # What asks how it would go somewhere connects a datagram socket to port 0 and sends nothing.
    lines = [line for line in text.splitlines() if "sin_port=htons(0)" not in line and "sin6_port=htons(0)" not in line]
    found = {match[1] for line in lines if (match := _CONNECT.search(line))}
    # Java writes an address of IPv4 as one of IPv6.
    left = frozenset(one for one in found if not ip_address(one.removeprefix("::ffff:")).is_loopback)
    return Seen(ACCOUNT in done.stdout, done.returncode, left, (done.stdout + done.stderr)[-2000:])


def main() -> int:
    """Run all clients; 1 if one behaves otherwise than the page says by hand."""
    parser = argparse.ArgumentParser(prog="python -m tests.harm.clients", description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"put the table into {PAGE}")
    parser.add_argument("--only", default="", help="clients whose name has this text")
    arguments = parser.parse_args()
    lines = ["| client | under `local exec` | leaves this machine |", "|---|---|---|"]
    for client in (one for one in (*CLIENTS, *FETCHERS) if arguments.only in one.name):
        with tempfile.TemporaryDirectory(prefix="sm-pipelines-clients-") as name:
            try:
                command = client.make(Path(name))
            except EnvironmentBuildError as error:
                print(f"{client.name}: {error}", file=sys.stderr)
                continue
            if command is None:
                continue
            seen = watch(command, Path(name))
        fetches = client in FETCHERS
        verdict = ("works, through the proxy" if seen.is_answered else "**broken**") if fetches else seen.verdict
        lines.append(f"| {client.name} | {verdict} | {'yes' if seen.left else 'no'} |")
        print(lines[-1], sorted(seen.left), "" if seen.is_answered else seen.said[-600:], file=sys.stderr, flush=True)
    text = "\n".join(lines)
    print(text)
    if arguments.write:
        page = PAGE.read_text(encoding="utf-8")
        pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
        PAGE.write_text(pattern.sub(lambda _: f"{BEGIN}\n{text}\n{END}", page), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

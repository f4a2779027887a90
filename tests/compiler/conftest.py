"""What compiler tests stand on: AWS on this machine, a Python with a stand-in SDK, a compile that keeps its log."""

from __future__ import annotations

import os
import shutil
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.compiler import CompiledPipeline, compile_pipeline
from airflow_sm_pipelines.environments import default_cache_dir, ensure_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

STUB_SDK = Path(__file__).parent / "stub_sdk"
ROLE = "arn:aws:iam::123456789012:role/SageMakerExecution"


@pytest.fixture(scope="session")
def stub_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python of its own whose SDK is the stand-in, beside the real boto3."""
    python = ensure_environment([], cache_dir=tmp_path_factory.mktemp("stub"))
    packages = next(python.parent.parent.glob("lib/python*/site-packages"))
    shutil.copytree(STUB_SDK / "sagemaker", packages / "sagemaker", ignore=shutil.ignore_patterns("__pycache__"))
    record = packages / "sagemaker-2.999.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: sagemaker\nVersion: 2.999\n")
    (packages / "boto3.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


@pytest.fixture(scope="session")
def aws_endpoint() -> Iterator[str]:
    """AWS on a free port of this machine."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    yield f"http://127.0.0.1:{port}"
    server.stop()


@pytest.fixture
def aws_environment(aws_endpoint: str) -> dict[str, str]:
    """What the child gets of AWS."""
    return {
        "AWS_ACCESS_KEY_ID": "test-access",
        "AWS_SECRET_ACCESS_KEY": "test-secret",
        "AWS_ENDPOINT_URL": aws_endpoint,
    }


@dataclass
class Compiler:
    """Compiles with the arguments that most tests share; a test changes what it is about."""

    cache_dir: Path
    aws_environment: Mapping[str, str]
    interpreter: str | None
    lines: list[str] = field(default_factory=list)

    def __call__(self, reference: str | Path, **changes: Any) -> CompiledPipeline:
        arguments: dict[str, Any] = {
            "role_arn": ROLE,
            "region": "us-east-1",
            "interpreter": self.interpreter,
            "aws_environment": self.aws_environment,
            "cache_dir": self.cache_dir,
            "timeout_seconds": 60,
            "log": self.lines.append,
        }
        return compile_pipeline(str(reference), **(arguments | changes))

    @property
    def log(self) -> str:
        """Everything the compiles have logged."""
        return "\n".join(self.lines)


@pytest.fixture
def compile_stub(tmp_path: Path, stub_python: Path, aws_environment: dict[str, str]) -> Compiler:
    """Compile with the stand-in SDK, an empty cache, and AWS on this machine."""
    return Compiler(tmp_path / "cache", aws_environment, str(stub_python))


@pytest.fixture
def compile_real(tmp_path: Path, aws_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Compiler:
    """Compile with the SDK that the script names: environments kept between test runs, definitions not."""
    kept = default_cache_dir(os.environ) / "environments"
    kept.mkdir(parents=True, exist_ok=True)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "environments").symlink_to(kept)
    # moto alone does not know iam:SimulatePrincipalPolicy, which v3 asks; our own endpoint does (tests/contract).
    monkeypatch.setenv("SAGEMAKER_VALIDATE_ROLE", "false")
    return Compiler(tmp_path / "cache", aws_environment, None)


@pytest.fixture
def write_script(tmp_path: Path) -> Callable[[str], str]:
    """Write a pipeline script into a folder of its own and give the reference to its `get_pipeline`."""
    folder = tmp_path / "scripts"

    def write(body: str) -> str:
        folder.mkdir(exist_ok=True)
        (folder / "train.py").write_text(body)
        return f"{folder / 'train.py'}:get_pipeline"

    return write

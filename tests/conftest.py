"""What every test stands on: no AWS, a network that ends at loopback, one place for built environments."""

from __future__ import annotations

import atexit
import gc
import ipaddress
import os
import shutil
import socket
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.loaders import create_loader

ROOT = Path(__file__).resolve().parent.parent

# Airflow reads its configuration when it is first imported, which is before any fixture runs.
for _name in [name for name in os.environ if name.startswith(("AWS_", "AIRFLOW_", "SM_PIPELINES_STATE"))]:
    if _name != "AWS_CA_BUNDLE":
        del os.environ[_name]
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="sm-pipelines-airflow-")


@atexit.register
def _remove_airflow_home(made_by: int = os.getpid(), folder: str = os.environ["AIRFLOW_HOME"]) -> None:
    if os.getpid() == made_by:  # and not in a child that was forked
        shutil.rmtree(folder, ignore_errors=True)


os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
os.environ["AIRFLOW__CORE__UNIT_TEST_MODE"] = "False"
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
# Environments of SDKs and images are built once and kept between runs, as `make demo` keeps them.
os.environ.setdefault("SM_PIPELINES_CACHE_DIR", str(ROOT / ".local" / "cache"))
# Botocore reads a service's API model anew for each session, for a tenth of a second: here each is read once.
botocore.session.create_loader = lru_cache(create_loader)


class NetworkError(AssertionError):
    """A test tried to leave this machine."""


@pytest.fixture(autouse=True)
def no_network_beyond_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every connection of the test's own process to anything but this machine."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            host = str(address[0]).partition("%")[0]
            try:
                address_of_host = ipaddress.ip_address(host)
                is_loopback = (getattr(address_of_host, "ipv4_mapped", None) or address_of_host).is_loopback
            except ValueError:
                is_loopback = host == "localhost"
            if not is_loopback:
                raise NetworkError(f"a test connected to {address}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


def pytest_collection_finish() -> None:
    """Keep Python's collector of garbage from walking through all modules and tests again and again.

    That took a third of the time of the tests that run in the workers' own process.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first, so that no worker is left alone with one of them at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout's root folder."""
    return ROOT

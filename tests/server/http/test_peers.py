"""Another user of the machine gets a sentence, and nothing is done for it."""

from __future__ import annotations

import os
import socket
import sys
from typing import TYPE_CHECKING, Any

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from airflow_sm_pipelines.local_endpoint import ACCESS_KEY_ID
from airflow_sm_pipelines.server.http import peers
from airflow_sm_pipelines.server.http.peers import PeerGoneError, PeerRule, find_peer_user

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.server.endpoint_stand_in import Endpoint

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the owner of a socket")

NOBODY = 65534


@pytest.fixture(params=["netlink", "table"])
def _way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to ask the kernel must say the same."""

    def refuse(*_: Any) -> Any:
        raise OSError("no such family")

    if request.param == "table":
        monkeypatch.setattr(peers, "_ask_netlink", refuse)


@pytest.fixture(params=["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def ends(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A client's socket and the accepted one."""
    with (
        socket.create_server(
            ("::1" if request.param == "::1" else "127.0.0.1", 0),
            family=socket.AF_INET6 if request.param == "::1" else socket.AF_INET,
        ) as listener,
        socket.socket(socket.AF_INET6 if ":" in request.param else socket.AF_INET) as client,
    ):
        client.connect((request.param, listener.getsockname()[1]))
        accepted, _ = listener.accept()
        with accepted:
            yield client, accepted


@pytest.mark.usefixtures("_way")
def test_the_peer_s_user_is_known_until_it_closes(ends: tuple[socket.socket, socket.socket]) -> None:
    client, accepted = ends
    assert find_peer_user(accepted) == os.geteuid()
    client.shutdown(socket.SHUT_WR)
    assert find_peer_user(accepted) == os.geteuid()
    client.close()
    with pytest.raises(PeerGoneError):
        find_peer_user(accepted)
    assert "closed" in str(PeerRule().refusal(accepted))


def test_a_user_who_is_not_the_owner_is_refused_unless_named(
    ends: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "find_peer_user", lambda _: NOBODY)
    assert f"`--allow-user {NOBODY}`" in str(PeerRule().refusal(ends[1]))
    assert PeerRule(frozenset({NOBODY})).refusal(ends[1]) is None


def test_a_peer_of_another_machine_is_taken_only_where_the_endpoint_is_bound_for_it(
    ends: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "find_peer_user", lambda _: None)
    assert "cannot see which user" in str(PeerRule().refusal(ends[1]))
    assert PeerRule(trusts_unseen=True).refusal(ends[1]) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a socket to another user")
@pytest.mark.parametrize(("user", "status"), [(NOBODY, b" 403 "), (0, b" 200 ")])
def test_another_user_is_answered_with_the_cure(endpoint: Endpoint, user: int, status: bytes) -> None:
    with socket.create_connection(("127.0.0.1", endpoint.port), timeout=20) as connection:
        os.fchown(connection.fileno(), user, user)
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert status in answer[:20]
    assert (b"sm-pipelines local serve" in answer) is (user == NOBODY)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a socket to another user")
def test_another_user_with_the_key_is_answered(endpoint: Endpoint) -> None:
    request = AWSRequest("GET", f"{endpoint.url}/", {"Connection": "close"})
    S3SigV4Auth(Credentials(ACCESS_KEY_ID, endpoint.secret), "s3", "us-east-1").add_auth(request)
    head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    with socket.create_connection(("127.0.0.1", endpoint.port), timeout=20) as connection:
        os.fchown(connection.fileno(), NOBODY, NOBODY)
        connection.sendall(f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{endpoint.port}\r\n{head}\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert b"ListAllMyBucketsResult" in answer

"""Which user of this machine holds the other end of a loopback connection, and whether that user may call.

Every program of the machine reaches a loopback port, whoever runs it, and a call to this endpoint runs code as the
endpoint's owner. Linux knows which user made a socket. Where nobody says, and for other users, the request's signature
decides (:mod:`airflow_sm_pipelines.server.access_keys`).
"""

from __future__ import annotations

import os
import socket
import struct
import sys
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TypeAlias

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST = 1
_NLMSG_ERROR = 2
_MESSAGE_HEADER = "=IHHII"
_ANY = 0xFFFFFFFF
"""Every state of a connection, and no cookie."""

_IS_LINUX = sys.platform == "linux"
_OPEN_STATES = frozenset({1, 8})
"""TCP_ESTABLISHED and TCP_CLOSE_WAIT, in which the other end of a connection is still the one that was accepted."""

_ROOT = 0
_End: TypeAlias = "tuple[Any, ...]"
"""One end of a connection as `socket` gives it: address and port come first."""


class PeerGoneError(Exception):
    """The other end has been closed, so that nobody owns it any more."""


@dataclass(frozen=True, slots=True)
class PeerRule:
    """Which users of this machine may call without the endpoint's key: its own, root, and those that were named.

    :param users: the numbers of the users that may call beside the endpoint's own and root.
    :param requires_key: whether nobody may.
    :param trusts_unseen: whether those may whose user nobody can tell: on a system that does not say, and of other
        containers where the endpoint is bound for them.
    """

    users: frozenset[int] = frozenset()
    requires_key: bool = False
    trusts_unseen: bool = False

    def refusal(self, connection: socket.socket) -> str | None:
        """Why the other end of a connection may not call without the key, in a sentence; None where it may.

        :param connection: an accepted TCP connection.
        """
        if self.requires_key:
            return "This endpoint answers only who has its key (--require-key)."
        try:
            user = find_peer_user(connection) if _IS_LINUX else None
        except PeerGoneError:
            return "The connection was closed before the endpoint could see which user made it."
        if user is None:
            return None if self.trusts_unseen else "The endpoint cannot see which user made this connection."
        if user in self.users | {_ROOT, os.geteuid()}:
            return None
        return (
            f"This endpoint runs jobs as user {os.geteuid()} and answers that user and root, and who has its key; you "
            f"are user {user}. Start one of your own with `sm-pipelines local serve`, or ask its owner for the key or "
            f"to start it with `--allow-user {user}`."
        )


def find_peer_user(connection: socket.socket) -> int | None:
    """The number of the user that made the other end of a connection.

    :param connection: an accepted TCP connection.
    :return: the user; None where the other end is not a socket of this machine, or of another network namespace.
    :raises PeerGoneError: when the other end is closed: the kernel then shows root as its owner.
    """
    try:
        peer, own = connection.getpeername(), connection.getsockname()
        found = _ask_kernel(peer, own)
        # A peer that is gone could have left its port to another user's connection.
        state = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    except OSError as error:
        raise PeerGoneError(str(error)) from error
    if state not in _OPEN_STATES:
        raise PeerGoneError(f"the connection is in state {state}")
    if found is None:
        return None
    user, inode = found
    if not inode:
        raise PeerGoneError("its socket is closed")
    return user


def _ask_kernel(peer: _End, own: _End) -> tuple[int, int] | None:
    """User and inode of the socket whose own address is the peer's; None where there is none."""
    try:
        return _ask_netlink(peer, own)
    except OSError:
        # There is no such socket, or some sandbox has no such netlink family. The table has the same rows, and takes
        # longer to read.
        return _read_table(peer, own)


def _ask_netlink(peer: _End, own: _End) -> tuple[int, int]:
    """As `_ask_kernel`, by one message (``struct inet_diag_req_v2`` and ``inet_diag_msg`` of linux/inet_diag.h)."""
    family = socket.AF_INET6 if ":" in peer[0] else socket.AF_INET
    addresses = b"".join(socket.inet_pton(family, end[0].partition("%")[0]).ljust(16, b"\0") for end in (peer, own))
    body = struct.pack("=BBBBI", family, socket.IPPROTO_TCP, 0, 0, _ANY)
    body += struct.pack("!HH", peer[1], own[1]) + addresses + struct.pack("=III", 0, _ANY, _ANY)
    length = struct.calcsize(_MESSAGE_HEADER) + len(body)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _NETLINK_SOCK_DIAG) as netlink:
        netlink.settimeout(1)
        netlink.send(struct.pack(_MESSAGE_HEADER, length, _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 0, 0) + body)
        answer = netlink.recv(8192)
    start = struct.calcsize(_MESSAGE_HEADER)
    if struct.unpack_from(_MESSAGE_HEADER, answer)[1] == _NLMSG_ERROR:
        code = -struct.unpack_from("=i", answer, start)[0]
        raise OSError(code, os.strerror(code))
    user, inode = struct.unpack_from("=II", answer, start + 64)
    return user, inode


def _read_table(peer: _End, own: _End) -> tuple[int, int] | None:
    """As `_ask_kernel`, from ``/proc/net/tcp`` and ``tcp6``."""
    wanted = {(_as_row(peer, version), _as_row(own, version)) for version in (4, 6)}
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text(encoding="ascii").splitlines()[1:]:
            fields = line.split()
            if (fields[1], fields[2]) in wanted:
                return int(fields[7]), int(fields[9])
    return None


def _as_row(end: _End, version: int) -> str:
    """An address as the tables write it: each word of 32 bits in this machine's order. IPv4 also as tcp6 has it."""
    address = ip_address(end[0].partition("%")[0])
    packed = address.packed
    if version == 6 and address.version == 4:
        packed = b"\0" * 10 + b"\xff\xff" + packed
    words = struct.unpack(f"={len(packed) // 4}I", packed)
    return "".join(f"{word:08X}" for word in words) + f":{end[1]:04X}"

"""Where the web server of an image listens on port 8080: in this machine's network, or in one of its own.

SageMaker gives every container a network. Here it is one by Linux's network namespaces, in which the server reaches its
own loopback, this endpoint and the proxies on this machine, and nothing else. So a batch transform takes this machine's
network where port 8080 is free, and all such transforms wait for each other. The server behind an endpoint would hold
the port for long, and takes a network of its own first. Where there are no namespaces and the port is taken, the server
is told another port by ``SAGEMAKER_BIND_TO_PORT``, which only some servers heed.

The programs in this directory import it; standard library of Python 3.7 only.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

PORT = 8080
_LOCK_PORT = 48080
"""Held on loopback by the job whose server runs in this machine's network."""
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_ADDRESSES = ("AWS_ENDPOINT_URL", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1


class Network:
    """The network of this machine.

    :param port: where the server is to listen.
    :param hint: a sentence for the author of a server that does not.
    """

    def __init__(self, port: int = PORT, hint: str = "") -> None:
        self.port, self.hint = port, hint

    def call(self, function: Callable[..., T], *arguments: Any, **words: Any) -> T:
        """Call a function that makes a socket or a process, which then belongs to this network."""
        return function(*arguments, **words)


class _OwnNetwork(Network):
    """A network of nothing but a loopback, with what leads to the endpoint.

    Of Linux, a thread can be in another network than the rest of its process.
    """

    def __init__(self) -> None:
        super().__init__()
        if os.geteuid() != 0:
            _enter_user_namespace()
        self._inside = ThreadPoolExecutor(max_workers=1)
        try:
            self.call(_leave_network)
            for address in _find_addresses():
                listener = self.call(_listen, address[1])
                threading.Thread(target=_relay, args=(listener, address), daemon=True).start()
        except OSError:
            self.close()
            raise

    def call(self, function: Callable[..., T], *arguments: Any, **words: Any) -> T:
        return self._inside.submit(function, *arguments, **words).result()

    def close(self) -> None:
        self._inside.shutdown()


@contextlib.contextmanager
def find_network(*, is_long_lived: bool) -> Iterator[Network]:
    """A network in which port 8080 is free, as long as the context is open.

    :param is_long_lived: whether the server runs for longer than a job.
    """
    with contextlib.ExitStack() as stack:
        is_free = not is_long_lived and _hold_port(stack, waits=False)
        network = Network() if is_free else _make_own_network(stack)
        if network is None and _hold_port(stack, waits=not is_long_lived):
            network = Network()
        yield network or _take_other_port()


def _take_other_port() -> Network:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    hint = (
        f" Port {PORT} of this machine is taken by another program, and this machine has no network namespaces. So the "
        f"server was to listen on port {port} (SAGEMAKER_BIND_TO_PORT). End the program, or have the server heed that."
    )
    print(f"WARNING:{hint}", flush=True)
    return Network(port, hint)


def _hold_port(stack: contextlib.ExitStack, *, waits: bool) -> bool:
    """Whether the port is free in this machine's network; then no other server of ours takes it.

    :param waits: whether to wait for the other servers of ours.
    """
    while True:
        lock = socket.socket()
        try:
            lock.bind(("127.0.0.1", _LOCK_PORT))
            break
        except OSError:
            lock.close()
            if not waits:
                return False
            time.sleep(0.1)
    if _is_answered():
        lock.close()
        return False
    stack.enter_context(lock)
    return True


def _is_answered() -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", PORT)) == 0


def _make_own_network(stack: contextlib.ExitStack) -> Network | None:
    """A network of the server's own; None where this machine has none."""
    if sys.platform != "linux":
        return None
    try:
        network = _OwnNetwork()
    except (OSError, ImportError) as error:
        print(f"WARNING: this machine gives the server no network of its own: {error}", flush=True)
        return None
    stack.callback(network.close)
    print(
        "The server of the image has a network of its own, as on SageMaker. There it reaches this endpoint, and by "
        "HTTP proxy what a job reaches; a database by its address it does not.",
        flush=True,
    )
    return network


def _unshare(flags: int) -> None:
    import ctypes

    if ctypes.CDLL(None, use_errno=True).unshare(flags) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"unshare: {os.strerror(code)}")


def _enter_user_namespace() -> None:
    """Get the right to make a network; the user stays the same. This process must have one thread."""
    uid, gid = os.geteuid(), os.getegid()
    _unshare(_CLONE_NEWUSER)
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        Path(f"/proc/self/{name}").write_text(text, encoding="ascii")


def _leave_network() -> None:
    """Put this thread into a new network, and start its loopback."""
    import fcntl

    _unshare(_CLONE_NEWNET)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as anything:
        fcntl.ioctl(anything, _SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", _IFF_UP))


def _find_addresses() -> set[tuple[str, int]]:
    """The endpoint and the proxies that are on this machine."""
    found = set()
    for url in filter(None, map(os.environ.get, _ADDRESSES)):
        try:
            parts = urlsplit(url)
            if parts.hostname in _LOOPBACK and parts.port not in (None, PORT):
                found.add((str(parts.hostname), int(parts.port or 0)))
        except ValueError:
            continue  # what is no URL leads nowhere from this machine either
    return found


def _listen(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(128)
    return listener


def _relay(listener: socket.socket, address: tuple[str, int]) -> None:
    """Pass on to an address in this machine's network what comes in."""
    while True:
        inner, _ = listener.accept()
        try:
            outer = socket.create_connection(address)
        except OSError:
            inner.close()
            continue
        for source, target in ((inner, outer), (outer, inner)):
            threading.Thread(target=_pump, args=(source, target), daemon=True).start()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):  # one of the two has closed
        for part in iter(lambda: source.recv(65536), b""):
            target.sendall(part)
        target.shutdown(socket.SHUT_WR)

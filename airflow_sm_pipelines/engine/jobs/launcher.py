"""Starts the processes of jobs, each with its own ``/opt/ml``, and supervises each until nothing of the job is left.

It is run by path (``python -I -S launcher.py CONTROL``), once for an engine, since Python takes longer to start than
everything that is done here for a job. It uses only the standard library. ``CONTROL`` is one end of a socket pair. When
the other end is closed, also by the death of the engine, this process ends; the launchers of its jobs go on.

Each message is a line, the path of a spec and its namespaces (``new_user`` and ``new_pids``) as JSON, with three
descriptors: the output of the job, ``LIFELINE`` and ``STATUS``. The answer is a line, ``{"pid": launcher}`` or
``{"error": text}``; then a fork of this process is the launcher of that job. It is forked before it is needed, while
the job before it runs, and so is the first process of its PID namespace: two forks take longer than all else here.
The spec is a JSON file: ``argv``, ``env``, ``cwd``, ``new_user``, ``new_mounts``, ``new_pids``,
``new_net``, ``mounts`` (pairs of source and target) and ``keep`` (paths that stay visible even if a mount hides them).

``LIFELINE`` is the read end of a pipe of the engine. ``T`` asks the job to end (SIGTERM to its process group). ``K``,
or the end of the pipe, which the death of the engine causes too, kills all of it. ``STATUS`` takes one JSON line on how
the job ended: ``{"exit": code}``, ``{"signal": number}``, or ``{"error": text}`` if it could not be started. With
``"is_alone": true`` none of its processes is left; else that is so when ``STATUS`` ends.

``python -I -S launcher.py --enter SPEC`` starts a program in the same way, but at this terminal.
"""

from __future__ import annotations

import ctypes
import errno
import gc
import json
import os
import select
import signal
import socket
import stat
import sys
import time

TYPE_CHECKING = False  # a small process is forked sooner
if TYPE_CHECKING:
    from typing import Any, NoReturn

_CLONE_NEWNS, _CLONE_NEWUSER, _CLONE_NEWPID, _CLONE_NEWNET = 0x00020000, 0x10000000, 0x20000000, 0x40000000
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_BIND, _MS_REC, _MS_PRIVATE = 2, 4, 8, 4096, 16384, 1 << 18
_MNT_DETACH = 2
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_SWEEP_SECONDS = 2.0


class _Libc:
    """The calls that Python 3.10 does not have."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._first_root: int | None = None

    def change_root(self, directory: str) -> None:
        """Make a directory the root for a while; the one before it can still be reached by open descriptors."""
        if self._first_root is None:
            self._first_root = os.open("/", os.O_PATH)
        os.chroot(directory)
        os.chdir("/")

    def leave_first_root(self) -> None:
        """Make the root that was changed to the root of the mounts: below any other, no user namespace can be made.

        Where the kernel refuses, it stays as it is.
        """
        if self._first_root is None:
            return
        root = os.open("/", os.O_PATH)
        os.fchdir(self._first_root)
        os.chroot(".")
        os.fchdir(root)
        number = _PIVOT_ROOT.get(os.uname().machine)
        if number is not None and self._libc.syscall(number, b".", b".") == 0:
            self._check(self._libc.umount2(b".", _MNT_DETACH), "umount of the first root")
        else:
            os.chroot(".")
        os.chdir("/")
        os.close(root)
        os.close(self._first_root)

    def unshare(self, flags: int) -> None:
        self._check(self._libc.unshare(flags), "unshare")

    def mount(self, source: str, target: str, kind: str | None, flags: int) -> None:
        encoded = kind.encode() if kind else None
        result = self._libc.mount(os.fsencode(source), os.fsencode(target), encoded, ctypes.c_ulong(flags), None)
        self._check(result, f"mount {source} on {target}")

    def prctl(self, option: int, value: int) -> None:
        self._check(self._libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0), "prctl")

    @staticmethod
    def _check(result: int, what: str) -> None:
        if result != 0:
            code = ctypes.get_errno()
            raise OSError(code, f"{what}: {os.strerror(code)}")


def main(control: int) -> int:
    """Fork a launcher for every message, as the text of the module says."""
    # Nobody waits for the launchers: one has ended when its STATUS ends.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    # A collection in a fork would copy all of this process's memory.
    gc.disable()
    spare: _Spare | None = None
    with socket.socket(fileno=control) as connection:
        connection.set_inheritable(False)
        while True:
            message, descriptors, _, _ = socket.recv_fds(connection, 65536, 3)
            if not message:
                return 0
            wanted = json.loads(message)[1]
            try:
                if spare is None or spare.namespaces != wanted or not spare.send(message, descriptors):
                    spare = _fork_launcher(wanted, connection, spare)
                    spare.send(message, descriptors)
                answer: dict[str, Any] = {"pid": spare.pid}
            except OSError as error:
                answer = {"error": error.strerror or str(error)}
            for descriptor in descriptors:
                os.close(descriptor)
            connection.sendall(json.dumps(answer).encode() + b"\n")
            try:
                spare = _fork_launcher(wanted, connection, spare)
            except OSError:
                spare = None  # the next message tries again, and says why not


class _Spare:
    """A launcher that waits for its job.

    :param orders: takes the one message; its end ends the launcher.
    """

    def __init__(self, pid: int, orders: socket.socket, namespaces: dict[str, bool]) -> None:
        self.pid, self.orders, self.namespaces = pid, orders, namespaces

    def send(self, message: bytes, descriptors: list[int]) -> bool:
        """Give it its job; False if it is gone."""
        try:
            socket.send_fds(self.orders, [message], descriptors)
        except OSError:
            return False
        return True


def _fork_launcher(namespaces: dict[str, bool], connection: socket.socket, before: _Spare | None) -> _Spare:
    """Fork a launcher.

    :param connection: a socket that the launcher does not need.
    :param before: the launcher before it; if it still waits, it ends.
    """
    if before is not None:
        before.orders.close()
    ours, theirs = socket.socketpair()
    launcher = os.fork()
    if launcher == 0:
        connection.close()
        ours.close()
        _launch(theirs, namespaces)
    theirs.close()
    return _Spare(launcher, ours, namespaces)


def _launch(orders: socket.socket, namespaces: dict[str, bool]) -> NoReturn:
    """Run as the launcher of one job, which ``orders`` names, and end this process."""
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    first: _FirstProcess | None = None
    fault = ""
    if namespaces["new_pids"]:
        try:
            first = _FirstProcess(orders, new_user=namespaces["new_user"])
        except OSError as error:
            fault = f"The job's private file system could not be made: {error}"
    message, (output, lifeline, status) = _wait_for_order(orders)
    code = 0
    try:
        if fault:
            _report(status, {"error": fault})
        elif first is not None:
            first.run(message, output, lifeline, status)
        else:
            code = _run_order(message, output, lifeline, status)
    except BaseException as error:  # noqa: BLE001 - the engine must hear of it
        _report(status, {"error": f"The job's launcher failed: {error}"})
        code = 1
    os._exit(code)


def _wait_for_order(orders: socket.socket) -> tuple[bytes, list[int]]:
    """The message and the descriptors of a job; where none comes any more, this process ends."""
    message, descriptors, _, _ = socket.recv_fds(orders, 65536, 3)
    if not message:
        os._exit(0)
    orders.close()
    return message, descriptors


def _run_order(message: bytes, output: int, lifeline: int, status: int) -> int:
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    return run(json.loads(message)[0], lifeline, status)


def _give_up_output() -> None:
    """Release the output of the job, so that its end is seen at once."""
    os.dup2(0, 1)
    os.dup2(0, 2)


def run(spec_path: str, lifeline: int, status: int) -> int:
    """Run the job of one spec to its end. Its user and its process ids are those of this process."""
    os.set_inheritable(lifeline, False)
    os.set_inheritable(status, False)
    try:
        with open(spec_path, encoding="utf-8") as file:  # noqa: PTH123 - pathlib is slow to import
            spec = json.load(file)
        is_first = sys.platform == "linux" and os.getpid() == 1
        if sys.platform == "linux" and not is_first:
            _Libc().prctl(_PR_SET_CHILD_SUBREAPER, 1)
        if spec["new_mounts"]:
            libc = _Libc()
            _enter_namespaces(libc, new_user=spec["new_user"] and not is_first, new_pids=False)
            _take_file_system(libc, spec, spec_path)
            if is_first:
                libc.mount("proc", "/proc", "proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
        return _supervise(spec, lifeline, status)
    except (OSError, ValueError, KeyError) as error:
        _report(status, {"error": f"The job's private file system could not be made: {error}"})
        return 1


def _take_file_system(libc: _Libc, spec: dict[str, Any], spec_path: str) -> None:
    """Leave the network if the spec says so, and mount what it names."""
    if spec["new_net"]:
        _leave_network(libc)
    _mount_all(libc, spec["mounts"], spec["keep"], f"{spec_path}-root")


def _enter_namespaces(libc: _Libc, *, new_user: bool, new_pids: bool, new_mounts: bool = True) -> None:
    uid, gid = os.geteuid(), os.getegid()
    flags = 0
    if new_mounts:
        flags |= _CLONE_NEWNS
    if new_user:
        flags |= _CLONE_NEWUSER
    if new_pids:
        flags |= _CLONE_NEWPID
    libc.unshare(flags)
    if new_user:
        # A process without privileges may map only itself, and only after it has denied setgroups (user_namespaces(7)).
        for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:  # noqa: PTH123
                file.write(text)
    if new_mounts:
        libc.mount("none", "/", None, _MS_REC | _MS_PRIVATE)


def _leave_network(libc: _Libc) -> None:
    """Take a network of nothing but a loopback, or say in the output of the job that this machine has none."""
    import fcntl
    import struct

    try:
        libc.unshare(_CLONE_NEWNET)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as anything:
            fcntl.ioctl(anything, _SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", _IFF_UP))
    except OSError as error:
        os.write(1, f"WARNING: EnableNetworkIsolation has no effect here: {error}\n".encode())


def _mount_all(libc: _Libc, mounts: list[list[str]], keep: list[str], spare: str) -> None:
    """Mount everything.

    :param spare: a path where a directory may be made.
    """
    # Every source is opened before the first mount, since a mount may hide the path of the next source.
    sources = [(os.open(source, os.O_PATH), target) for source, target in mounts]
    kept = [(os.open(path, os.O_PATH), path) for path in keep if os.path.exists(path)]  # noqa: PTH110
    for source, target in sources:
        if not os.path.exists(target):  # noqa: PTH110
            _make_mount_point(libc, target, spare, is_file=not stat.S_ISDIR(os.fstat(source).st_mode))
        libc.mount(f"/proc/self/fd/{source}", target, None, _MS_BIND | _MS_REC)
    targets = [target.rstrip("/") + "/" for _, target in sources]
    for source, path in kept:
        if any(path.startswith(target) for target in targets):
            os.makedirs(path, exist_ok=True)  # noqa: PTH103
            libc.mount(f"/proc/self/fd/{source}", path, None, _MS_BIND | _MS_REC)
    for source, _ in (*sources, *kept):
        os.close(source)
    libc.leave_first_root()


def _make_mount_point(libc: _Libc, target: str, spare: str, *, is_file: bool) -> None:
    """Make a directory or file where we may not write.

    The directory above it that exists becomes a tmpfs, and everything in that one is mounted there again.
    """
    parent = os.path.dirname(target)  # noqa: PTH120
    while not os.path.isdir(parent):  # noqa: PTH112
        parent = os.path.dirname(parent)  # noqa: PTH120
    entries = _open_entries(parent)
    if parent == "/":
        # Nothing can be mounted on the root itself, so another directory becomes the root.
        os.makedirs(spare, exist_ok=True)  # noqa: PTH103
        _mount_entries(libc, spare, entries)
        libc.change_root(spare)
    else:
        _mount_entries(libc, parent, entries)
    os.makedirs(os.path.dirname(target) if is_file else target, exist_ok=True)  # noqa: PTH103, PTH120
    if is_file:
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY))


def _open_entries(directory: str) -> list[tuple[str, str | None, int | None]]:
    """The name of each entry of a directory, with what it links to, or with a descriptor."""
    found: list[tuple[str, str | None, int | None]] = []
    try:
        entries = list(os.scandir(directory))
    except PermissionError:
        return found  # nothing in it can be read anyway
    for entry in entries:
        link = os.readlink(entry.path) if entry.is_symlink() else None  # noqa: PTH115
        found.append((entry.name, link, None if link else os.open(entry.path, os.O_PATH)))
    return found


def _mount_entries(libc: _Libc, directory: str, entries: list[tuple[str, str | None, int | None]]) -> None:
    libc.mount("tmpfs", directory, "tmpfs", _MS_NOSUID | _MS_NODEV)
    for name, link, source in entries:
        path = f"{directory}/{name}"
        if link is not None:
            os.symlink(link, path)  # noqa: PTH211
        elif source is not None:
            if stat.S_ISDIR(os.fstat(source).st_mode):
                os.mkdir(path)  # noqa: PTH102
            else:
                os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
            libc.mount(f"/proc/self/fd/{source}", path, None, _MS_BIND | _MS_REC)
            os.close(source)


def enter(spec_path: str) -> int:
    """Run the program of one spec at this terminal, in this process group; give its exit code as a shell does."""
    with open(spec_path, encoding="utf-8") as file:  # noqa: PTH123
        spec = json.load(file)
    for number in (signal.SIGINT, signal.SIGQUIT):
        # Ctrl-C is for the program.
        signal.signal(number, lambda number, frame: None)
    if not spec["new_mounts"]:
        return _run_here(spec)
    libc = _Libc()
    _enter_namespaces(libc, new_user=spec["new_user"], new_pids=spec["new_pids"])
    _take_file_system(libc, spec, spec_path)
    if not spec["new_pids"]:
        return _run_here(spec)
    first = os.fork()
    if first == 0:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        libc.mount("proc", "/proc", "proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
        os._exit(_run_here(spec))
    return _exit_code(os.waitstatus_to_exitcode(os.waitpid(first, 0)[1]))


def _run_here(spec: dict[str, Any]) -> int:
    import subprocess

    try:
        process = subprocess.Popen(spec["argv"], env=spec["env"], cwd=spec["cwd"], umask=0o022)
    except OSError as error:
        os.write(2, f"'{spec['argv'][0]}' could not be started: {error.strerror}\n".encode())
        return 127
    return _exit_code(process.wait())


def _exit_code(code: int) -> int:
    return code if code >= 0 else 128 - code


class _FirstProcess:
    """Process 1 of a new PID namespace, which waits for a job. When it ends, the kernel kills all processes of the job.

    The namespace of mounts comes with the job: one that was made before would not have what was mounted meanwhile.

    :param orders_of_launcher: the socket of this process. Held by the other one, too, it would take an order after this
        process has been killed.
    :param new_user: whether it needs a user namespace, too.
    """

    def __init__(self, orders_of_launcher: socket.socket, *, new_user: bool) -> None:
        libc = _Libc()
        _enter_namespaces(libc, new_user=new_user, new_pids=True, new_mounts=False)
        self._orders, theirs = socket.socketpair()
        self._pid = os.fork()
        if self._pid == 0:
            self._orders.close()
            orders_of_launcher.close()
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            message, descriptors = _wait_for_order(theirs)
            status = descriptors[2]
            try:
                os._exit(_run_order(message, *descriptors))
            except BaseException as error:  # noqa: BLE001 - the engine must hear of it
                _report(status, {"error": f"The job could not be supervised: {error}"})
                os._exit(1)
        theirs.close()

    def run(self, message: bytes, output: int, lifeline: int, status: int) -> None:
        """Give it its job, and wait until it has ended."""
        socket.send_fds(self._orders, [message], [output, lifeline, status])
        for descriptor in (output, lifeline):
            os.close(descriptor)
        _, raw = os.waitpid(self._pid, 0)
        if os.WIFSIGNALED(raw):
            _report(status, {"signal": os.WTERMSIG(raw)})


def _supervise(spec: dict[str, Any], lifeline: int, status: int) -> int:
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_read, False)
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    job = _start_job(spec, status)
    if job is None:
        return 1
    _give_up_output()
    watched = [wake_read, lifeline]
    while True:
        ended = _reap(job)
        if ended is not None:
            is_alone = _kill_rest(job)
            _report(status, {**ended, "is_alone": is_alone})
            return 0
        readable, _, _ = select.select(watched, [], [])
        if wake_read in readable:
            os.read(wake_read, 4096)
        if lifeline in readable:
            order = os.read(lifeline, 64)
            if not order or b"K" in order:
                _kill_rest(job)
                if not order:
                    watched.remove(lifeline)
            elif b"T" in order:
                _signal_group(job, signal.SIGTERM)


def _start_job(spec: dict[str, Any], status: int) -> int | None:
    """Start the program in a session of its own; give its process id, or report why it does not start."""
    try:
        # The umask is a container's, and the endpoint's own is stricter.
        os.umask(0o022)
        os.chdir(spec["cwd"])
        if sys.platform != "linux":
            import subprocess

            return subprocess.Popen(spec["argv"], env=spec["env"], start_new_session=True).pid
        return _spawn(spec["argv"], spec["env"])
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        _report(status, {"error": f"'{spec['argv'][0]}' could not be started: {reason}"})
        return None


def _spawn(argv: list[str], env: dict[str, str]) -> int:
    """Start a program that is looked up on its own PATH, as Popen does, which takes three milliseconds in a fork.

    Of the descriptors it gets 0, 1 and 2; all others here are closed on exec.
    """
    places = [argv[0]] if "/" in argv[0] else [f"{place or '.'}/{argv[0]}" for place in os.get_exec_path(env)]
    fault: OSError = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    for place in places:
        try:
            return os.posix_spawn(place, argv, env, setsid=True, setsigdef=(signal.SIGPIPE, signal.SIGXFSZ))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            if fault.errno == errno.ENOENT:
                fault = error
    raise fault


def _reap(job: int) -> dict[str, int] | None:
    """Collect ended children, including orphans of the job; give the end of the job itself, if it has ended."""
    ended = None
    while True:
        try:
            pid, raw = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        if pid == job:
            ended = {"signal": os.WTERMSIG(raw)} if os.WIFSIGNALED(raw) else {"exit": os.WEXITSTATUS(raw)}


def _kill_rest(job: int) -> bool:
    """Kill what is left of the job; True if the kernel says that nothing is."""
    if sys.platform == "linux" and os.getpid() == 1:
        # For process 1 of a namespace, -1 means every other process in it, and nothing outside.
        try:
            os.kill(-1, signal.SIGKILL)
        except ProcessLookupError:
            return True
        return False
    _signal_group(job, signal.SIGKILL)
    deadline = time.monotonic() + _SWEEP_SECONDS
    while sys.platform == "linux" and (left := _children()) and time.monotonic() < deadline:
        # Orphans become our children, since we are the subreaper. So killing children repeatedly kills the whole tree.
        for pid in left:
            try:  # noqa: SIM105 - see _report
                os.kill(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass
        if job in left:
            break  # its end wakes the supervisor, which calls this again
        time.sleep(0.005)
    return False


def _children() -> list[int]:
    """Our living children by /proc, without zombies."""
    me = os.getpid()
    found = []
    for name in os.listdir("/proc"):  # noqa: PTH208
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
                    state, parent = file.read().rpartition(")")[2].split()[:2]
            except OSError:
                continue
            if int(parent) == me and state not in "ZX":
                found.append(int(name))
    return found


def _signal_group(group: int, number: signal.Signals) -> None:
    try:  # noqa: SIM105 - see _report
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        pass


def _report(status: int, outcome: dict[str, Any]) -> None:
    try:  # noqa: SIM105 - a small process is forked sooner
        os.write(status, json.dumps(outcome).encode() + b"\n")
    except OSError:
        pass  # the engine is gone, so there is nobody to tell


if __name__ == "__main__":
    sys.exit(enter(sys.argv[2]) if sys.argv[1] == "--enter" else main(int(sys.argv[1])))

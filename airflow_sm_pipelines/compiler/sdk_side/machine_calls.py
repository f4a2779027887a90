"""Finds where the user's code asks for something that differs between two runs: time, randomness, machine, network.

Calls are watched while they run, because the text of a script does not show what its libraries do. A call counts if the
user's code makes it, itself or through a library. It does not count if a library makes it for its own purposes: a
logger asks for the time, boto3 signs requests with it, and a module may ask for anything while it is imported.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.machinery
import os
import random
import sys
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType

    from .project import Project

_OWN = os.path.dirname(os.path.abspath(__file__)) + os.sep  # noqa: PTH100, PTH120 - compared as text
_SDK = frozenset({"sagemaker", "cloudpickle"})
_FOR_ITSELF = frozenset(
    [
        "asyncio",
        "boto3",
        "botocore",
        "concurrent",
        "ctypes",
        "email",
        "gettext",
        "gzip",
        "http",
        "importlib",
        "linecache",
        "logging",
        "multiprocessing",
        "pkgutil",
        "queue",
        "s3transfer",
        "selectors",
        "shutil",
        "ssl",
        "tarfile",
        "tempfile",
        "threading",
        "tqdm",
        "traceback",
        "urllib3",
        "warnings",
        "zipfile",
    ]
)
"""What these ask for time, randomness and variables stays with them."""
_WATCHED = {
    "now": "the clock",
    "utcnow": "the clock",
    "today": "the clock",
    "time_ns": "the clock",
    "ctime": "the clock",
    "asctime": "the clock",
    "clock_gettime": "the clock",
    "urandom": "randomness",
    "getrandom": "randomness",
    "uname": "the machine's name",
    "gethostname": "the machine's name",
    "getpid": "the process's number",
    "getlogin": "the user's name",
    "getuid": "the user's number",
}
"""Functions of C by name, which are checked by module then."""
_KEPT_BY_PYTHON = {"platform": ("node", "uname"), "getpass": ("getuser",), "uuid": ("getnode",)}
"""Functions of Python that answer from memory, where no call of C is seen."""
_NUMPY_BLOCK = 624 * 4
"""Bytes that numpy's generator, a Mersenne twister, gives before its state changes as a whole."""

_NUMPY_CHUNK = 1000 * _NUMPY_BLOCK
_NUMPY_CHUNKS = 20
"""How far is looked: 50 MB of random numbers."""

_MODULES = frozenset({"time", "posix", "nt", "os", "_socket", "datetime"})


def find_asking_frame(
    frame: FrameType | None, project: Project, is_for_itself: frozenset[str] = _FOR_ITSELF
) -> FrameType | None:
    """Find the user's code that makes a call, itself or through a library.

    :param frame: the caller; those that called it follow.
    :param is_for_itself: libraries that ask for their own purposes.
    :return: None where the call is made for another reason.
    """
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(_OWN):
            return None
        if project.holds(file):
            return frame
        module = str(frame.f_globals.get("__name__", "")).split(".")[0]
        if file.startswith("<frozen importlib") or module in _SDK or module in is_for_itself:
            return None
        frame = frame.f_back
    return None


class MachineCalls:
    """Watches the calls of one build.

    :ivar found: what the user's code has asked for, with the place.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        self._is_on = False
        self._is_seeded = False
        self._numpy_state: Any = None
        self._lock = threading.Lock()
        self.found: list[str] = []

    def install(self) -> None:
        """Prepare; nothing is watched before `watch`."""
        sys.addaudithook(self._hear)
        self._let_imports_alone()
        self._watch_generators()
        for module_name, names in _KEPT_BY_PYTHON.items():
            module = importlib.import_module(module_name)
            for name in names:
                self._watch_function(module, name)

    @contextlib.contextmanager
    def watch(self) -> Any:
        """Watch what runs inside."""
        self._is_on = True
        loaded = sys.modules.get("numpy.random.mtrand")
        if loaded is not None:
            self._numpy_state = loaded.get_state()
        stop = self._monitor() if sys.version_info >= (3, 12) else self._profile()
        try:
            yield
        finally:
            stop()
            self._check_numpy()
            self._is_on = False

    def note_real(self, name: str, arguments: tuple[Any, ...], frame: FrameType) -> None:
        """Take note of a call of a function that the stamps stand before, made by somebody else than the SDK.

        :param name: the function, with its module.
        """
        if not self._is_on:
            return
        if name.startswith("random."):
            if name == "random.seed" and arguments and arguments[0] is not None:
                self._is_seeded |= self._place_of(frame) is not None
            elif not self._is_seeded:
                self._note(f"randomness ({name})", frame)
        elif name.startswith(("uuid.", "secrets.")):
            self._note(f"randomness ({name})", frame)
        else:
            self._note(f"the clock ({name})", frame)

    def _watch_function(self, module: Any, name: str) -> None:
        real = getattr(module, name)

        @functools.wraps(real)
        def call(*args: Any, **options: Any) -> Any:
            if self._is_on:
                self._note(f"the machine or the user ({module.__name__}.{name})", sys._getframe(1))
            return real(*args, **options)

        setattr(module, name, call)

    def _watch_generators(self) -> None:
        """Watch generators that take their seed from the system: it is read in C, where no call is seen."""
        real = random.Random.seed

        @functools.wraps(real)
        def seed(generator: Any, a: Any = None, *args: Any, **options: Any) -> None:
            if self._is_on and a is None and not isinstance(generator, random.SystemRandom):
                self._note("randomness (random.Random)", sys._getframe(1))
            real(generator, a, *args, **options)

        random.Random.seed = seed  # type: ignore[assignment, method-assign]

    def _check_numpy(self) -> None:
        """Note that numpy's global generator was drawn from as it was seeded at import: by the system.

        Its functions are left as they are, since user's functions that name them are pickled. The state tells: if it
        can be reached from the first one by drawing, nobody has seeded it.
        """
        mtrand = sys.modules.get("numpy.random.mtrand")
        if self._numpy_state is None or mtrand is None:
            return
        kind, first, first_place, *_ = self._numpy_state
        _, now, place, *_ = mtrand.get_state()
        if (now.tobytes(), place) == (first.tobytes(), first_place):
            return
        copy = mtrand.RandomState(0)
        copy.set_state((kind, now, 0))
        block = copy.bytes(_NUMPY_BLOCK)
        copy.set_state((kind, first, 0))
        if any(block in copy.bytes(_NUMPY_CHUNK) for _ in range(_NUMPY_CHUNKS)):
            self._add("the script, or a library, draws from numpy.random, which nobody has seeded")

    def _note(self, what: str, frame: FrameType | None, *, is_for_itself: frozenset[str] = _FOR_ITSELF) -> None:
        place = self._place_of(frame, is_for_itself)
        if place is not None:
            self._add(f"{place} asks for {what}")

    def _add(self, reason: str) -> None:
        with self._lock:
            if reason not in self.found:
                self.found.append(reason)

    def _place_of(self, frame: FrameType | None, is_for_itself: frozenset[str] = _FOR_ITSELF) -> str | None:
        """Give the line of the user's code that made a call; None where it was made for another reason."""
        asking = find_asking_frame(frame, self._project, is_for_itself)
        return None if asking is None else f"{self._project.name_of(asking.f_code.co_filename)}:{asking.f_lineno}"

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._is_on:
            return
        if event == "socket.connect" and isinstance(arguments[1], tuple):
            self._note(f"an answer of {arguments[1][0]}", sys._getframe(1), is_for_itself=frozenset({"botocore"}))
        elif event in ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn"):
            self._hear_process(arguments)

    def _hear_process(self, arguments: tuple[Any, ...]) -> None:
        frame: FrameType | None = sys._getframe(2)
        given = arguments[1] if len(arguments) > 1 and isinstance(arguments[1], (list, tuple)) else arguments[0]
        words = given if isinstance(given, (list, tuple)) else os.fsdecode(given).split()
        program = os.path.basename(os.fsdecode(words[0])) if words else ""  # noqa: PTH119 - bytes, too
        if program == "git" and self._is_below_sdk(frame):
            self._add("the SDK clones a Git repository")
        else:
            self._note(f"the output of another program ({program})", frame)

    @staticmethod
    def _is_below_sdk(frame: FrameType | None) -> bool:
        while frame is not None:
            if str(frame.f_globals.get("__name__", "")).split(".")[0] in _SDK:
                return True
            frame = frame.f_back
        return False

    def _check(self, function: Any, frame: FrameType) -> None:
        name = function.__name__
        module = getattr(function, "__module__", None) or getattr(
            getattr(function, "__self__", None), "__module__", None
        )
        own = getattr(function, "__self__", None)
        if isinstance(own, type) and own.__module__ == "datetime":
            module = "datetime"
        if module in _MODULES:
            self._note(f"{_WATCHED[name]} ({str(module).lstrip('_').replace('posix', 'os')}.{name})", frame)

    def _profile(self) -> Callable[[], None]:
        watched = frozenset(_WATCHED)

        def profile(frame: FrameType, event: str, argument: Any) -> None:
            if event == "c_call" and argument.__name__ in watched:
                self._check(argument, frame)

        threading.setprofile(profile)
        sys.setprofile(profile)

        def stop() -> None:
            sys.setprofile(None)
            threading.setprofile(None)  # type: ignore[arg-type,unused-ignore]

        return stop

    def _monitor(self) -> Callable[[], None]:
        monitoring: Any = sys.monitoring  # type: ignore[attr-defined,unused-ignore]
        tool = next(number for number in (4, 3, 2) if monitoring.get_tool(number) is None)
        monitoring.use_tool_id(tool, "sm-pipelines")
        holds: dict[str, bool] = {}

        def see(code: CodeType, offset: int, function: Any, first: Any) -> Any:
            if getattr(function, "__name__", None) in _WATCHED:
                with contextlib.suppress(AttributeError):
                    self._check(function, sys._getframe(1))
                return None
            file = code.co_filename
            if file not in holds:
                holds[file] = self._project.holds(file)
            # In a library one place calls one function, as good as always; in the user's code each call counts.
            return None if holds[file] else monitoring.DISABLE

        monitoring.register_callback(tool, monitoring.events.CALL, see)
        monitoring.set_events(tool, monitoring.events.CALL)

        def stop() -> None:
            monitoring.set_events(tool, 0)
            monitoring.free_tool_id(tool)

        return stop

    def _let_imports_alone(self) -> None:
        """Watch nothing while a library is imported: that would take as long as the import itself."""
        loader: Any = importlib.machinery.SourceFileLoader
        run = loader.exec_module

        @functools.wraps(run)
        def exec_module(loader_itself: Any, module: Any) -> None:
            before = sys.getprofile()
            if before is None or self._project.holds(str(loader_itself.path)):
                run(loader_itself, module)
            else:
                sys.setprofile(None)
                try:
                    run(loader_itself, module)
                finally:
                    sys.setprofile(before)
            if module.__name__ == "numpy.random":
                self._numpy_state = module.get_state()

        loader.exec_module = exec_module

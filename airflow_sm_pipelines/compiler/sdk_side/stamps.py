"""Gives the SDK placeholders where it asks for the time, an id or a random name, and finds them again in texts.

A stamp is chosen before what it names exists. So every call gets a placeholder of the same shape, known to be one, and
when the pipeline is made each placeholder becomes a value derived from what it names (see `finishing`). Only the
SDK's own calls get one; the user's code sees the real clock.
"""

from __future__ import annotations

import datetime as _datetime
import functools
import random
import re
import secrets
import sys
import threading
import time
import types
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_FIRST_SECOND = 4_733_510_400
"""2120-01-01: every placeholder of a time lies after it, every value that replaces one lies long before."""
_SECONDS_APART = 61
_FRACTION = 0.125
_HEX_MARK = 0xD15C0000
"""The first eight hexadecimal digits of an id are this mark plus the stamp's number, so that a slice is known again."""
_HEX_TAIL = 0x4A11_8B0B_5EAF_57A3_11A0_7E1D
_TIME_FORMATS = (
    "%Y-%m-%d-%H-%M-%S",
    "%Y%m%d%H%M%S",
    "%y%m%d-%H%M",
    "%Y-%m-%d-%H%M%S",
    "%Y%m%d-%H%M%S",
    "%Y%m%d_%H%M%S",
    "%Y%m%dT%H%M%SZ",
    "%Y-%m-%dT%H:%M:%S",
)
_STAMPING = ("sagemaker", "cloudpickle")
# They keep pydantic models, which look their annotations up late.
_KEEP_DATETIME = ("sagemaker.core.shapes", "sagemaker.core.resources")
# Their clocks say how old a kept answer is.
_REAL_CLOCK = (".cache", ".telemetry", ".local.")


@dataclass(frozen=True)
class Stamp:
    """One call of the SDK for something that is never the same twice.

    :param number: counts the calls of one build.
    :param is_secret: whether its value must not be known to others.
    """

    number: int
    is_secret: bool = False

    @property
    def second(self) -> int:
        """The placeholder's time, in seconds since 1970."""
        return _FIRST_SECOND + self.number * _SECONDS_APART

    @property
    def id(self) -> int:
        """The placeholder's 128 bits."""
        return (_HEX_MARK + self.number) << 96 | _HEX_TAIL


@dataclass(frozen=True)
class Rendering:
    """How a stamp's value is written at one place; `write` does the same for the value that replaces it."""

    stamp: Stamp
    write: Callable[[bytes], str]


class Stamps:
    """The stamps of one build, and every text they may be known by."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._renderings: dict[str, Rendering] = {}
        self._pattern: re.Pattern[str] | None = None
        self._note_real: Callable[[str, tuple[Any, ...], types.FrameType], None] = lambda name, arguments, frame: None
        self.real_time: Callable[[], float] = time.time
        self.real_token: Callable[..., str] = secrets.token_hex

    def install(self, note_real: Callable[[str, tuple[Any, ...], types.FrameType], None]) -> None:
        """Answer the SDK's calls for time, ids and randomness with placeholders, from now on.

        :param note_real: called with each of those calls that somebody else makes: name, arguments and caller.
        """
        self._note_real = note_real
        time.time = self._instead(time.time, lambda stamp: stamp.second + _FRACTION)
        for name in ("gmtime", "localtime"):
            real = getattr(time, name)
            wrapped = self._instead(real, lambda stamp: time.gmtime(stamp.second), if_no_arguments=True)
            setattr(time, name, wrapped)
        time.strftime = self._strftime(time.strftime)
        for name in ("uuid1", "uuid4"):
            setattr(uuid, name, self._instead(getattr(uuid, name), lambda stamp: uuid.UUID(int=stamp.id)))
        for name in ("token_hex", "token_urlsafe"):
            setattr(secrets, name, self._instead(getattr(secrets, name), self._token))
        # What the SDK draws beside a stamp only tells two stamps of one moment apart, and ours are apart.
        for name in ("randrange", "randint", "choice", "choices", "sample", "shuffle", "random", "uniform", "seed"):
            setattr(random, name, self._steady_random(name))

    def install_datetime(self) -> None:
        """Do the same for the `datetime` that modules of the SDK have imported by now."""
        moments = self._datetime_class()
        module = types.ModuleType("datetime")
        module.__dict__.update(vars(_datetime))
        module.__dict__["datetime"] = moments
        for name, loaded in list(sys.modules.items()):
            if not name.startswith("sagemaker") or name.startswith(_KEEP_DATETIME) or not _is_stamping(name):
                continue
            for attribute, value in list(vars(loaded).items()) if loaded is not None else ():
                if value is _datetime.datetime:
                    setattr(loaded, attribute, moments)
                elif value is _datetime:
                    setattr(loaded, attribute, module)

    def draw(self, *, is_secret: bool = False) -> Stamp:
        """Give the next stamp."""
        with self._lock:
            self._count += 1
            stamp = Stamp(self._count, is_secret)
            self._pattern = None
        self._add_id(stamp)
        self._add_time(stamp)
        return stamp

    def timestamp(self) -> str:
        """Give a placeholder in the form of the SDK's `sagemaker_timestamp`."""
        return _in_format("%Y-%m-%d-%H-%M-%S", self.draw().second) + "-125"

    def short_id(self) -> str:
        """Give a placeholder of eight hexadecimal digits."""
        return f"{self.draw().id:032x}"[:8]

    def find(self, text: str) -> list[Stamp]:
        """Give the stamps a text holds, in its order."""
        return [self._renderings[found].stamp for found in self._search().findall(text)]

    def replace(self, text: str, value_of: Callable[[Stamp], bytes]) -> str:
        """Write the stamps' values in place of their placeholders.

        :param value_of: a stamp's value, 32 bytes.
        """

        def write(match: re.Match[str]) -> str:
            rendering = self._renderings[match[0]]
            return rendering.write(value_of(rendering.stamp))

        return self._search().sub(write, text)

    def neutral(self, text: str) -> str:
        """Give a text in which the placeholders of all stamps look the same."""
        return self._search().sub("*", text)

    def _search(self) -> re.Pattern[str]:
        if self._pattern is None:
            texts = sorted(self._renderings, key=lambda text: (-len(text), text))
            self._pattern = re.compile("|".join(map(re.escape, texts)) or r"(?!)")
        return self._pattern

    def _add(self, text: str, stamp: Stamp, write: Callable[[bytes], str]) -> None:
        self._renderings[text] = Rendering(stamp, write)

    def _add_id(self, stamp: Stamp) -> None:
        written = f"{stamp.id:032x}"
        self._add(str(uuid.UUID(int=stamp.id)), stamp, lambda value: str(uuid.UUID(bytes=value[:16], version=4)))
        for length in (32, 16, 12, 10, 8):
            self._add(written[:length], stamp, lambda value, length=length: value.hex()[:length])  # type: ignore[misc]

    def _add_time(self, stamp: Stamp) -> None:
        self._add(f"{stamp.second}", stamp, lambda value: f"{_second_of(value)}")
        self._add(f"{stamp.second}125", stamp, lambda value: f"{_second_of(value)}{_millisecond_of(value):03d}")
        for form in _TIME_FORMATS:
            self.add_format(stamp, form)
        long = _TIME_FORMATS[0]
        self._add(
            f"{_in_format(long, stamp.second)}-125",
            stamp,
            lambda value: f"{_in_format(long, _second_of(value))}-{_millisecond_of(value):03d}",
        )

    def add_format(self, stamp: Stamp, form: str) -> str:
        """Know a stamp by its time in one more format, too, and give that text."""
        text = _in_format(form, stamp.second)
        if len(text) >= len("060102-1504"):  # a shorter one stands in texts that are none
            self._pattern = None
            self._add(text, stamp, lambda value: _in_format(form, _second_of(value)))
        return text

    def _instead(
        self, real: Callable[..., Any], give: Callable[[Stamp], Any], *, if_no_arguments: bool = False
    ) -> Callable[..., Any]:
        def call(frame: types.FrameType, *args: Any, **options: Any) -> Any:
            if if_no_arguments and args:
                return real(*args, **options)
            if _wants_stamp(frame):
                return give(self.draw())
            self._note_real(f"{real.__module__}.{real.__name__}", args, frame)
            return real(*args, **options)

        return _Instead(real, call)

    def _token(self, stamp: Stamp) -> str:
        # Its own randomness: what nobody may guess is never derived from what everybody may read.
        token = self.real_token(32)
        secret = Stamp(stamp.number, is_secret=True)
        self._pattern = None
        self._add(token, secret, lambda value: value.hex())
        return token

    def _steady_random(self, name: str) -> Callable[..., Any]:
        real = getattr(random, name)

        def draw(frame: types.FrameType, *args: Any, **options: Any) -> Any:
            if _wants_stamp(frame):
                return getattr(random.Random(0), name)(*args, **options)  # noqa: S311 - it is to be no surprise
            self._note_real(f"random.{name}", args, frame)
            return real(*args, **options)

        return _Instead(real, draw)

    def _strftime(self, real: Callable[..., str]) -> Callable[..., str]:
        def strftime(frame: types.FrameType, form: str, *args: Any) -> str:
            if args:
                return real(form, *args)
            if _wants_stamp(frame):
                return self.add_format(self.draw(), form)
            self._note_real("time.strftime", (), frame)
            return real(form)

        return _Instead(real, strftime)

    def _datetime_class(self) -> type:
        stamps = self
        real: Any = _datetime.datetime

        class Meta(type):
            def __instancecheck__(cls, value: object) -> bool:
                return isinstance(value, real)

            def __subclasscheck__(cls, kind: type) -> bool:
                return issubclass(kind, real)

        class Moment(real, metaclass=Meta):  # type: ignore[misc, unused-ignore]
            """The real class, but for the calls that ask for the time."""

            @classmethod
            def now(cls, tz: Any = None) -> Any:
                return stamps._moment(real, tz) if _wants_stamp(sys._getframe(1)) else real.now(tz)

            @classmethod
            def utcnow(cls) -> Any:
                return stamps._moment(real, None) if _wants_stamp(sys._getframe(1)) else real.utcnow()

            today = utcnow

            def __new__(cls, *args: Any, **options: Any) -> Any:
                return real(*args, **options)

        return Moment

    def _moment(self, real: Any, tz: Any) -> Any:
        stamp = self.draw()
        stamps = self

        class Written(real):  # type: ignore[misc, unused-ignore]
            """A stamp's time; each way it is written is one the stamp is known by."""

            def strftime(self, form: str) -> str:
                return stamps.add_format(stamp, form)

            def __format__(self, form: str) -> str:
                return self.strftime(form) if form else str(self)

            def isoformat(self, *args: Any, **options: Any) -> str:
                text: str = super().isoformat(*args, **options)
                head, mark, tail = text.partition(_in_format("%H:%M:%S", stamp.second))
                form = f"{head[:-1] and '%Y-%m-%d'}{head[-1:]}%H:%M:%S"
                return stamps.add_format(stamp, form) + tail if mark else text

            def __str__(self) -> str:
                return self.isoformat(sep=" ")

        moment = Written.fromtimestamp(stamp.second, _datetime.timezone.utc)
        return moment if tz is not None else moment.replace(tzinfo=None)


class _Instead:
    """Stands in for a C function. A Python function would become a method where a class keeps it, as `logging` does."""

    def __init__(self, real: Callable[..., Any], call: Callable[..., Any]) -> None:
        functools.update_wrapper(self, real)
        self._call = call

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self._call(sys._getframe(1), *args, **options)


def _is_stamping(module: str) -> bool:
    return module.split(".")[0] in _STAMPING and not any(part in f"{module}." for part in _REAL_CLOCK)


def _wants_stamp(frame: types.FrameType) -> bool:
    """Say whether the SDK asks to name something; a function that also sleeps asks how long it has been waiting."""
    name = frame.f_globals.get("__name__")
    return isinstance(name, str) and _is_stamping(name) and "sleep" not in frame.f_code.co_names


def _in_format(form: str, second: int) -> str:
    moment = _datetime.datetime(1970, 1, 1) + _datetime.timedelta(seconds=second)  # noqa: DTZ001 - written as UTC
    return moment.strftime(form)


def _millisecond_of(value: bytes) -> int:
    return int.from_bytes(value[8:10], "big") % 1000


def _second_of(value: bytes) -> int:
    """Give a value's time: ten digits, in 2001 to 2096, before every placeholder."""
    return 1_000_000_000 + int.from_bytes(value[:8], "big") % 3_000_000_000

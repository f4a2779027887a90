"""The SageMaker API as data: its operations and the shapes of their requests and answers.

One model judges for every part of this package: the installed botocore's, or the one that is carried here
(``sagemaker.json.gz``, made by ``scripts/make_service_model.py``), whichever comes from the higher botocore version. So
an old boto3 refuses nothing that AWS takes. How a value is held against a shape is in :mod:`walk`.
"""

from __future__ import annotations

import gzip
import json
import re
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from airflow_sm_pipelines.service_model.patterns import compile_pattern

if TYPE_CHECKING:
    from collections.abc import Mapping

CARRIED_MODEL = Path(__file__).with_name("sagemaker.json.gz")
"""The model that this package carries: shapes and constraints, without prose."""

TypeName: TypeAlias = Literal[
    "string", "integer", "long", "float", "double", "boolean", "timestamp", "structure", "list", "map"
]

MAX_CLOSED_LIST = 20
"""An enumeration with more values than this is a list that grows."""

_PLAIN_VALUE = re.compile(r"[A-Za-z0-9._-]{1,128}")
"""What a value of an enumeration looks like; AWS adds no other."""


@dataclass(slots=True, eq=False)
class Shape:
    """What one value of the API may be. Shapes refer to each other and may form a circle.

    :param name: as the API calls it: ``TrainingInstanceType``.
    :param minimum: the least value of a number, else the least length; None for no limit.
    :param maximum: the greatest value or length.
    :param spelled_pattern: the regular expression as the API spells it, which is Java's; empty for none.
    :param enum: the values that a string may have; empty where it may have any.
    :param required_members: of a structure.
    :param is_tagged_union: whether exactly one member of a structure must be set.
    :ivar members: of a structure, by name.
    :ivar member: of a list.
    :ivar key: of a map.
    :ivar value: of a map.
    """

    name: str
    type_name: TypeName
    minimum: float | None = None
    maximum: float | None = None
    spelled_pattern: str = ""
    enum: tuple[str, ...] = ()
    required_members: tuple[str, ...] = ()
    is_tagged_union: bool = False
    members: dict[str, Shape] = field(default_factory=dict, repr=False)
    member: Shape = field(init=False, repr=False)
    key: Shape = field(init=False, repr=False)
    value: Shape = field(init=False, repr=False)

    @property
    def pattern(self) -> re.Pattern[str] | None:
        """What the whole text must match; None for no pattern."""
        return compile_pattern(self.spelled_pattern) if self.spelled_pattern else None

    @property
    def is_open_list(self) -> bool:
        """Whether AWS adds values to the enumeration now and then, so that an unknown one may well be right.

        Those are the lists of instance types, and every list that is longer than any fixed choice.
        """
        return self.name.endswith("InstanceType") or len(self.enum) > MAX_CLOSED_LIST

    def may_gain(self, text: str) -> bool:
        """Whether a value that the enumeration does not have may be one that AWS has added since."""
        return self.is_open_list and _PLAIN_VALUE.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Operation:
    """One call of the API; a shape is None where the call takes or answers nothing."""

    name: str
    input_shape: Shape | None
    output_shape: Shape | None


class ServiceModel:
    """The operations and shapes of the API.

    :param document: a model in botocore's format (``service-2``); only ``operations`` and ``shapes`` are read.
    :param version: the botocore version that the document came with.
    """

    def __init__(self, document: Mapping[str, Any], *, version: str) -> None:
        self.version = version
        self._operations = document["operations"]
        self._shapes = _link_shapes(document["shapes"])

    @cached_property
    def operation_names(self) -> frozenset[str]:
        """Every operation of the service."""
        return frozenset(self._operations)

    @cached_property
    def shape_names(self) -> frozenset[str]:
        """Every shape of the service."""
        return frozenset(self._shapes)

    def get_operation(self, name: str) -> Operation:
        """The operation of that name.

        :raises KeyError: when the model has none.
        """
        operation = self._operations[name]
        input_shape, output_shape = (
            self._shapes[operation[side]["shape"]] if side in operation else None for side in ("input", "output")
        )
        return Operation(name, input_shape, output_shape)

    def get_request_shape(self, operation: str) -> Shape:
        """The shape of an operation's request, for one that takes a request.

        :raises KeyError: when the model has no such operation, or it takes nothing.
        """
        return self._shapes[self._operations[operation]["input"]["shape"]]

    def get_shape(self, name: str) -> Shape:
        """The shape of that name.

        :raises KeyError: when the model has none.
        """
        return self._shapes[name]


@lru_cache(maxsize=1)
def load_service_model() -> ServiceModel:
    """The model that judges, read once per process; needs neither credentials nor a region.

    It takes about 40 ms, and 200 ms where the installed botocore is newer than the carried model.
    """
    document, version = read_carried_model()
    installed = read_installed_version()
    if parse_version(installed) > parse_version(version):
        return ServiceModel(read_installed_model(), version=installed)
    return ServiceModel(document, version=version)


def read_carried_model() -> tuple[Mapping[str, Any], str]:
    """The model that this package carries, and the botocore version that it was made from."""
    document = json.loads(gzip.decompress(CARRIED_MODEL.read_bytes()))
    return document, document["botocore"]


def read_installed_model() -> Mapping[str, Any]:
    """The installed botocore's model."""
    from botocore.loaders import create_loader

    document: Mapping[str, Any] = create_loader().load_service_model("sagemaker", "service-2")
    return document


def read_installed_version() -> str:
    """The installed botocore's version; empty where there is none."""
    try:
        import botocore
    except ImportError:
        return ""
    return str(botocore.__version__)


def parse_version(text: str) -> tuple[int, ...]:
    """A version to compare by: ``1.44.5`` is ``(1, 44, 5)``; empty text is older than all others."""
    return tuple(int(number) for number in re.findall(r"\d+", text)[:3])


def _link_shapes(raw: Mapping[str, Any]) -> dict[str, Shape]:
    shapes = {
        name: Shape(
            name,
            shape["type"],
            minimum=shape.get("min"),
            maximum=shape.get("max"),
            spelled_pattern=shape.get("pattern", ""),
            enum=tuple(shape.get("enum", ())),
            required_members=tuple(shape.get("required", ())),
            is_tagged_union=shape.get("union", False),
        )
        for name, shape in raw.items()
    }
    for name, shape in raw.items():
        linked = shapes[name]
        if "members" in shape:
            linked.members.update((key, shapes[member["shape"]]) for key, member in shape["members"].items())
        for part in ("member", "key", "value"):
            if part in shape:
                setattr(linked, part, shapes[shape[part]["shape"]])
    return shapes


def find_member_name(shape: Any, name: str) -> str:
    """A member's name as the API spells it; Step Functions has ``DbInstance`` for ``DBInstance``.

    :param shape: one of botocore's.
    :return: the same name where the shape has no such member.
    """
    members = getattr(shape, "members", {})
    if name in members:
        return name
    return next((one for one in members if one.lower() == name.lower()), name)

"""What the packages beside this module share: parts of SageMaker's container toolkits that scripts import.

Those packages on the index are source packages with pins of 2020, so these modules take their place in jobs. A package
that a step installs comes first on ``sys.path`` and wins. Standard library of Python 3.7, and numpy. Sources:
aws/sagemaker-containers, aws/sagemaker-training-toolkit, aws/sagemaker-inference-toolkit.
"""

from __future__ import annotations

import csv
import importlib
import io
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

JSON, CSV, NPY, NPZ = "application/json", "text/csv", "application/x-npy", "application/x-npz"
content_types = SimpleNamespace(
    JSON=JSON, CSV=CSV, NPY=NPY, NPZ=NPZ, OCTET_STREAM="application/octet-stream", ANY="*/*", UTF8_TYPES=[JSON, CSV]
)


def refuse_missing(module: str, package: str) -> Callable[[str], Any]:
    """A ``__getattr__`` for a module: it says which function is missing, and what to install.

    :param module: the module's name.
    :param package: the package on the index that has the function.
    """

    def missing(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        folder = Path(str(getattr(sys.modules.get(module), "__file__", ""))).parent
        if (folder / f"{name}.py").is_file() and folder.name == module.rpartition(".")[2]:
            return importlib.import_module(f"{module}.{name}")
        raise ImportError(
            f"'{module}' has no '{name}' here: the local endpoint brings the functions that scripts use most. Install "
            f"'{package}' in the step, or add it to the image's requirements, to have all of them."
        )

    return missing


class MissingPart:
    """Stands in for a module that scripts import and seldom use. A use of it says what is missing."""

    def __init__(self, name: str, package: str) -> None:
        self._missing = refuse_missing(name, package)

    def __getattr__(self, name: str) -> Any:
        return self._missing(name)


class ClientError(ValueError):
    """The request is wrong."""


class UnsupportedFormatError(Exception):
    """There is no codec for a content type."""

    def __init__(self, content_type: object) -> None:
        super().__init__(
            f"Content type {content_type} is not supported by this framework. Please implement input_fn to deserialize "
            "the request data or an output_fn to serialize the response."
        )


class UnsupportedAcceptTypeError(UnsupportedFormatError):
    """There is no codec for an accepted type."""


def array_to_npy(array_like: Any) -> bytes:
    """Write an array as NPY."""
    import numpy

    buffer = io.BytesIO()
    numpy.save(buffer, array_like)
    return buffer.getvalue()


def npy_to_numpy(npy_array: bytes) -> Any:
    """Read an array from NPY."""
    import numpy

    return numpy.load(io.BytesIO(npy_array), allow_pickle=True)


def array_to_json(array_like: Any) -> str:
    """Write an array, or anything that holds some, as JSON."""

    def as_list(value: Any) -> Any:
        if hasattr(value, "tolist"):
            return value.tolist()
        raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")

    return json.dumps(array_like, default=as_list)


def json_to_numpy(string_like: str, dtype: Any = None) -> Any:
    """Read an array from JSON."""
    import numpy

    return numpy.array(json.loads(string_like), dtype=dtype)


def csv_to_numpy(string_like: str, dtype: Any = None) -> Any:
    """Read an array from CSV. Without a type, its elements stay texts that numpy can turn into numbers."""
    import numpy

    try:
        rows = list(csv.reader(io.StringIO(string_like), strict=True))
        array = numpy.array(rows).squeeze()
    except (csv.Error, ValueError) as error:
        raise ClientError(f"Error while decoding csv: {error}") from error
    try:
        return array.astype(dtype)
    except ValueError as error:
        if dtype is None:
            return array
        raise ClientError(f"Error while writing numpy array: {error}. dtype is: {dtype}") from error


def array_to_csv(array_like: Any) -> str:
    """Write an array as CSV; each element of a list is a line."""
    import numpy

    array = numpy.array(array_like)
    if array.ndim == 1:
        array = array.reshape(-1, 1)
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n", strict=True).writerows(array)
    return stream.getvalue()


_ENCODERS: dict[str, Callable[[Any], Any]] = {NPY: array_to_npy, CSV: array_to_csv, JSON: array_to_json}
_DECODERS: dict[str, Callable[[Any], Any]] = {NPY: npy_to_numpy, CSV: csv_to_numpy, JSON: json_to_numpy}


def encode(array_like: Any, content_type: str) -> Any:
    """Write an array in a content type."""
    if content_type not in _ENCODERS:
        raise UnsupportedFormatError(content_type)
    return _ENCODERS[content_type](array_like)


def decode(obj: Any, content_type: str) -> Any:
    """Read an array in a content type."""
    if content_type not in _DECODERS:
        raise UnsupportedFormatError(content_type)
    return _DECODERS[content_type](obj)


class Response:
    """The answer of a ``transform_fn`` or ``output_fn``, with its content type."""

    def __init__(
        self,
        response: Any = None,
        accept: str | None = None,
        status: int = 200,
        headers: Any = None,
        mimetype: str | None = None,
        direct_passthrough: bool = False,
    ) -> None:
        self.response = response
        self.status_code = status
        self.headers = headers or {}
        self.mimetype = mimetype or accept or JSON

    def get_data(self, as_text: bool = False) -> Any:
        """The body."""
        body = self.response.encode() if isinstance(self.response, str) else self.response
        return body.decode() if as_text else body


class Environment(Mapping):  # type: ignore[type-arg]  # Python 3.7 has no Mapping[...] at run time
    """What a training container knows of its job: ``SM_TRAINING_ENV``, else the files in ``/opt/ml/input/config``.

    Its members can be read as attributes and by name.
    """

    def __init__(self, **given: Any) -> None:
        text = os.environ.get("SM_TRAINING_ENV")
        values: dict[str, Any] = json.loads(text) if text else _read_environment()
        values.update({name: value for name, value in given.items() if value is not None})
        values.setdefault("is_main", values.get("is_master", True))
        self.__dict__.update(values)

    def __getitem__(self, name: str) -> Any:
        return self.__dict__[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.__dict__)

    def __len__(self) -> int:
        return len(self.__dict__)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"The training environment has no '{name}' here.")


class ServingEnvironment:
    """What a serving container knows of its model."""

    def __init__(self) -> None:
        base = _find_base()
        self.model_dir = str(base / "model")
        self.module_name = os.environ.get("SAGEMAKER_PROGRAM", "inference.py").replace(".py", "")
        self.default_accept = os.environ.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", JSON)
        self.model_server_workers = os.environ.get("SAGEMAKER_MODEL_SERVER_WORKERS")
        self.http_port = os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080")


def _find_base() -> Path:
    return Path(os.environ.get("SAGEMAKER_BASE_DIR", "/")) / "opt" / "ml"


def read_configuration(name: str) -> dict[str, Any]:
    """A file of ``/opt/ml/input/config``; empty where there is none."""
    path = _find_base() / "input" / "config" / name
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found


def read_hyperparameters() -> dict[str, Any]:
    """The hyperparameters of the job, each decoded where it is JSON."""
    found = {}
    for name, value in read_configuration("hyperparameters.json").items():
        try:
            found[name] = json.loads(value)
        except (TypeError, ValueError):
            found[name] = value
    return found


def _read_environment() -> dict[str, Any]:
    base, resources = _find_base(), read_configuration("resourceconfig.json")
    channels = read_configuration("inputdataconfig.json")
    host = resources.get("current_host", "algo-1")
    return {
        "hyperparameters": {k: v for k, v in read_hyperparameters().items() if not k.startswith("sagemaker_")},
        "resource_config": resources,
        "input_data_config": channels,
        "channel_input_dirs": {name: str(base / "input" / "data" / name) for name in channels},
        "current_host": host,
        "hosts": resources.get("hosts", [host]),
        "network_interface_name": resources.get("network_interface_name"),
        "model_dir": str(base / "model"),
        "input_dir": str(base / "input"),
        "input_config_dir": str(base / "input" / "config"),
        "output_dir": str(base / "output"),
        "output_data_dir": str(base / "output" / "data"),
        "output_intermediate_dir": str(base / "output" / "intermediate"),
        "num_gpus": 0,
        "num_cpus": os.cpu_count() or 1,
        "job_name": os.environ.get("TRAINING_JOB_NAME", ""),
        "is_master": host == sorted(resources.get("hosts", [host]))[0],
        "log_level": 20,
    }

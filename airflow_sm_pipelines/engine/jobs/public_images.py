"""AWS's public images by version: the Python of each, and the versions of what scripts compute with.

A row holds for its version and all after it up to the next row. The rows follow what AWS publishes: branches and tags
of aws/sagemaker-scikit-learn-container and aws/sagemaker-xgboost-container (``requirements.txt``, the base Dockerfile),
aws/deep-learning-containers (``tensorflow|pytorch/training/docker/*/py3/Dockerfile.cpu``), and
aws/sagemaker-distribution (``build_artifacts/*/cpu.env.out`` of each minor version's last patch). boto3 is not pinned:
an old one cannot be led to one address for all services. Where the image's Python is not on a machine,
:func:`find_nearest` gives the nearest versions that have wheels; ``make imagerows`` resolves all of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition.image_uri import parse_image_uri

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_sm_pipelines.definition.image_uri import ImageUri

BASE_REQUIREMENTS = ("pip", "setuptools<81", "wheel", "boto3", "requests")
"""SDK scripts call ``pip install``, so every environment has pip, and setuptools and wheel for sdists."""
DATA_REQUIREMENTS = (*BASE_REQUIREMENTS, "numpy", "pandas<3", "scipy", "scikit-learn", "joblib", "pyarrow", "psutil")


@dataclass(frozen=True, slots=True)
class ImageRow:
    """An image from a version on.

    :param since: the first version, by its first two numbers.
    :param python: such as ``3.9``. One that the tag names counts before it.
    :param pins: requirements. ``{version}`` is the number of the tag, ``{transformers}`` what follows that word in it.
    """

    since: tuple[int, int]
    python: str
    pins: tuple[str, ...]


def _rows(*lines: str) -> tuple[ImageRow, ...]:
    found = []
    for line in lines:
        version, python, *pins = line.split()
        major, _, minor = version.partition(".")
        found.append(ImageRow((int(major), int(minor)), python, tuple(pins)))
    return tuple(found)


_SCIKIT_LEARN = _rows(
    "0.20 3.7 numpy==1.19.5 pandas==0.25.3 scikit-learn==0.20.0",
    "0.23 3.7 numpy==1.19.2 pandas==1.1.3 scipy==1.5.3 scikit-learn==0.23.2 pyarrow==1.0.0",
    "1.0 3.8 numpy==1.24.1 pandas==1.1.3 scipy==1.8.0 scikit-learn==1.0.2 pyarrow==14.0.1",
    "1.2 3.9 numpy==1.24.1 pandas==1.1.3 scipy==1.8.0 scikit-learn==1.2.1 pyarrow==14.0.1",
    "1.4 3.10 numpy==2.1.0 pandas<3 scikit-learn==1.4.2 pyarrow==17.0.0",
)
_XGBOOST = _rows(
    "0.90 3.7 xgboost==0.90 numpy==1.18.1 pandas==0.25.3 scipy==1.2.2 scikit-learn==0.22.1",
    "1.0 3.7 xgboost==1.0.0 pandas==1.1.3 scipy==1.2.2 scikit-learn==0.24.1",
    "1.2 3.7 xgboost==1.2.0 numpy==1.21.6 pandas==1.1.3 scipy==1.5.3 scikit-learn==0.23.2",
    "1.3 3.7 xgboost==1.3.3 numpy==1.21.6 pandas==1.2.4 scipy==1.6.2 scikit-learn==0.24.1",
    "1.5 3.8 xgboost==1.5.2 numpy==1.24.4 pandas==1.5.3 scipy==1.8.0 scikit-learn==0.24.1 pyarrow==14.0.1",
    "1.7 3.10 xgboost==1.7.4 numpy==1.24.1 pandas==1.4.4 scipy==1.9.3 scikit-learn==1.0.2 pyarrow==14.0.1",
    # The module is the same `xgboost`; from 2.1 on, the plain package brings 300 MB of GPU libraries.
    "3.0 3.10 xgboost-cpu==3.0.5 numpy==2.1.0 pandas==2.2.3 scipy==1.15.0 scikit-learn==1.5.2",
)
_TENSORFLOW = _rows(
    "2.0 3.6 tensorflow-cpu=={version}.* scikit-learn==0.22 pandas==1.0.1 h5py==2.10.0 protobuf<3.21",
    "2.2 3.7 tensorflow-cpu=={version}.* scikit-learn==0.23.0 pandas==1.0.3 h5py==2.10.0 protobuf<3.21",
    "2.3 3.7 tensorflow-cpu=={version}.* scikit-learn==0.23.0 pandas==1.1.0 h5py==2.10.0 protobuf<3.21",
    "2.4 3.7 tensorflow-cpu=={version}.* scipy==1.5.2 scikit-learn==0.23.0 pandas==1.1.0 h5py==2.10.0 protobuf<3.21",
    "2.5 3.7 tensorflow-cpu=={version}.* numpy==1.19.5 scipy==1.7.0 scikit-learn==0.24.2 pandas==1.2.5 protobuf<3.21",
    "2.6 3.8 tensorflow-cpu=={version}.* scipy==1.7.0 scikit-learn==0.24.2 pandas==1.2.5 protobuf<3.21",
    "2.7 3.8 tensorflow-cpu=={version}.* protobuf<3.21",
    "2.8 3.9 tensorflow-cpu=={version}.* numpy<2 scipy==1.7.0 protobuf<3.21",
    "2.9 3.9 tensorflow-cpu=={version}.* numpy<2 scipy==1.8.0 h5py==3.6.0 protobuf<3.21",
    "2.11 3.9 tensorflow-cpu=={version}.* numpy<2 scipy==1.8.0 h5py==3.6.0 protobuf<3.20",
    "2.12 3.10 tensorflow-cpu=={version}.* numpy<2",
    "2.19 3.12 tensorflow-cpu=={version}.*",
)
_PYTORCH = (
    *(ImageRow((1, n), "3.6", ("torch=={version}.*", f"torchvision==0.{n + 1}.*", "numpy<2")) for n in range(4, 9)),
    *(ImageRow((1, n), "3.8", ("torch=={version}.*", f"torchvision==0.{n + 1}.*", "numpy<2")) for n in range(9, 13)),
    ImageRow((1, 13), "3.9", ("torch=={version}.*", "torchvision==0.14.*", "numpy<2")),
    *(ImageRow((2, n), "3.10", ("torch=={version}.*", f"torchvision==0.{n + 15}.*", "numpy<2")) for n in range(3)),
    *(ImageRow((2, n), "3.11", ("torch=={version}.*", f"torchvision==0.{n + 15}.*", "numpy<2")) for n in range(3, 6)),
    *(ImageRow((2, n), "3.12", ("torch=={version}.*", f"torchvision==0.{n + 15}.*")) for n in range(6, 10)),
    ImageRow((2, 10), "3.12", ("torch=={version}.*", "torchvision")),
)
_HUGGING_FACE = _rows(
    "1.6 3.6 torch=={version}.* transformers=={transformers}.* datasets numpy<2",
    "1.9 3.8 torch=={version}.* transformers=={transformers}.* datasets numpy<2",
    "1.13 3.9 torch=={version}.* transformers=={transformers}.* datasets numpy<2",
    "2.0 3.10 torch=={version}.* transformers=={transformers}.* datasets numpy<2",
    "2.3 3.11 torch=={version}.* transformers=={transformers}.* datasets numpy<2",
    "2.6 3.12 torch=={version}.* transformers=={transformers}.* datasets",
)
_HUGGING_FACE_TENSORFLOW = _rows(
    "2.4 3.7 tensorflow-cpu=={version}.* transformers=={transformers}.* datasets protobuf<3.21",
    "2.6 3.8 tensorflow-cpu=={version}.* transformers=={transformers}.* datasets protobuf<3.21",
    "2.11 3.9 tensorflow-cpu=={version}.* transformers=={transformers}.* datasets numpy<2 protobuf<3.20",
)
_DISTRIBUTION = _rows(
    "0.0 3.8 numpy==1.24.* pandas==2.0.* scipy==1.10.* scikit-learn==1.2.* matplotlib==3.7.*",
    "0.2 3.8 numpy==1.24.* pandas==2.0.* scipy==1.10.* scikit-learn==1.3.* matplotlib==3.7.*",
    "0.13 3.11 numpy==1.26.* pandas==2.2.* scipy==1.14.* scikit-learn==1.5.* matplotlib==3.9.*",
    "1.0 3.10 numpy==1.26.* pandas==2.1.* scipy==1.11.* scikit-learn==1.3.* matplotlib==3.8.* pyarrow==12.0.*",
    "1.5 3.10 numpy==1.26.* pandas==2.1.* scipy==1.11.* scikit-learn==1.4.* matplotlib==3.8.* pyarrow==12.0.*",
    "1.8 3.10 numpy==1.26.* pandas==2.1.* scipy==1.11.* scikit-learn==1.4.* matplotlib==3.9.* pyarrow==15.0.*",
    "2.0 3.11 numpy==1.26.* pandas==2.2.* scipy==1.12.* scikit-learn==1.4.* matplotlib==3.9.* pyarrow==15.0.*",
    "2.1 3.11 numpy==1.26.* pandas==2.2.* scipy==1.14.* scikit-learn==1.5.* matplotlib==3.9.* pyarrow==17.0.*",
    "2.3 3.11 numpy==1.26.* pandas==2.2.* scipy==1.15.* scikit-learn==1.5.* matplotlib==3.10.* pyarrow==17.0.*",
    "2.6 3.11 numpy==1.26.* pandas==2.2.* scipy==1.15.* scikit-learn==1.6.* matplotlib==3.10.* pyarrow==19.0.*",
    "2.9 3.11 numpy==1.26.* pandas==2.3.* scipy==1.16.* scikit-learn==1.7.* matplotlib==3.10.* pyarrow==19.0.*",
    "3.0 3.12 numpy==1.26.* pandas==2.2.* scipy==1.15.* scikit-learn==1.6.* matplotlib==3.10.* pyarrow==19.0.*",
    "3.4 3.12 numpy==1.26.* pandas==2.3.* scipy==1.16.* scikit-learn==1.7.* matplotlib==3.10.* pyarrow==19.0.*",
    "4.0 3.12 numpy==1.26.* pandas==2.3.* scipy==1.16.* scikit-learn==1.7.* matplotlib==3.10.* pyarrow==21.0.*",
)
_NOTEBOOKS = ("nbclient", "ipykernel")

PUBLIC_IMAGES: dict[str, tuple[tuple[ImageRow, ...], tuple[str, ...]]] = {
    "sagemaker-scikit-learn": (_SCIKIT_LEARN, ()),
    "sagemaker-xgboost": (_XGBOOST, ()),
    "tensorflow-training": (_TENSORFLOW, ()),
    "tensorflow-inference": (_TENSORFLOW, ()),
    "sagemaker-tensorflow-scriptmode": (_TENSORFLOW, ()),
    "pytorch-training": (_PYTORCH, ()),
    "pytorch-inference": (_PYTORCH, ()),
    "huggingface-pytorch-training": (_HUGGING_FACE, ()),
    "huggingface-pytorch-inference": (_HUGGING_FACE, ()),
    "huggingface-tensorflow-training": (_HUGGING_FACE_TENSORFLOW, ()),
    "huggingface-tensorflow-inference": (_HUGGING_FACE_TENSORFLOW, ()),
    "sagemaker-distribution": (_DISTRIBUTION, _NOTEBOOKS),
    "sagemaker-distribution-prod": (_DISTRIBUTION, _NOTEBOOKS),
}
"""The rows of each repository, and what all of its images have besides."""

_FIRST_WITH_WHEELS = {
    "numpy": "3.7:1.14.5 3.8:1.17.3 3.9:1.19.3 3.10:1.21.3 3.11:1.23.2 3.12:1.26.0 3.13:2.1.0",
    "pandas": "3.8:1.0.0 3.9:1.1.3 3.10:1.3.3 3.11:1.5.1 3.12:2.1.1 3.13:2.2.3",
    "scipy": "3.8:1.3.2 3.9:1.5.4 3.10:1.7.2 3.11:1.9.2 3.12:1.11.2 3.13:1.14.1",
    "scikit-learn": "3.8:0.22.0 3.9:0.24.0 3.10:1.0.1 3.11:1.1.3 3.12:1.3.1 3.13:1.5.2",
    "pyarrow": "3.8:0.16.0 3.9:2.0.0 3.10:6.0.1 3.11:10.0.1 3.12:14.0.0 3.13:18.0.0",
    "h5py": "3.9:3.1.0 3.10:3.6.0 3.11:3.8.0 3.12:3.10.0 3.13:3.12.0",
    "matplotlib": "3.10:3.5.0 3.11:3.6.0 3.12:3.8.0 3.13:3.9.2",
    "xgboost": "3.12:1.7.6 3.13:2.1.4",
    "tensorflow-cpu": "3.7:2.1.0 3.8:2.2.0 3.9:2.5.0 3.10:2.8.0 3.11:2.12.0 3.12:2.16.1 3.13:2.20.0",
    "torch": "3.9:1.8.0 3.10:1.11.0 3.11:2.0.0 3.12:2.2.0 3.13:2.6.0",
    "torchvision": "3.9:0.9.0 3.10:0.12.0 3.11:0.15.0 3.12:0.17.0 3.13:0.21.0",
    "transformers": "3.9:4.6 3.10:4.17 3.11:4.30 3.12:4.38 3.13:4.46",
}
"""By package and Python, the first release with wheels (or, of xgboost, the first that works beside that pandas)."""
_LAST = {"scipy": "3.10:1.15"}
"""By package and Python, the last minor release that supports it, where that is older than rows are."""
_PIN = re.compile(r"([A-Za-z0-9._-]+)==([\d.]+?)(\.\*)?")
_KERAS_3 = (2, 16)


def find_row(image: ImageUri) -> tuple[ImageRow, tuple[str, ...]] | None:
    """The row of an image of AWS's, and what its family has besides; None for others, and for tags without a number."""
    family = PUBLIC_IMAGES.get(image.name)
    if family is None or not image.version:
        return None
    rows, besides = family
    # A tag such as `3-cpu` means the newest of its kind.
    version = image.version[:2] if len(image.version) > 1 else (image.version[0], 1000)
    fitting = [row for row in rows if row.since <= version]
    return (fitting[-1], besides) if fitting else None


def is_unpinned(uri: str) -> bool:
    """Whether it is an image of AWS's whose versions no row gives."""
    image = parse_image_uri(uri)
    return image.name in PUBLIC_IMAGES and find_row(image) is None


def make_requirements(image: ImageUri, row: ImageRow, besides: Iterable[str] = ()) -> tuple[str, ...]:
    """The requirements of an image, with the numbers of its tag put in."""
    transformers = re.search(r"transformers(\d+(?:\.\d+)+)", image.tag)
    values = {"version": ".".join(map(str, image.version[:3])), "transformers": transformers[1] if transformers else ""}
    pins = [pin.format_map(values) for pin in row.pins]
    pinned = {_name(pin) for pin in pins}
    rest = [one for one in DATA_REQUIREMENTS if _name(one) not in pinned]
    return (*rest, *(_name(pin) if "==.*" in pin else pin for pin in pins), *besides)


def find_nearest(requirements: Iterable[str], python: str) -> tuple[list[str], list[str], dict[str, str]]:
    """The requirements for another Python than the image's: the nearest versions that have wheels for it.

    :return: the requirements, what differs in words, and variables that make up for a difference.
    """
    found: list[str] = []
    changes: list[str] = []
    variables: dict[str, str] = {}
    for requirement in requirements:
        pin = _PIN.fullmatch(requirement)
        first = _find_listed(_FIRST_WITH_WHEELS, pin[1], python) if pin else None
        last = _find_listed(_LAST, pin[1], python) if pin else None
        if pin is not None and last is not None and _numbers(pin[2])[:2] > _numbers(last):
            found.append(f"{pin[1]}=={last}.*")
            changes.append(f"{pin[1]} {last} for {pin[2]}")
            continue
        if pin is None or first is None or _numbers(pin[2]) >= _numbers(first)[: len(_numbers(pin[2]))]:
            if pin is not None or not requirement.startswith("protobuf"):
                found.append(requirement)
            continue
        minor = ".".join(first.split(".")[:2])
        name = "xgboost-cpu" if pin[1] == "xgboost" and _numbers(first) >= (2, 1) else pin[1]
        found.append(f"{name}=={minor}.*")
        changes.append(f"{pin[1]} {minor} for {pin[2]}")
        if name == "tensorflow-cpu" and _numbers(first) >= _KERAS_3:
            found.append("tf-keras")
            variables["TF_USE_LEGACY_KERAS"] = "1"
    first_numpy = _find_listed(_FIRST_WITH_WHEELS, "numpy", python) or "1"
    if _numbers(first_numpy) >= (2,) or any(one.startswith("numpy==2") for one in found):
        found = [one for one in found if one != "numpy<2"]
    return found, changes, variables


def _find_listed(table: dict[str, str], package: str, python: str) -> str | None:
    listed = dict(entry.split(":") for entry in table.get(package, "").split())
    return listed.get(python)


def _name(requirement: str) -> str:
    return re.split(r"[=<>\[]", requirement)[0]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))

"""The parts of a container image's address.

Belongs here: parsing. Does not belong here: what runs in its place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_ECR = re.compile(r"(?P<account>\d{12})\.dkr\.ecr[.-](?:fips\.)?(?P<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?")


@dataclass(frozen=True, slots=True)
class ImageUri:
    """An image address such as ``683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1``.

    :param text: the address as it was written.
    :param account: the registry's AWS account; None outside ECR.
    :param region: the registry's region; None outside ECR.
    :param repository: ``sagemaker-xgboost``, ``my-team/model``, ``python``.
    :param tag: ``latest`` when neither tag nor digest is given.
    :param digest: ``sha256:...`` or None.
    """

    text: str
    account: str | None
    region: str | None
    repository: str
    tag: str
    digest: str | None

    @property
    def version(self) -> tuple[int, ...]:
        """The numbers that the tag begins with, container build included: ``1.2-2-cpu-py3`` gives ``(1, 2, 2)``."""
        match = re.match(r"\d+(?:[.-]\d+(?![A-Za-z0-9]*[A-Za-z]))*", self.tag)
        return tuple(int(part) for part in re.split(r"[.-]", match[0])) if match else ()


def parse_image_uri(text: str) -> ImageUri:
    """Parse an address; anything that is not in ECR is taken as ``[registry/]repository[:tag][@digest]``."""
    rest, _, digest = text.partition("@")
    host, slash, path = rest.partition("/")
    ecr = _ECR.fullmatch(host)
    if not slash or not (ecr or "." in host or ":" in host or host == "localhost"):
        path = rest
    name, colon, tag = path.rpartition(":")
    return ImageUri(
        text=text,
        account=ecr["account"] if ecr else None,
        region=ecr["region"] if ecr else None,
        repository=name if colon else path,
        tag=tag if colon else "latest",
        digest=digest or None,
    )

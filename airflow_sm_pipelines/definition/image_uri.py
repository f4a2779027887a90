"""The address of a container image, and its parts. What the engine runs in its place is in ``engine.jobs.images``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from airflow_sm_pipelines.definition.partitions import DNS_SUFFIX_PATTERN

_GALLERY = re.compile(r"(?:public\.ecr\.aws|[^/]+/ecr-public)/(?:sagemaker|deep-learning-containers)/(?P<name>[^/:@]+)")
"""AWS's public galleries of SageMaker images, at their own address or through ECR's pull-through cache."""
_ECR = re.compile(
    rf"(?P<account>\d{{12}})\.dkr\.ecr[.-](?:fips\.)?(?P<region>[a-z0-9-]+){DNS_SUFFIX_PATTERN}",
)

_BUILT_IN_ALGORITHMS = frozenset(
    {
        *("sagemaker-xgboost", "xgboost", "linear-learner", "kmeans", "pca", "factorization-machines", "blazingtext"),
        *("object-detection", "image-classification", "semantic-segmentation", "seq2seq", "ntm", "lda", "knn"),
        *("ipinsights", "object2vec", "randomcutforest", "forecasting-deepar"),
    }
)
"""The repositories of SageMaker's own algorithms in ECR."""


@dataclass(frozen=True, slots=True)
class ImageUri:
    """An image address such as ``683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1``.

    :param text: the address as it was written.
    :param account: the AWS account of the registry; None outside ECR.
    :param region: the region of the registry; None outside ECR.
    :param repository: such as ``sagemaker-xgboost``, ``my-team/model`` or ``python``.
    :param tag: ``latest`` if the address has neither tag nor digest.
    :param digest: ``sha256:...`` or None.
    """

    text: str
    account: str | None
    region: str | None
    repository: str
    tag: str
    digest: str | None

    @property
    def name(self) -> str:
        """The repository, without the gallery of a public image of AWS's: ``sagemaker-distribution``."""
        match = _GALLERY.match(self.text)
        return match["name"] if match else self.repository

    @property
    def version(self) -> tuple[int, ...]:
        """The numbers that the tag begins with, container build included: ``1.2-2-cpu-py3`` gives ``(1, 2, 2)``."""
        match = re.match(r"\d+(?:[.-]\d+(?![A-Za-z0-9]*[A-Za-z]))*", self.tag)
        return tuple(int(part) for part in re.split(r"[.-]", match[0])) if match else ()

    @property
    def python(self) -> str | None:
        """The Python that the address names, or None.

        It stands in the tag, as ``3.9`` of ``python:3.9-slim`` and ``2.11-cpu-py39``, or at the end of the repository's
        name, as in ``sagemaker-base-python-310``.
        """
        if self.repository.rpartition("/")[2] == "python" and len(self.version) > 1:
            return ".".join(map(str, self.version[:2]))
        named = re.search(r"(?:^|[-.])py(3)(\d{1,2})(?:$|[-.])", self.tag)
        named = named or re.search(r"(?:^|[-/])python-?(3)(\d{1,2})$", self.repository)
        return f"{named[1]}.{named[2]}" if named else None

    @property
    def is_built_in_xgboost(self) -> bool:
        """Whether it is an image of SageMaker's built-in XGBoost."""
        return self.name in ("sagemaker-xgboost", "xgboost")

    @property
    def is_built_in_algorithm(self) -> bool:
        """Whether it is an image of one of SageMaker's own algorithms, which also run scripts, as XGBoost's does."""
        return self.name in _BUILT_IN_ALGORITHMS


def parse_image_uri(text: str) -> ImageUri:
    """Parse an address. Outside ECR it is read as ``[registry/]repository[:tag][@digest]``."""
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

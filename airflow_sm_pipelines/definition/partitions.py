"""The AWS partitions: which regions belong to them, and which addresses are theirs.

Source: botocore's ``partitions.json`` and the DNS suffixes in its ``endpoints.json``; a test compares both.
"""

from __future__ import annotations

import re

_REGIONS = (
    ("cn-", "aws-cn"),
    ("us-gov-", "aws-us-gov"),
    ("eusc-", "aws-eusc"),
    ("us-iso-", "aws-iso"),
    ("us-isob-", "aws-iso-b"),
    ("eu-isoe-", "aws-iso-e"),
    ("us-isof-", "aws-iso-f"),
)
"""How the names of a partition's regions begin; all others are in ``aws``."""

AWS_DNS_SUFFIXES = (
    *(".amazonaws.com", ".api.aws"),  # aws, aws-us-gov
    *(".amazonaws.com.cn", ".api.amazonwebservices.com.cn"),  # aws-cn
    *(".amazonaws.eu", ".api.amazonwebservices.eu"),  # aws-eusc
    *(".c2s.ic.gov", ".api.aws.ic.gov"),  # aws-iso
    *(".sc2s.sgov.gov", ".api.aws.scloud"),  # aws-iso-b
    *(".cloud.adc-e.uk", ".api.cloud-aws.adc-e.uk"),  # aws-iso-e
    *(".csp.hci.ic.gov", ".api.aws.hci.ic.gov"),  # aws-iso-f
)
"""How the host names of AWS's own endpoints end."""

DNS_SUFFIX_PATTERN = "(?:" + "|".join(re.escape(suffix) for suffix in AWS_DNS_SUFFIXES) + ")"
"""A regular expression of these endings."""


OF_USERS_PATTERN = r"\.[a-z]{2}(?:-[a-z]+)+-\d\.(?!amazonaws\.|api\.|vpce\.)[a-z0-9-]+\.|\.d\.codeartifact\."
"""A regular expression of what stands in the host names of what people run in AWS (databases, load balancers, package
indexes), which are no API of AWS."""

_METADATA_HOSTS = frozenset({"169.254.169.254", "169.254.170.2", "fd00:ec2::254", "instance-data.ec2.internal"})
"""Where instances and containers get their credentials."""


def is_aws_api(host: str) -> bool:
    """Whether a host name is one of AWS's own: an API, or where instances get credentials.

    :param host: such as ``sts.us-east-1.amazonaws.com``.
    """
    name = host.lower().rstrip(".")
    is_of_aws = f".{name}".endswith(AWS_DNS_SUFFIXES) and re.search(OF_USERS_PATTERN, name) is None
    return is_of_aws or name.strip("[]") in _METADATA_HOSTS


def covers_aws(pattern: str) -> bool:
    """Whether an entry of ``NO_PROXY`` counts for a host of AWS's: ``*``, ``.amazonaws.com``, ``com``."""
    name = pattern.strip().lower().lstrip("*").strip(".").partition(":")[0]
    return not name or is_aws_api(name) or any(suffix.endswith(f".{name}") for suffix in AWS_DNS_SUFFIXES)


def find_partition(region: str) -> str:
    """The partition of a region: ``aws``, ``aws-cn``, ``aws-us-gov``, ..."""
    return next((partition for beginning, partition in _REGIONS if region.startswith(beginning)), "aws")

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


def find_partition(region: str) -> str:
    """The partition of a region: ``aws``, ``aws-cn``, ``aws-us-gov``, ..."""
    return next((partition for beginning, partition in _REGIONS if region.startswith(beginning)), "aws")

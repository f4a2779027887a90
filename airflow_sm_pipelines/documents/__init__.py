"""What people keep pipeline definitions in, and the definitions in it.

A file may be a definition, a saved answer of DescribePipeline, what Terraform shows, a CloudFormation template, or a
template with placeholders. :func:`read_document` decides which, from the text alone. This room reads no file and calls
nothing; it needs PyYAML, which Airflow brings, only for a file that is YAML.
"""

from __future__ import annotations

from airflow_sm_pipelines.documents.document_reader import choose_definition, read_document, split_name
from airflow_sm_pipelines.documents.held_definition import (
    HeldDefinition,
    explain_unfilled,
    explain_unknown,
    inspect_held,
    locate_in_document,
    parse_held,
)
from airflow_sm_pipelines.documents.matching import with_known_values, with_values_of
from airflow_sm_pipelines.documents.placeholders import Variables

__all__ = [
    "HeldDefinition",
    "Variables",
    "choose_definition",
    "explain_unfilled",
    "explain_unknown",
    "inspect_held",
    "locate_in_document",
    "parse_held",
    "read_document",
    "split_name",
    "with_known_values",
    "with_values_of",
]

"""A definition with other values for what is unknown in it, as in a template that is not filled in.

What is found in a definition and in all its variants does not depend on an unknown value.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_sm_pipelines.definition.json_value import JsonPath
    from airflow_sm_pipelines.definition.pipeline import PipelineDefinition


@dataclass(frozen=True, slots=True)
class Variant:
    """A definition in which made-up words stand for unknown values.

    :param unknown_places: where the values are that are unknown, names aside: what is found there depends on them.
    :param shown: what the original definition has in the place of each word, such as ``${bucket}``.
    """

    definition: PipelineDefinition
    shown: Mapping[str, str] = field(default_factory=dict)
    unknown_places: frozenset[JsonPath] = frozenset()

    def show(self, text: str) -> str:
        """A text about the variant, as it would be about the original."""
        for word, original in self.shown.items():
            text = text.replace(word, original)
        return text

"""Goes through the texts of a pipeline definition, saying of each where it stands."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(frozen=True)
class Place:
    """Where a text stands: the step, and the members below it.

    :param step: the innermost step's name; empty outside of all steps.
    :param path: the members from there, with dots.
    """

    step: str
    path: str

    @property
    def member(self) -> str:
        """The last member that is no position in a list."""
        parts = [part for part in self.path.split(".") if not part.isdigit()]
        return parts[-1] if parts else ""

    @property
    def is_step_name(self) -> bool:
        """Whether it is the name of its step."""
        return bool(self.step) and self.path == "Name"

    @property
    def is_output(self) -> bool:
        """Whether it is an address that a step writes to."""
        return bool(re.search(r"Output|CheckpointConfig|Destination", self.path))


def iter_texts(value: Any) -> Iterator[tuple[str, Place]]:
    """Give every text of a definition."""
    found: list[tuple[str, Place]] = []

    def note(text: str, place: Place) -> str:
        found.append((text, place))
        return text

    map_texts(value, note, with_place=True)
    yield from found


def map_texts(value: Any, change: Callable[..., str], *, with_place: bool = False, place: Place | None = None) -> Any:
    """Give a definition with every text changed; keys stay.

    :param with_place: whether `change` takes the place, too.
    """
    place = place or Place("", "")
    if isinstance(value, str):
        return change(value, place) if with_place else change(value)
    if isinstance(value, dict):
        if is_step(value):
            place = Place(value["Name"], "")
        return {
            key: map_texts(item, change, with_place=with_place, place=_below(place, key)) for key, item in value.items()
        }
    if isinstance(value, list):
        return [
            map_texts(item, change, with_place=with_place, place=_below(place, str(index)))
            for index, item in enumerate(value)
        ]
    return value


def iter_steps(value: Any) -> Iterator[dict[str, Any]]:
    """Give every step of a definition, those inside of others too."""
    if isinstance(value, dict):
        if is_step(value):
            yield value
        for item in value.values():
            yield from iter_steps(item)
    elif isinstance(value, list):
        for item in value:
            yield from iter_steps(item)


def is_step(value: dict[str, Any]) -> bool:
    """Say whether a part of a definition is a step."""
    return isinstance(value.get("Name"), str) and isinstance(value.get("Type"), str) and "Arguments" in value


def _below(place: Place, part: str) -> Place:
    return Place(place.step, f"{place.path}.{part}" if place.path else part)

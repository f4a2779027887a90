"""Edits of the arguments of an operator's call: renames, new values, and arguments that come or go."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from airflow_sm_pipelines.migrate.airflow.source_file import Edit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_sm_pipelines.migrate.airflow.source_file import SourceFile


class CallEditor:
    """Collects edits of one call.

    :param call: ``X(...)`` or the call of ``X.partial(...)``.
    :param expand: the call of ``.expand(...)``, if there is one. Its arguments may be renamed, and nothing else.
    """

    def __init__(self, file: SourceFile, call: ast.Call, expand: ast.Call | None = None) -> None:
        self._file = file
        self._call = call
        self._mapped = {one.arg: one for one in (expand.keywords if expand is not None else []) if one.arg}
        self._keywords = {one.arg: one for one in call.keywords if one.arg}
        self.edits: list[Edit] = []
        self.problems: list[str] = []

    def has(self, name: str) -> bool:
        """Whether the call has an argument."""
        return name in self._keywords or name in self._mapped

    def text(self, name: str) -> str:
        """An argument's value as the file has it; empty if it is not given."""
        one = self._keywords.get(name)
        if name in self._mapped and one is None:
            self._refuse(self._mapped[name], f"{name} is mapped")
        return self._file.text(one.value) if one is not None else ""

    def rename(self, old: str, new: str, value: str = "") -> None:
        """Give an argument another name, and another value if one is given."""
        for one in (self._keywords.get(old), self._mapped.get(old)):
            if one is None:
                continue
            start, end = self._file.span(one)
            if value:
                self.edits.append(Edit(start, end, f"{new}={value}"))
            else:
                self.edits.append(Edit(start, start + len(old), new))

    def set(self, name: str, value: str) -> None:
        """Give an argument a value, in place or behind the last argument."""
        one = self._keywords.get(name)
        if one is not None:
            self.edits.append(Edit(*self._file.span(one.value), value))
            return
        given = [*self._call.args, *self._call.keywords]
        if not given:
            start = self._file.span(self._call)[1] - 1
            self.edits.append(Edit(start, start, f"{name}={value}"))
            return
        last = max(given, key=self._file.span)
        end = self._file.span(last)[1]
        if not self._has_own_line(last):
            self.edits.append(Edit(end, end, f", {name}={value}"))
            return
        new_line = f"{self._file.newline}{self._file.indent(last)}{name}={value}"
        rest = re.match(rb"([ \t]*,)?([ \t]*(#[^\r\n]*)?)", self._file.data[end:])
        if rest is None or not rest[1]:
            self.edits.append(Edit(end, end, ","))
        comma, place = ("," if rest is not None and rest[1] else ""), end + (rest.end() if rest is not None else 0)
        self.edits.append(Edit(place, place, new_line + comma))

    def remove(self, *names: str) -> bool:
        """Take arguments away; False if none was there."""
        for name in names:
            if name in self._mapped:
                self._refuse(self._mapped[name], f"{name} is mapped")
        gone = [self._keywords[name] for name in names if name in self._keywords]
        left = [one for one in gone if not self._remove_line(one)]
        given = sorted([*self._call.args, *self._call.keywords], key=self._file.span)
        kept = [one for one in given if one not in gone]
        while left:
            first = min(left, key=self._file.span)
            start = self._file.span(first)[0]
            following = next((one for one in kept if self._file.span(one)[0] > start), None)
            end = self._file.span(following)[0] if following is not None else self._file.span(self._call)[1]
            together = [one for one in left if self._file.span(one)[0] < end]
            if following is None:
                before = [self._file.span(one)[1] for one in kept]
                start = max(before, default=start)
                end = max(self._file.span(one)[1] for one in together)
            self.edits.append(Edit(start, end, ""))
            left = [one for one in left if one not in together]
        return bool(gone)

    def _remove_line(self, one: ast.keyword) -> bool:
        """Take away an argument that has lines of its own, with them."""
        start, end = self._file.span(one)
        rest = re.match(rb"[ \t]*,?[ \t]*(#[^\r\n]*)?(\r\n|\n|\r)", self._file.data[end:])
        if not self._has_own_line(one) or rest is None:
            return False
        self.edits.append(Edit(start - len(self._file.indent(one).encode()), end + rest.end(), ""))
        return True

    def refuse_unknown(self, names: Iterable[str], *, renamed: Iterable[str]) -> None:
        """Refuse arguments that cannot be kept, and ``**`` with what cannot be read or would have to be renamed.

        :param names: arguments that have no meaning here.
        :param renamed: arguments whose names or meanings change.
        """
        for name in names:
            if name in self._keywords:
                self._refuse(self._keywords[name], f"{name} has no place here")
        for one in self._call.keywords:
            if one.arg is None:
                keys = _read_keys(self._file.tree, one.value)
                if keys is None:
                    self._refuse(one, f"what **{self._file.text(one.value)} holds cannot be read")
                elif keys & {*renamed, *names}:
                    found = ", ".join(sorted(keys & {*renamed, *names}))
                    self._refuse(one, f"**{self._file.text(one.value)} holds {found}")
        for argument in self._call.args:
            self._refuse(argument, "operators take no positional arguments")

    def _refuse(self, node: ast.AST, text: str) -> None:
        self.problems.append(f"{self._file.place(node)}: {text}.")

    def _has_own_line(self, node: ast.AST) -> bool:
        start = self._file.span(node)[0]
        return not re.split(rb"[\r\n]", self._file.data[:start])[-1].strip()


def _read_keys(tree: ast.Module, value: ast.expr) -> set[str] | None:
    """The keys of a dict that is written out, or of a variable that is bound to such a dict once; None if unknown."""
    if isinstance(value, ast.Name):
        bound = [
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign)
            and any(isinstance(one, ast.Name) and one.id == value.id for one in node.targets)
        ]
        return _read_keys(tree, bound[0]) if len(bound) == 1 and not isinstance(bound[0], ast.Name) else None
    if isinstance(value, ast.Dict):
        keys = [one.value if isinstance(one, ast.Constant) else None for one in value.keys]
        return {str(one) for one in keys} if None not in keys else None
    if isinstance(value, ast.Call) and getattr(value.func, "id", "") == "dict" and not value.args:
        named = [one.arg for one in value.keywords]
        return {one for one in named if one} if None not in named else None
    return None

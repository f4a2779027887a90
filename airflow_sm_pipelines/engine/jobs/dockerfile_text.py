"""The instructions of a Dockerfile: lines joined, comments gone, variables put in. What they mean is decided elsewhere.

Source: Docker's Dockerfile reference. Of the parsers on the package index, none reads here-documents or defaults of
variables (``${NAME:-default}``).
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_ESCAPE = re.compile(r"#\s*escape\s*=\s*(\S)\s*$", re.IGNORECASE)
_FLAG = re.compile(r"--([a-z-]+)(?:=(\S*))?\s+")
_DOCUMENT = re.compile(r"<<(-?)\s*([\"']?)(\w+)\2")
_WITH_DOCUMENTS = frozenset({"RUN", "COPY", "ADD"})
_VARIABLE = re.compile(r"\\(.)|\$(?:\{(\w+)(?:(:?[-+])([^}]*))?\}|(\w+))")
_SEPARATORS = frozenset("();<>|&")


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction.

    :param line: where it begins, from 1.
    :param name: such as ``COPY``.
    :param flags: such as ``{"from": "builder"}``; a flag without a value has an empty one.
    :param text: what follows, as it is written.
    :param documents: its here-documents.
    """

    line: int
    name: str
    text: str
    flags: Mapping[str, str] = field(default_factory=dict)
    documents: tuple[str, ...] = ()

    @property
    def array(self) -> list[str] | None:
        """The words of the form that is a JSON array; None if it is not written so."""
        if not self.text.startswith("["):
            return None
        try:
            words = json.loads(self.text)
        except ValueError:
            return None
        is_array = isinstance(words, list) and all(isinstance(word, str) for word in words)
        return words if is_array else None


def parse_instructions(text: str) -> list[Instruction]:
    """Parse the text of a Dockerfile. What is no instruction is left out."""
    lines = text.splitlines()
    escape = "\\"
    if lines and (directive := _ESCAPE.match(lines[0])):
        escape = directive[1]
    found: list[Instruction] = []
    number = 0
    while number < len(lines):
        first = number + 1
        logical, number = _join(lines, number, escape)
        name, _, rest = logical.strip().partition(" ")
        if not name.isalpha():
            continue
        flags: dict[str, str] = {}
        rest = rest.strip()
        while flag := _FLAG.match(rest + " "):
            flags[flag[1]] = flag[2] or ""
            rest = rest[flag.end() :]
        documents = []
        if name.upper() in _WITH_DOCUMENTS:
            for mark in _DOCUMENT.finditer(rest):
                document, number = _read_document(lines, number, mark[3])
                documents.append(document)
        found.append(Instruction(first, name.upper(), rest.strip(), flags, tuple(documents)))
    return found


def split_words(text: str) -> list[str]:
    """The words of a text, by the rules of a shell; those between spaces where it has a quote that is not closed."""
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def iter_commands(script: str) -> Iterator[list[str]]:
    """The simple commands of a shell script, each as its words. Redirections and what a command prints are left out."""
    plain = re.sub(r"\$\([^()]*\)|`[^`]*`", "", script)
    lexer = shlex.shlex(plain.replace("\n", " ; "), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    command: list[str] = []
    is_target = False
    try:
        for word in lexer:
            if not set(word) <= _SEPARATORS:
                if not is_target:
                    command.append(word)
                is_target = False
            elif set(word) & set("<>"):
                is_target = True
            else:
                if command:
                    yield command
                command = []
    except ValueError:
        pass  # a quote is not closed: the commands before it count
    if command:
        yield command


def substitute(text: str, variables: Mapping[str, str]) -> str:
    """Put variables in. One that is not there is an empty text."""

    def replace(match: re.Match[str]) -> str:
        escaped, braced, operator, other, plain = match.groups()
        if escaped is not None:
            return escaped if escaped == "$" else match[0]
        value = variables.get(braced or plain)
        is_there = bool(value) if operator and operator.startswith(":") else value is not None
        if operator and operator.endswith("-"):
            return value or "" if is_there else substitute(other, variables)
        if operator and operator.endswith("+"):
            return substitute(other, variables) if is_there else ""
        return value or ""

    return _VARIABLE.sub(replace, text)


def parse_pairs(text: str, variables: Mapping[str, str]) -> dict[str, str]:
    """The variables of an ENV, ARG or LABEL: ``NAME=value ...`` or the older ``NAME value``."""
    words = split_words(text)
    if words and "=" not in words[0]:
        name, _, value = text.partition(" ")
        return {name: substitute(value.strip(), variables)}
    pairs = (word.partition("=") for word in words)
    return {name: substitute(value, variables) for name, _, value in pairs if name}


def _join(lines: Sequence[str], number: int, escape: str) -> tuple[str, int]:
    """The logical line at an index, without comments and empty lines, and the index after it."""
    parts: list[str] = []
    while number < len(lines):
        line = lines[number].strip() if not parts else lines[number].rstrip()
        number += 1
        if line.lstrip().startswith("#") or (parts and not line.strip()):
            continue
        if not line.endswith(escape):
            parts.append(line)
            break
        parts.append(line[:-1])
    return "".join(parts), number


def _read_document(lines: Sequence[str], number: int, mark: str) -> tuple[str, int]:
    found = []
    while number < len(lines):
        line = lines[number]
        number += 1
        if line.strip() == mark:
            break
        found.append(line)
    return "\n".join(found), number

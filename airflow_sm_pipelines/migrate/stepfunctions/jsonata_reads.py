"""What a JSONata expression reads of the machine's document, by the syntax tree of the package jsonata-python."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.migrate.stepfunctions.document_values import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Iterator

STEP_FUNCTIONS_NAMES = frozenset(("hash", "parse", "partition", "random", "range", "uuid"))
"""Functions that Step Functions adds to those of JSONata; :func:`migrated_queries.query_jsonata` has them."""

_INNER = (
    *("arguments", "body", "condition", "_else", "expression", "expressions", "group", "lhs", "lhs_object"),
    *("pattern", "predicate", "procedure", "rhs", "rhs_object", "rhs_terms", "stages", "steps", "terms", "then"),
    *("update", "delete", "expr"),
)
"""The members of a node of the tree that hold other nodes."""


def find_reads(text: str) -> tuple[tuple[str, ...], ...]:
    """The paths that an expression reads from variables: ``("states", "input", "order")``. None begins with another.

    :raises UnsupportedError: it is no JSONata, or does what Step Functions does not allow.
    """
    try:
        from jsonata import Jsonata
        from jsonata.jexception import JException
    except ImportError:
        raise UnsupportedError(
            f"The JSONata expression {text!r} needs the package jsonata-python, here and where the DAG runs."
        ) from None
    try:
        tree = Jsonata(text)
    except (JException, RecursionError) as error:
        raise UnsupportedError(f"{text!r} is no JSONata expression: {error}") from None
    nodes = list(_iter_nodes(tree.ast))
    own = {str(name) for node in nodes for name in _iter_own_names(node)}
    reads = {read for node in nodes for read in _iter_reads(node) if read[0] not in own}
    if any(read == ("eval",) for read in reads):
        raise UnsupportedError("Step Functions has no $eval, and no DAG should.")
    functions = {*vars(tree.static_frame).get("bindings", {}), *STEP_FUNCTIONS_NAMES}
    kept = {read for read in reads if len(read) > 1 or read[0] not in functions}
    return tuple(sorted(read for read in kept if not any(read[:length] in kept for length in range(1, len(read)))))


def _iter_nodes(node: Any) -> Iterator[Any]:
    """A node with all nodes in it, but for the variable that a path begins with: the path says what is read of it."""
    left, seen, starts = [node], set(), set()
    while left:
        one = left.pop()
        if isinstance(one, (list, tuple)):
            left += one
        elif hasattr(one, "type") and hasattr(one, "steps") and id(one) not in seen:
            seen.add(id(one))
            if id(one) not in starts:
                yield one
            if one.type == "path" and one.steps:
                starts.add(id(one.steps[0]))
            left += [inner for name in _INNER if (inner := getattr(one, name, None)) is not None]


def _iter_own_names(node: Any) -> Iterator[Any]:
    """The names of variables that an expression itself gives a value."""
    if node.type == "bind":
        yield node.lhs.value
    if node.type == "lambda":
        yield from (one.value for one in node.arguments)
    yield from (name for name in (node.focus, node.index) if isinstance(name, str))


def _iter_reads(node: Any) -> Iterator[tuple[str, ...]]:
    """What a path reads, as far as it has names only; of another node, the variable that it is."""
    if node.type == "variable" and node.value:
        yield (str(node.value),)
    steps = node.steps if node.type == "path" else None
    if not steps or steps[0].type != "variable" or not steps[0].value:
        return
    found = [str(steps[0].value)]
    for before, step in pairwise(steps):
        if _has_filter(before) or step.type != "name" or "." in str(step.value):
            break
        found.append(str(step.value))
    yield tuple(found)


def _has_filter(step: Any) -> bool:
    return bool(step.stages or step.predicate or step.group or step.focus or step.index)

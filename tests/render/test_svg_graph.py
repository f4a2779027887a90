"""The layout of any acyclic graph: nothing overlaps, edges lead downwards, and simple graphs look simple."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_sm_pipelines.render.svg_graph import BOX_GAP, Box, Layout, place_boxes


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[Box], list[tuple[str, str]]]:
    count = draw(st.integers(1, 14))
    boxes = [Box(f"b{number}", draw(st.integers(40, 300)), draw(st.integers(30, 90))) for number in range(count)]
    pairs = list(combinations((box.name for box in boxes), 2))
    return boxes, draw(st.lists(st.sampled_from(pairs), max_size=25)) if pairs else []


def centre(layout: Layout, name: str) -> float:
    box = layout.boxes[name]
    return box.x + box.width / 2


@settings(max_examples=150, deadline=None)
@given(graphs())
def test_boxes_never_overlap_and_edges_lead_down(graph: tuple[list[Box], list[tuple[str, str]]]) -> None:
    boxes, edges = graph
    layout = place_boxes(boxes, edges)
    for first, second in combinations(layout.boxes.values(), 2):
        apart_x = max(first.x, second.x) - min(first.x + first.width, second.x + second.width)
        apart_y = max(first.y, second.y) - min(first.y + first.height, second.y + second.height)
        assert apart_x >= BOX_GAP - 1e-6 or apart_y > 0
    for box in layout.boxes.values():
        assert box.x >= -1e-6
        assert box.x + box.width <= layout.width + 1e-6
        assert 0 <= box.y <= layout.height - box.height + 1e-6
    for (source, target), points in layout.routes.items():
        upper, lower = layout.boxes[source], layout.boxes[target]
        assert points[0].y == upper.y + upper.height
        assert points[-1].y == lower.y
        assert upper.x <= points[0].x <= upper.x + upper.width
        assert lower.x <= points[-1].x <= lower.x + lower.width
        assert [point.y for point in points] == sorted(point.y for point in points)


def test_a_chain_is_a_straight_line() -> None:
    boxes = [Box("a", 100, 40), Box("b", 200, 40), Box("c", 60, 40)]
    layout = place_boxes(boxes, [("a", "b"), ("b", "c")])
    assert {round(centre(layout, name), 3) for name in "abc"} == {100.0}
    assert {round(point.x, 3) for points in layout.routes.values() for point in points} == {100.0}


def test_two_branches_stand_evenly_under_their_condition() -> None:
    boxes = [Box("if", 120, 40), Box("yes", 100, 40), Box("no", 100, 40)]
    layout = place_boxes(boxes, [("if", "yes"), ("if", "no")])
    assert centre(layout, "yes") < centre(layout, "no")
    assert abs((centre(layout, "yes") + centre(layout, "no")) / 2 - centre(layout, "if")) < 1
    assert layout.routes["if", "yes"][0].x < layout.routes["if", "no"][0].x


def test_lines_that_need_not_cross_do_not() -> None:
    boxes = [Box(name, 80, 30) for name in ("a", "b", "c", "x", "y", "z")]
    layout = place_boxes(boxes, [("a", "z"), ("b", "y"), ("c", "x")])
    order = sorted(("x", "y", "z"), key=lambda name: centre(layout, name))
    sources = sorted(("a", "b", "c"), key=lambda name: centre(layout, name))
    assert [{"a": "z", "b": "y", "c": "x"}[name] for name in sources] == order


def test_a_long_line_passes_the_boxes_beside_it() -> None:
    boxes = [Box("a", 200, 40), Box("b", 200, 40), Box("c", 200, 40)]
    layout = place_boxes(boxes, [("a", "b"), ("b", "c"), ("a", "c")])
    middle = layout.boxes["b"]
    inside = [p for p in layout.routes["a", "c"] if middle.y <= p.y <= middle.y + middle.height]
    assert inside
    assert all(not middle.x <= point.x <= middle.x + middle.width for point in inside)


def test_nothing_is_drawn_of_nothing() -> None:
    assert place_boxes([], []) == Layout(0, 0, {}, {})

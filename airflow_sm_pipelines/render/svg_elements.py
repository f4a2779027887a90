"""The parts of all SVG pictures: colours for light and dark, the width of a text, and SVG's elements."""

from __future__ import annotations

from xml.sax.saxutils import escape, quoteattr

_FAMILIES = {
    "Processing": "data",
    "Transform": "data",
    "EMR": "data",
    "EMRServerless": "data",
    "Athena": "data",
    "Training": "train",
    "Tuning": "train",
    "AutoML": "train",
    "Model": "model",
    "RegisterModel": "model",
    "Endpoint": "model",
    "EndpointConfig": "model",
    "InferenceComponent": "model",
    "Condition": "choice",
    "ForEach": "choice",
    "Lambda": "call",
    "Callback": "call",
    "Fail": "fail",
    "QualityCheck": "check",
    "ClarifyCheck": "check",
}

_STATUSES = {
    "Succeeded": "ok",
    "Failed": "bad",
    "Stopped": "stopped",
    "Stopping": "stopped",
    "Executing": "running",
    "Starting": "running",
}

_LIGHT = """
.smp {
  --page: #ffffff; --frame: #d1d9e0; --box: #f6f8fa; --line: #818b98; --text: #1f2328; --soft: #59636e; --grid: #e6eaef;
  --data: #0f766e; --train: #6d28d9; --model: #15803d; --choice: #b45309; --call: #c2410c; --fail: #b91c1c;
  --check: #0369a1; --other: #59636e;
  --ok: #1a7f37; --bad: #cf222e; --stopped: #9a6700; --running: #0969da; --idle: #818b98; }
"""
_DARK = """.smp {
  --page: #0d1117; --frame: #30363d; --box: #161b22; --line: #6e7681; --text: #e6edf3; --soft: #9198a1; --grid: #21262d;
  --data: #2dd4bf; --train: #b79cf7; --model: #4ade80; --choice: #fbbf24; --call: #fb923c; --fail: #f87171;
  --check: #38bdf8; --other: #9198a1;
  --ok: #3fb950; --bad: #f85149; --stopped: #d29922; --running: #58a6ff; --idle: #6e7681; }
"""
_RULES = """
.smp text { font-family: -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", Arial, sans-serif;
  fill: var(--text); font-size: 12px; }
.smp .page { fill: var(--page); stroke: var(--frame); }
.smp .box { fill: var(--box); stroke: var(--frame); stroke-width: 1.2; }
.smp .name { font-size: 14px; font-weight: 600; }
.smp .soft { fill: var(--soft); }
.smp .title { font-size: 15px; font-weight: 600; }
.smp .line { fill: none; stroke: var(--line); stroke-width: 1.4; }
.smp .tip { fill: var(--line); }
.smp .mark { fill: var(--soft); font-weight: 600; stroke: var(--page); stroke-width: 4px; paint-order: stroke; }
.smp .grid { stroke: var(--grid); }
.smp .is-ok { stroke: var(--ok); } .smp .is-bad { stroke: var(--bad); } .smp .is-stopped { stroke: var(--stopped); }
.smp .is-running { stroke: var(--running); } .smp .is-idle { stroke: var(--idle); }
"""
STYLE = f"{_LIGHT}.smp {{ color-scheme: light dark; }}\n@media (prefers-color-scheme: dark) {{ {_DARK} }}\n{_RULES}"
"""What a picture by itself carries: light or dark by the reader's setting."""

CLASS_STYLE = f"{_LIGHT}.dark {_DARK}{_RULES}"
"""What a page carries whose root has the class ``dark`` while it is dark; for pictures without a style of their own."""

_NARROW = frozenset("iljtfrI.,:;'|!()[]{}/ ")
_WIDE = frozenset("mwMW@%…≤≥≠")


def find_type_colour(step_type: str) -> str:
    """The name of the CSS variable with the colour of a step type."""
    return _FAMILIES.get(step_type, "other")


def find_status_colour(status: str) -> str:
    """The name of the CSS variable with the colour of a step's status."""
    return _STATUSES.get(status, "idle")


def measure_text(text: str, size: float, *, is_bold: bool = False) -> float:
    """An estimate of a text's width in pixels. It is rather too wide than too narrow, because the font is not known.

    :param size: the font's size in pixels.
    """
    width = 0.0
    for character in text:
        if character in _NARROW:
            width += 0.36
        elif character in _WIDE:
            width += 0.92
        elif character.isupper() or ord(character) > 0x2E80:
            width += 0.72 if ord(character) < 0x2E80 else 1.05
        else:
            width += 0.6
    return width * size * (1.06 if is_bold else 1.0)


def text_element(x: float, y: float, text: str, *, kind: str = "", anchor: str = "", colour: str = "") -> str:
    """A line of text."""
    attributes = f' class="{kind}"' if kind else ""
    attributes += f' text-anchor="{anchor}"' if anchor else ""
    attributes += f' style="fill: var(--{colour})"' if colour else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{attributes}>{escape(_clean(text))}</text>'


def title_element(text: str) -> str:
    """The text that a resting pointer shows and a screen reader reads."""
    return f"<title>{escape(_clean(text))}</title>"


def without_style(svg: str) -> str:
    """A picture for a page that carries the style itself."""
    return svg.replace(f"<style>{STYLE}</style>\n", "", 1)


def wrap_svg(width: float, height: float, label: str, body: list[str]) -> str:
    """A whole picture with a background of its own, so that it can be read on any page.

    :param label: the description for screen readers.
    :param body: the elements.
    """
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="smp" {size} role="img"',
            f"  aria-label={quoteattr(_clean(label))}>",
            f"<style>{STYLE}</style>",
            f'<rect class="page" x="0.5" y="0.5" width="{width - 1:.0f}" height="{height - 1:.0f}" rx="10"/>',
            *body,
            "</svg>",
            "",
        ]
    )


def _clean(text: str) -> str:
    """The text with spaces for the control characters that XML cannot hold."""
    return "".join(character if character.isprintable() else " " for character in text)

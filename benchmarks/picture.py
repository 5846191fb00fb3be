"""The results as a picture: for each row, how many times as long as gradcompile everybody else takes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from benchmarks.record import Line, Record
from benchmarks.row import LIMIT, OURS

WIDTH, LEFT, RIGHT, TOP, STEP = 760, 150, 30, 70, 24
# Colours that differ in lightness too (Okabe and Ito), and marks that differ without colour.
LIBRARIES = {
    "jax": ("#0072b2", "circle"),
    "torch": ("#d55e00", "square"),
    "scikit-learn": ("#009e73", "diamond"),
    "pytensor": ("#cc79a7", "triangle"),
    "casadi": ("#8a7a00", "cross"),
    "symengine": ("#56b4e9", "plus"),
}
STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #24292f }
  .small { font-size: 11px }
  .grid { stroke: #d0d7de; stroke-width: 1 }
  .ours { stroke: #24292f; stroke-width: 2 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .grid { stroke: #3d444d }
    .ours { stroke: #e6edf3 }
  }
"""


def draw(records: Sequence[Record]) -> str:
    """Return an SVG document; it has no background, and its lines and letters follow the reader's light or dark."""
    bottom = TOP + STEP * len(records)
    scale = Scale([line.ratio for made in records for line in drawn(made)])
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom + 50}" role="img"'
        ' aria-labelledby="title">',
        '<title id="title">How many times as long as gradcompile others take, by row; further right is slower</title>',
        f"<style>{STYLE}</style>",
        *legend(),
        *grid(scale, bottom),
    ]
    for number, made in enumerate(records):
        parts += row(made, scale, TOP + STEP * number + STEP / 2)
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(
        f'<text x="{middle:g}" y="{bottom + 40}" text-anchor="middle">'
        "time, as a multiple of gradcompile's; further right is slower</text>"
    )
    return "\n".join([*parts, "</svg>"]) + "\n"


class Scale:
    """A logarithmic axis that has 1 and all of the ratios on it."""

    def __init__(self, ratios: Sequence[float]) -> None:
        self.low = math.floor(math.log10(min([*ratios, 0.5])) * 2) / 2
        self.high = math.ceil(math.log10(max([*ratios, 10.0])) * 2) / 2

    def place(self, ratio: float) -> float:
        """Return the horizontal place of a ratio."""
        return LEFT + (WIDTH - LEFT - RIGHT) * (math.log10(ratio) - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """Return 1, 2, 5 of each power of ten; only the powers if there are many."""
        steps = (1, 2, 5) if self.high - self.low <= 3 else (1,)
        powers = range(math.floor(self.low), math.ceil(self.high) + 1)
        marks = [step * 10.0**power for power in powers for step in steps]
        return [mark for mark in marks if self.low - 1e-9 <= math.log10(mark) <= self.high + 1e-9]


def drawn(made: Record) -> list[Line]:
    """Return the best line of each library that has a mark."""
    best = (made.best(library) for library in LIBRARIES if library not in (OURS, LIMIT))
    return [line for line in best if line is not None]


def legend() -> list[str]:
    """Return what each mark means, above the rows."""
    parts, x = [], 20.0
    for name, (colour, shape) in LIBRARIES.items():
        parts.append(mark(shape, colour, x, 20, name))
        parts.append(f'<text x="{x + 10:g}" y="24">{name}</text>')
        x += 32 + 7.0 * len(name)
    return [
        *parts,
        f'<line class="ours" x1="{x:g}" y1="12" x2="{x:g}" y2="28"/>',
        f'<text x="{x + 8:g}" y="24">{OURS}</text>',
    ]


def grid(scale: Scale, bottom: int) -> list[str]:
    """Return the lines of the ticks, and that of gradcompile."""
    parts = []
    for tick in scale.ticks():
        x, kind = scale.place(tick), "ours" if tick == 1 else "grid"
        parts.append(f'<line class="{kind}" x1="{x:.1f}" y1="{TOP - 8}" x2="{x:.1f}" y2="{bottom}"/>')
        for y in (TOP - 14, bottom + 16):
            parts.append(f'<text class="small" x="{x:.1f}" y="{y}" text-anchor="middle">{tick:g}x</text>')
    return parts


def row(made: Record, scale: Scale, y: float) -> list[str]:
    """Return a row: its name and a mark for each library."""
    parts = [f'<text x="{LEFT - 12}" y="{y + 4:g}" text-anchor="end">{made.name}</text>']
    for line in drawn(made):
        colour, shape = LIBRARIES[line.library]
        parts.append(mark(shape, colour, scale.place(line.ratio), y, f"{made.name}: {line.label} {line.ratio:.2f}x"))
    return parts


def mark(shape: str, colour: str, x: float, y: float, title: str) -> str:
    """Return a mark with a title that shows when the pointer is on it."""
    path = SHAPES[shape]
    return (
        f'<path transform="translate({x:.1f} {y:g})" d="{path}" fill="{colour}" stroke="{colour}" stroke-width="2">'
        f"<title>{title}</title></path>"
    )


SHAPES = {
    "circle": "M -4 0 A 4 4 0 1 0 4 0 A 4 4 0 1 0 -4 0 Z",
    "square": "M -4 -4 H 4 V 4 H -4 Z",
    "diamond": "M 0 -5 L 5 0 L 0 5 L -5 0 Z",
    "triangle": "M 0 -5 L 5 4 H -5 Z",
    "cross": "M -4 -4 L 4 4 M 4 -4 L -4 4",
    "plus": "M -5 0 H 5 M 0 -5 V 5",
}

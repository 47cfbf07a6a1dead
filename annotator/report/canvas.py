"""How the figures of the report look: one width, colours for everybody, the same bytes again.

Every figure has one width, so that its letters stay legible on a phone. Colours are those of
Okabe and Ito (2008), "Color Universal Design", which people with any colour vision tell apart.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BLUE, ORANGE, GREEN, VERMILION, SKY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9"
CLASS_COLOURS: Mapping[str, str] = {
    "bg": "#999999",
    "fat": ORANGE,
    "cell": BLUE,
    "bone": VERMILION,
    "unlabelled": "#DDDDDD",
}
"""Colour of each class in figures, whatever the schema says: told apart by everybody."""
_STYLE: Any = {
    "svg.hashsalt": "trephine",
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#DDDDDD",
    "hatch.linewidth": 0.6,
}
_WIDTH, _HEIGHT = 4.6, 3.4


@dataclass(frozen=True, slots=True)
class ChartFigure:
    """A figure.

    Parameters
    ----------
    svg : bytes
        Depends on the numbers alone.
    alt : str
        What is seen, for who does not see it.
    """

    svg: bytes
    alt: str


class Canvas:
    """One drawing: its axes, and its bytes when it is done."""

    def __init__(self, height: float) -> None:
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure

        self._figure = Figure(figsize=(_WIDTH, height), layout="constrained")
        FigureCanvasSVG(self._figure)
        self.axes: Axes = self._figure.subplots()
        self.svg = b""

    def finish(self) -> None:
        """Write it; without the date and the program that matplotlib would note."""
        buffer = io.BytesIO()
        nothing = {"Date": None, "Creator": None}
        self._figure.savefig(buffer, format="svg", metadata=nothing)
        self.svg = buffer.getvalue()


@contextmanager
def drawing(height: float = _HEIGHT) -> Iterator[Canvas]:
    """A drawing of this height in inches; its bytes are there afterwards."""
    import matplotlib

    with matplotlib.rc_context(_STYLE):
        canvas = Canvas(height)
        yield canvas
        canvas.finish()

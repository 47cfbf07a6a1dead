"""Line plots of a figure over the rounds of learning, as PNG."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

from annotator.core.intervals import Estimate


@dataclass(frozen=True, slots=True)
class PlottedLine:
    """One line of a plot.

    Parameters
    ----------
    name : str
        For the legend.
    x, y : sequence of float
        N points.
    low, high : sequence of float or None
        N ends of the interval at each point, such as a confidence interval; None for none.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None

    @classmethod
    def of_estimates(cls, name: str, points: Sequence[tuple[float, Estimate]]) -> PlottedLine:
        """A line through estimates that have values; with their intervals where all have one.

        Parameters
        ----------
        name : str
        points : sequence of (x, Estimate)

        Examples
        --------
        >>> PlottedLine.of_estimates("ours", [(1, Estimate(0.8, 0.7, 0.9)), (2, Estimate(0.9))])
        PlottedLine(name='ours', x=[1, 2], y=[0.8, 0.9], low=None, high=None)
        """
        x, y = [x for x, _ in points], [one.known for _, one in points]
        low = [one.low for _, one in points if one.low is not None]
        high = [one.high for _, one in points if one.high is not None]
        if len(low) < len(points) or len(high) < len(points):
            return cls(name, x, y)
        return cls(name, x, y, low, high)


def draw(title: str, x_label: str, panels: Sequence[tuple[str, Sequence[PlottedLine]]]) -> bytes:
    """Draw line plots side by side.

    Parameters
    ----------
    title, x_label : str
        The x axis shows whole numbers, such as rounds.
    panels : sequence of (str, sequence of PlottedLine)
        For each panel the label of its y axis, and its lines.

    Returns
    -------
    bytes
        A PNG that depends on the figures alone: equal plots have equal bytes.

    Examples
    --------
    >>> accuracy = PlottedLine("SVM", [1, 2, 3], [0.7, 0.8, 0.85])
    >>> draw("Learning", "round", [("accuracy", [accuracy])])[1:4].decode()
    'PNG'
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(5.2 * len(panels), 3.8), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axis, (what, lines) in zip(axes, panels, strict=True):
        for line in lines:
            (drawn,) = axis.plot(line.x, line.y, marker="o", label=line.name)
            if line.low is not None and line.high is not None:
                axis.vlines(line.x, line.low, line.high, alpha=0.4, color=drawn.get_color())
        axis.set_xlabel(x_label)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.set_ylabel(what)
        axis.grid(alpha=0.3)
        axis.legend()
    buffer = io.BytesIO()
    # Without the entry "Software", which holds the version of matplotlib.
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()

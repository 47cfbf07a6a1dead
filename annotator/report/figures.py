"""The figures of the report: from numbers to SVG and a sentence that describes it.

Lines differ in their markers too, and bars stand beside their names: colour is never the only
sign. No text of a user comes into a figure: only class and feature names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from annotator.core.classes import CLASS_NAMES
from annotator.measurements.adipocyte_sizes import STEP_UM, DiameterBin, PublishedFigure
from annotator.pictures.line_plots import PlottedLine
from annotator.report.canvas import (
    BLUE,
    CLASS_COLOURS,
    GREEN,
    ORANGE,
    SKY,
    VERMILION,
    ChartFigure,
    drawing,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MARKED = tuple(zip((BLUE, VERMILION, GREEN, "#000000"), "os^D", strict=True))
_FATES = (("#FFFFFF", ""), (SKY, "//"), (ORANGE, ".."), (GREEN, "xx"), (VERMILION, "--"))
# More points than this cannot be told apart, and make a large file.
_MOST_POINTS = 1500


def histogram(counts: Sequence[int], mean: float | None = None) -> ChartFigure:
    """Images by cellularity in equal steps from 0 to 100 %.

    Parameters
    ----------
    counts : sequence of int
        Ten for steps of 10 %.
    mean : float or None
        Marked by a line, 0..100.
    """
    width = 100 / len(counts)
    lefts = [step * width for step in range(len(counts))]
    with drawing() as canvas:
        axes = canvas.axes
        axes.bar(lefts, counts, width, align="edge", color=SKY, edgecolor="black", linewidth=0.8)
        if mean is not None:
            axes.axvline(mean, color=VERMILION, linestyle="--", label=f"mean {mean:.0f} %")
            axes.legend(frameon=False)
        axes.set(xlabel="cellularity, % (steps of 10 %)", ylabel="images", xlim=(0, 100))
        axes.set_xticks(range(0, 101, 10))
        _whole_numbers(axes)
    fullest = int(np.argmax(counts)) if len(counts) else 0
    at = f"{fullest * width:.0f} to {(fullest + 1) * width:.0f} %"
    middle = "" if mean is None else f", the mean is {mean:.1f} %"
    return ChartFigure(
        canvas.svg,
        f"Histogram of cellularity: {sum(counts)} images, most of them ({max(counts, default=0)}) "
        f"at {at}{middle}.",
    )


def diameter_histogram(
    bins: Sequence[DiameterBin], mean: float, published: PublishedFigure
) -> ChartFigure:
    """Adipocytes by their equivalent diameter, beside a published mean ± deviation.

    Parameters
    ----------
    bins : sequence of DiameterBin
        In order, at least one; the last has no end.
    mean : float
        Of the same adipocytes, um: what the published mean is to be compared with.
    published : PublishedFigure
        In um.
    """
    lefts = [one.low for one in bins]
    counts = [one.adipocytes for one in bins]
    step = (bins[0].high or STEP_UM) - bins[0].low
    low, high = published.range
    said = f"published mean {published.mean:g} ± {published.deviation:g} µm ({published.short})"
    with drawing() as canvas:
        axes = canvas.axes
        band: Any = {"facecolor": ORANGE, "alpha": 0.4, "hatch": "//", "edgecolor": "black"}
        axes.bar(lefts, counts, step, align="edge", color=SKY, edgecolor="black", linewidth=0.8)
        axes.axvspan(low, high, linewidth=0, zorder=3, label=said, **band)
        axes.axvline(mean, color=VERMILION, linestyle="--", zorder=4, label=f"mean {mean:.1f} µm")
        axes.set(
            xlabel=f"equivalent diameter, µm (last bar: {lefts[-1]} and more)",
            ylabel="adipocytes",
            xlim=(0, lefts[-1] + step),
        )
        axes.legend(frameon=False, fontsize=9, loc="lower center", bbox_to_anchor=(0.5, 1.0))
        _whole_numbers(axes)
    fullest = int(np.argmax(counts))
    end = "µm and more" if bins[fullest].high is None else f"to {bins[fullest].high} µm"
    return ChartFigure(
        canvas.svg,
        f"Histogram of adipocyte diameters: {sum(counts)} adipocytes, most of them "
        f"({counts[fullest]}) at {lefts[fullest]} {end}, the mean is {mean:.1f} µm; a band marks "
        f"the published mean "
        f"{published.mean:g} ± {published.deviation:g} µm.",
    )


def class_areas(areas: Mapping[str, Sequence[float]]) -> ChartFigure:
    """Box plot of the area of each class, percent of the image.

    Parameters
    ----------
    areas : mapping of str to sequence of float
        Per cent of the image, by class; every class has an image at least.
    """
    names = list(areas)
    with drawing(0.5 * len(names) + 1.0) as canvas:
        axes = canvas.axes
        boxes = axes.boxplot(
            [list(areas[name]) for name in names],
            orientation="horizontal",
            tick_labels=names,
            patch_artist=True,
            widths=0.6,
            medianprops={"color": "black"},
            flierprops={"marker": ".", "markersize": 4, "markeredgecolor": "#555555"},
        )
        for box, name in zip(boxes["boxes"], names, strict=True):
            box.set_facecolor(CLASS_COLOURS.get(name, "#FFFFFF"))
        axes.set(xlabel="share of the image, %", xlim=(-2, 102))
        axes.invert_yaxis()
        axes.grid(axis="x")
    medians = ", ".join(f"{name} {np.median(areas[name]):.0f} %" for name in names)
    return ChartFigure(canvas.svg, f"Box plots of the area of each class; medians: {medians}.")


def lines(what: str, x_label: str, drawn: Sequence[PlottedLine]) -> ChartFigure:
    """Lines with their intervals, each with a marker of its own.

    Parameters
    ----------
    what : str
        On the y axis.
    x_label : str
    drawn : sequence of PlottedLine
        One to four, none empty.
    """
    with drawing() as canvas:
        axes = canvas.axes
        for line, (colour, marker) in zip(drawn, _MARKED, strict=False):
            axes.plot(line.x, line.y, color=colour, marker=marker, label=line.name)
            if line.low is not None and line.high is not None:
                axes.vlines(line.x, line.low, line.high, color=colour, alpha=0.5)
        axes.set(xlabel=x_label, ylabel=what)
        axes.grid()
        axes.legend(frameon=False)
        _marks_at(axes, sorted({x for line in drawn for x in line.x}))
    ends = "; ".join(
        f"{line.name} from {line.y[0]:.3f} at {line.x[0]:g} to {line.y[-1]:.3f} at {line.x[-1]:g}"
        for line in drawn
    )
    return ChartFigure(canvas.svg, f"Lines of {what} by {x_label}: {ends}.")


def confusion(
    counts: Sequence[Sequence[float]],
    unit: str,
    titles: tuple[str, str] = ("corrected", "rough"),
    columns: Sequence[str] = CLASS_NAMES,
) -> ChartFigure:
    """Confusion matrix, shaded by the share of each row.

    Parameters
    ----------
    counts : 4 x C
        By true class (rows) and by given class.
    unit : str
        What is counted: "pixels", "objects".
    titles : (str, str)
        Of the rows and the columns.
    columns : sequence of str
        Names of the C columns.
    """
    truth, given = titles
    table = np.asarray(counts, np.float64)
    whole = table.sum(axis=1, keepdims=True)
    share = np.divide(table, whole, out=np.zeros_like(table), where=whole > 0)
    with drawing(3.6) as canvas:
        axes = canvas.axes
        axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        for (row, column), value in np.ndenumerate(share):
            text = f"{100 * value:.1f} %" if whole[row, 0] else "–"
            # Either ink has a contrast of 4.5 or so where they change.
            ink = "white" if value > 0.72 else "black"
            axes.text(column, row, text, ha="center", va="center", color=ink)
        axes.set_xticks(range(len(columns)), columns)
        axes.set_yticks(range(len(CLASS_NAMES)), CLASS_NAMES)
        axes.set(xlabel=given, ylabel=truth)
        axes.spines[:].set_visible(False)
    right = ", ".join(
        f"{name} {100 * share[at, at]:.0f} %" for at, name in enumerate(CLASS_NAMES) if whole[at, 0]
    )
    return ChartFigure(
        canvas.svg,
        f"Confusion matrix of {unit}, rows {truth}, columns {given}; share of each class that is "
        f"right: {right or 'none known'}.",
    )


def reliability(bins: Sequence[tuple[float, float, int]], ece: float) -> ChartFigure:
    """How often the classifier is right, by its confidence.

    Parameters
    ----------
    bins : sequence of (confidence, accuracy, objects)
        Without the empty ones; 0..1.
    ece : float
        Expected calibration error, 0..1.
    """
    confidence = [one[0] for one in bins]
    accuracy = [one[1] for one in bins]
    most = max((one[2] for one in bins), default=1)
    with drawing() as canvas:
        axes = canvas.axes
        axes.plot((0, 1), (0, 1), color="#777777", linestyle=":", label="calibrated")
        axes.plot(confidence, accuracy, color=BLUE, label="this model")
        sizes = [20 + 100 * one[2] / most for one in bins]
        axes.scatter(confidence, accuracy, sizes, color=BLUE, edgecolor="black", zorder=3)
        axes.set(xlabel="confidence", ylabel="share that is right", xlim=(0, 1.04), ylim=(0, 1.04))
        axes.grid()
        axes.legend(frameon=False, loc="upper left")
    return ChartFigure(
        canvas.svg,
        f"Reliability curve: on average, confidence and accuracy are {100 * ece:.1f} points "
        "apart; larger dots stand for more objects, and on the dotted line the model is right "
        "as often as its confidence.",
    )


def importance(features: Sequence[tuple[str, float]]) -> ChartFigure:
    """Importance of each feature, largest first.

    Parameters
    ----------
    features : sequence of (name, loss in macro-F1)
        One at least.
    """
    names = [name.replace("_", " ") for name, _ in features]
    with drawing(0.24 * len(names) + 0.9) as canvas:
        axes = canvas.axes
        axes.barh(names, [loss for _, loss in features], color=SKY, edgecolor="black")
        axes.invert_yaxis()
        axes.set(xlabel="loss in macro-F1 when shuffled")
        axes.tick_params(axis="y", labelsize=9)
        axes.grid(axis="x")
    first = ", ".join(
        f"{name} ({loss:.3f})" for name, (_, loss) in zip(names, features[:3], strict=False)
    )
    return ChartFigure(
        canvas.svg, f"Bars of the {len(names)} features that matter most; first: {first}."
    )


def fates(totals: Mapping[str, Mapping[str, int]]) -> ChartFigure:
    """Objects of each class by what experts did with them, as shares of one bar.

    Parameters
    ----------
    totals : mapping of str to mapping of str to int
        Objects by class and fate; classes without objects have no bar.
    """
    shown = {name: one for name, one in totals.items() if sum(one.values())}
    names = list(shown)
    kinds = list(next(iter(shown.values()), {}))
    left = np.zeros(len(names))
    with drawing(0.5 * len(names) + 1.6) as canvas:
        axes = canvas.axes
        for kind, (colour, hatch) in zip(kinds, _FATES, strict=False):
            share = np.array([100 * one[kind] / sum(one.values()) for one in shown.values()])
            style: Any = {"color": colour, "hatch": hatch, "edgecolor": "black"}
            axes.barh(names, share, left=left, label=kind, **style)
            left += share
        axes.invert_yaxis()
        axes.set(xlabel="share of the objects, %", xlim=(0, 100))
        axes.legend(frameon=False, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    kept = ", ".join(
        f"{name} {100 * one[kinds[0]] / sum(one.values()):.0f} %" for name, one in shown.items()
    )
    return ChartFigure(canvas.svg, f"Bars of what became of objects by class; {kinds[0]}: {kept}.")


def against(rough: Sequence[float], corrected: Sequence[float]) -> ChartFigure:
    """Cellularity of the rough annotation beside that of the corrected one, per cent."""
    with drawing(3.6) as canvas:
        axes = canvas.axes
        axes.plot((0, 100), (0, 100), color="#777777", linestyle=":", label="the same")
        _dots(axes, corrected, rough)
        axes.set(xlabel="corrected, %", ylabel="rough, %", xlim=(-2, 102), ylim=(-2, 102))
        axes.grid()
        axes.legend(frameon=False, loc="upper left")
    off = np.abs(np.subtract(rough, corrected))
    return ChartFigure(
        canvas.svg,
        f"Rough against corrected cellularity of {len(off)} images; they differ by "
        f"{off.mean():.1f} points on average and by {off.max():.1f} at most.",
    )


def bland_altman(
    rough: Sequence[float], corrected: Sequence[float], limits: tuple[float, float, float]
) -> ChartFigure:
    """Difference of two measurements over their mean (Bland and Altman 1986), per cent.

    Parameters
    ----------
    rough, corrected : sequence of float
        Cellularity.
    limits : (float, float, float)
        Lower limit of agreement, bias, upper limit: drawn as they were reported.
    """
    low, bias, high = limits
    first, second = np.asarray(rough), np.asarray(corrected)
    with drawing() as canvas:
        axes = canvas.axes
        _dots(axes, (first + second) / 2, first - second)
        for value, style, name in ((high, "--", "limits"), (bias, "-", "bias"), (low, "--", "")):
            axes.axhline(value, color=VERMILION, linestyle=style, label=name or None)
        axes.set(xlabel="mean of both, %", ylabel="rough − corrected, points", xlim=(-2, 102))
        axes.grid()
        axes.legend(frameon=False, loc="best")
    return ChartFigure(
        canvas.svg,
        f"Bland-Altman plot of cellularity: rough minus corrected is {bias:+.1f} points on "
        f"average, with limits of agreement at {low:+.1f} and {high:+.1f}.",
    )


def bands(values: Sequence[tuple[float, float, float]]) -> ChartFigure:
    """Cellularity of each image with its band, in order of cellularity, per cent.

    Parameters
    ----------
    values : sequence of (low, cellularity, high)
        One at least.
    """
    ordered = np.array(sorted(_thinned(values), key=lambda one: (one[1], one[0], one[2])))
    at = np.arange(1, len(ordered) + 1)
    with drawing() as canvas:
        axes = canvas.axes
        axes.vlines(at, ordered[:, 0], ordered[:, 2], color=SKY, linewidth=2, label="band")
        axes.plot(at, ordered[:, 1], ".", color="black", markersize=4, label="cellularity")
        axes.set(xlabel="images, in order", ylabel="cellularity, %", ylim=(-2, 102))
        axes.grid(axis="y")
        axes.legend(frameon=False, loc="upper left")
    widths = [high - low for low, _, high in values]
    return ChartFigure(
        canvas.svg,
        f"Cellularity of {len(values)} images with the band over which it moves with the white "
        f"reference; bands are {np.median(widths):.1f} points wide in the middle and "
        f"{max(widths):.1f} at most.",
    )


def _dots(axes: Axes, x: Any, y: Any) -> None:
    points = _thinned(list(zip(np.asarray(x).tolist(), np.asarray(y).tolist(), strict=True)))
    flat = np.array(points, np.float64).reshape(-1, 2)
    style: Any = {"markersize": 5, "alpha": 0.7, "markeredgecolor": "black", "markeredgewidth": 0.5}
    axes.plot(flat[:, 0], flat[:, 1], "o", color=BLUE, **style)


def _thinned(points: Sequence[Any]) -> list[Any]:
    """At most so many of the points, evenly taken."""
    step = max(1, -(-len(points) // _MOST_POINTS))
    return list(points[::step])


def _marks_at(axes: Axes, places: Sequence[float]) -> None:
    """Marks on the x axis where there is a point, as long as they do not crowd."""
    if len(places) <= 8:
        axes.set_xticks(places, [f"{place:g}" for place in places])
    else:
        _whole_numbers(axes, "x")


def _whole_numbers(axes: Axes, which: str = "y") -> None:
    from matplotlib.ticker import MaxNLocator

    getattr(axes, f"{which}axis").set_major_locator(MaxNLocator(integer=True))

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable

import numpy as np
import pytest

from annotator.core.classes import CLASS_NAMES
from annotator.measurements import adipocyte_sizes as measured
from annotator.pictures.line_plots import PlottedLine
from annotator.report.canvas import CLASS_COLOURS, ChartFigure
from annotator.report.figures import (
    against,
    bands,
    bland_altman,
    class_areas,
    confusion,
    diameter_histogram,
    fates,
    histogram,
    importance,
    lines,
    reliability,
)

pytestmark = pytest.mark.slow

SHARE = {"bg": [1.0, 3.0], "fat": [30.0, 50.0], "cell": [60.0, 40.0]}
FATES = {"kept": 3, "moved": 1, "relabelled": 0, "added": 0, "deleted": 1}
ALL: dict[str, Callable[[], ChartFigure]] = {
    "histogram": lambda: histogram([0, 1, 4, 2, 0, 0, 0, 0, 0, 1], 33.0),
    "diameters": lambda: diameter_histogram(
        measured.diameter_histogram(np.array([12.0, 61.0, 68.0, 400.0])),
        135.25,
        measured.PUBLISHED_DIAMETER_UM,
    ),
    "class areas": lambda: class_areas(SHARE),
    "lines": lambda: lines("macro-F1", "round", [PlottedLine("ours", [1, 2], [0.5, 0.75])]),
    "confusion": lambda: confusion([[8, 2, 0, 0], [0, 5, 0, 0], [0] * 4, [1] * 4], "pixels"),
    "reliability": lambda: reliability([(0.55, 0.5, 10), (0.95, 0.9, 90)], 0.05),
    "importance": lambda: importance([("area_px", 0.25), ("circularity", 0.125)]),
    "fates": lambda: fates({"fat": FATES, "bone": dict.fromkeys(FATES, 0)}),
    "against": lambda: against([50.0, 60.0], [52.0, 50.0]),
    "bland-altman": lambda: bland_altman([50.0, 60.0], [52.0, 50.0], (-8.0, 4.0, 16.0)),
    "bands": lambda: bands([(40.0, 50.0, 55.0), (10.0, 12.0, 13.0)]),
}


@pytest.mark.parametrize("name", ALL)
def test_a_figure_is_the_same_svg_each_time(name: str) -> None:
    first, second = ALL[name](), ALL[name]()
    assert first == second
    root = ElementTree.fromstring(first.svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert b"<dc:date>" not in first.svg
    assert b"<script" not in first.svg


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("histogram", "8 images, most of them (4) at 20 to 30 %, the mean is 33.0 %"),
        ("diameters", "4 adipocytes, most of them (2) at 60 to 70 µm, the mean is 135.2 µm"),
        ("diameters", "a band marks the published mean 76.3 ± 4.9 µm"),
        ("class areas", "bg 2 %, fat 40 %, cell 50 %"),
        ("lines", "ours from 0.500 at 1 to 0.750 at 2"),
        ("confusion", "bg 80 %, fat 100 %, bone 25 %"),
        ("reliability", "5.0 points apart"),
        ("importance", "area px (0.250), circularity (0.125)"),
        ("fates", "kept: fat 60 %"),
        ("against", "differ by 6.0 points on average and by 10.0 at most"),
        ("bland-altman", "+4.0 points on average, with limits of agreement at -8.0 and +16.0"),
        ("bands", "9.0 points wide in the middle and 15.0 at most"),
    ],
)
def test_the_alt_text_says_what_is_seen(name: str, said: str) -> None:
    assert said in ALL[name]().alt


def test_other_numbers_make_another_figure() -> None:
    assert histogram([1, 2]).svg != histogram([2, 1]).svg
    assert against([50.0], [52.0]).svg != against([50.0], [53.0]).svg


def test_a_confusion_of_other_columns() -> None:
    table = [[1, 0, 0, 0, 3]] * 4
    drawn = confusion(table, "pixels", columns=(*CLASS_NAMES, "unlabelled"))
    assert "bg 25 %, fat 0 %" in drawn.alt


def test_a_large_cloud_does_not_make_a_large_file() -> None:
    few = against(*[[float(n % 100) for n in range(1_400)]] * 2)
    many = against(*[[float(n % 100) for n in range(20_000)]] * 2)
    assert "20000 images" in many.alt
    assert len(many.svg) < 1.2 * len(few.svg)


def test_intervals_are_drawn_where_they_are_known() -> None:
    without = lines("F1", "round", [PlottedLine("a", [1, 2], [0.5, 0.6])])
    with_them = lines("F1", "round", [PlottedLine("a", [1, 2], [0.5, 0.6], [0.4, 0.5], [0.6, 0.7])])
    assert len(with_them.svg) > len(without.svg)


def test_every_class_has_a_colour_of_its_own() -> None:
    assert len(set(CLASS_COLOURS.values())) == len(CLASS_COLOURS)
    assert set(CLASS_NAMES) < set(CLASS_COLOURS)

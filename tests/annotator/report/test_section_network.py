"""The section on the study's own network: Table 3, curves, worst images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from annotator.core.errors import StudyError
from annotator.report.page import Charts, Note, PageTable
from annotator.report.section_network import network_blocks
from annotator.segmentation.network.architecture import decoder_shapes
from annotator.study.networks import NetworkStore

DECODER = {name: np.ones(shape, np.float32) for name, shape in decoder_shapes().items()}


def _figure(mean: float | None, sd: float | None = 0.05) -> dict[str, object]:
    ends = (None, None) if mean is None else (mean - 0.1, mean + 0.1)
    return {"mean": {"value": mean, "low": ends[0], "high": ends[1]}, "sd": sd, "patients": 4}


def _card(verdict: str = "better") -> dict[str, object]:
    figures = {
        "dice": _figure(0.9),
        "mean_iou": _figure(0.8),
        "cellularity_error": _figure(0.02),
    }
    curve = [
        {"epoch": epoch, "loss": 2.0 / epoch, "validation_loss": None, "validation_dice": None}
        for epoch in (1, 2)
    ]
    fold = [one | {"validation_loss": 2.5, "validation_dice": 0.5} for one in curve]
    classes = {"bg": 0.9, "fat": 0.8, "cell": 0.7, "bone": None}
    return {
        "time": "2026-01-01",
        "verdict": verdict,
        "adopted": verdict == "better",
        "images": [{"use": "learned from"}] * 7,
        "patients": ["a", "b", "c", "d"],
        "notes": ["4 patients only: the intervals are rough"],
        "figures": figures,
        "class_dice": {name: _figure(value) for name, value in classes.items()},
        "curve": curve,
        "fold_curves": [fold, fold[:1]],
        "scores": [{"name": "worst one", "patient": "a", "dice": 0.4, "classes": classes}],
    }


def _words(blocks: tuple[object, ...]) -> str:
    tables = [one for one in blocks if isinstance(one, PageTable)]
    cells = [cell for one in tables for row in one.rows for cell in row]
    return " | ".join([*(one.text for one in blocks if isinstance(one, Note)), *cells])


def test_without_a_network_it_says_how_to_get_one(tmp_path: Path) -> None:
    (note,) = network_blocks(NetworkStore(tmp_path), tmp_path / "report")
    assert isinstance(note, Note) and note.kind == "missing"
    assert "trephine network train STUDY" in note.text


def test_figures_stand_in_the_form_of_table_3_beside_the_papers(tmp_path: Path) -> None:
    store = NetworkStore(tmp_path)
    store.add(1, DECODER, _card())
    store.add(2, DECODER, _card("worse"))
    blocks = network_blocks(store, tmp_path / "report")
    words = _words(blocks)
    for expected in (
        "Network 001 learned from 7 corrected images of 4 patients",
        "0.900 ± 0.050 (0.800 to 1.000)",
        "0.832 ± 0.099",
        "0.059 ± 0.088",
        "worst one",
        "and is used.",
    ):
        assert expected in words
    (charts,) = [one for one in blocks if isinstance(one, Charts)]
    assert [chart.drawn.alt.split(":")[0] for chart in charts.items] == [
        "Lines of loss by epoch",
        "Lines of Dice by epoch",
    ]


def test_what_was_not_measured_is_a_dash(tmp_path: Path) -> None:
    store = NetworkStore(tmp_path)
    nothing = {name: _figure(None, None) for name in ("dice", "mean_iou", "cellularity_error")}
    store.add(1, DECODER, _card("unmeasured") | {"figures": nothing, "scores": []})
    words = _words(network_blocks(store, tmp_path / "report"))
    assert "network 001, when it was made | – | – | –" in words


def test_damaged_figures_of_an_evaluation_are_named(tmp_path: Path) -> None:
    store = NetworkStore(tmp_path)
    store.add(1, DECODER, _card())
    file = tmp_path / "report" / "network" / "figures.json"
    file.parent.mkdir(parents=True)
    file.write_text("{", "utf-8")
    with pytest.raises(StudyError, match=r"figures\.json.*network evaluate again"):
        network_blocks(store, tmp_path / "report")

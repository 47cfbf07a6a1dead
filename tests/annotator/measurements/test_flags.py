"""Scores of the flags on drawn fields, and whose word counts."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from annotator.core.classes import BG, BONE, CELL
from annotator.measurements.flags import TISSUE_FLAGS, Flag, scores
from annotator.measurements.white_sensitivity import sampled

SHAPE = (240, 320)
NONE = dict.fromkeys(TISSUE_FLAGS, 0.0)
RED, PINK, DARK = (190, 35, 60), (225, 150, 185), (60, 15, 60)
PATCH = np.s_[60:180, 60:200]


def tissue() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Cytoplasm with dark nuclei on a lattice, and the map that calls it all cell."""
    pixels = np.full((*SHAPE, 3), (200, 140, 190), np.uint8)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    pixels[(y % 12 - 6) ** 2 + (x % 12 - 6) ** 2 <= 16] = (80, 40, 120)
    pixels[:6, :60] = 240
    return pixels, np.full(SHAPE, CELL, np.uint8)


def test_ordinary_tissue_raises_nothing() -> None:
    assert scores(sampled(*tissue())) == NONE


@pytest.mark.parametrize(
    ("colour", "code", "flag"),
    [(RED, CELL, "haemorrhage"), (PINK, CELL, "soft_tissue"), (DARK, CELL, "artefact")],
)
def test_a_patch_raises_its_flag_alone(colour: tuple[int, int, int], code: int, flag: str) -> None:
    pixels, classes = tissue()
    pixels[PATCH], classes[PATCH] = colour, code
    found = scores(sampled(pixels, classes))
    raised = [name for name, score in found.items() if Flag(score).raised]
    assert raised == [flag]


def test_bone_is_not_soft_tissue() -> None:
    pixels, classes = tissue()
    pixels[PATCH], classes[PATCH] = PINK, BONE
    assert scores(sampled(pixels, classes))["soft_tissue"] == 0


def test_slide_at_the_border_is_an_artefact_and_a_lumen_is_not() -> None:
    pixels, classes = tissue()
    classes[:, 200:], pixels[:, 200:] = BG, 240
    assert Flag(scores(sampled(pixels, classes))["artefact"]).raised
    pixels, classes = tissue()
    classes[PATCH], pixels[PATCH] = BG, 240
    assert scores(sampled(pixels, classes))["artefact"] == 0


@pytest.mark.parametrize("code", [BG, CELL, BONE, 255])
def test_fields_of_one_class_have_scores(code: int) -> None:
    found = scores(sampled(np.full((40, 40, 3), 200, np.uint8), np.full((40, 40), code, np.uint8)))
    assert all(0 <= score <= 1 for score in found.values())


def test_a_word_of_a_person_beats_a_score() -> None:
    assert not Flag(0.9, False, "eva").raised
    assert Flag(0.1, True, "eva").raised
    assert Flag(0.5).raised
    assert not Flag(None).raised
    assert Flag(0.9, False, "eva").to_dict() == {
        "raised": False,
        "score": 0.9,
        "value": False,
        "set_by": "eva",
    }

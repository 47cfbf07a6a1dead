"""What is odd in a field or its picture: proposed with a score, set by a person.

In the tissue: haemorrhage, soft tissue, sectioning artefact. In the picture: black that is no
tissue, one colour alone, white that is doubtful.

The scores are simple evidence from colour and texture on a coarse grid, with limits chosen by
hand. They were never compared with flags of experts: use them only to choose images to look at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from annotator.core.classes import BG, BONE, CELL, UNLABELLED
from annotator.core.objects import BoolMask
from annotator.imaging.clear_view import ClearView
from annotator.measurements.white_sensitivity import Sampled

TISSUE_FLAGS = ("haemorrhage", "soft_tissue", "artefact")
PICTURE_FLAGS = ("black", "one_colour", "doubtful_white")
FLAGS = TISSUE_FLAGS + PICTURE_FLAGS
ADVICE = {
    "black": "black in the picture is no tissue and has no class; shares and cellularity are of "
    "the rest",
    "one_colour": "the picture is of one colour, as when its data were not read: open its original "
    "and save it again",
    "doubtful_white": "what is white is not sure, and cellularity neither: nowhere slide or an "
    "adipocyte, or too much light; look at the labels, or take the field again, with some empty "
    "slide in it and less light",
}
"""What each flag of a picture means, and what to do."""
PROPOSED_FROM = 0.5
"""Scores from here on are proposed as a yes."""

# Packed red cells: eosin at its strongest, without nuclei and their blue (CIELAB hue from
# -18 degrees on).
_RED_CHROMA, _RED_HUE, _RED_DENSITY = 42.0, -18.0, 0.7
# Smooth: the lightness of the surroundings varies less than this (CIELAB, SD).
_SMOOTH_SD, _PINK_A, _PINK_L = 4.0, 10.0, 45.0
# A fold lies double: darker than the field's stained ground by this much (CIELAB).
_FOLD_DARKER = 14.0
# Shares of the field at which a score is 1; half of them proposes the flag.
_MUCH_BLOOD, _MUCH_SMOOTH, _MUCH_FOLD, _MUCH_SLIDE = 0.04, 0.20, 0.10, 0.50
_MUCH_BLACK = 0.02


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag of one image.

    Parameters
    ----------
    score : float or None
        Evidence by colour and texture, 0..1; None where the picture was not at hand.
    value : bool or None
        The decision of a person; None where nobody decided.
    set_by : str
        Name of that person; empty where nobody decided.
    """

    score: float | None
    value: bool | None = None
    set_by: str = ""

    @property
    def raised(self) -> bool:
        """The decision of a person; without one, whether the score is 0.5 or more."""
        if self.value is not None:
            return self.value
        return self.score is not None and self.score >= PROPOSED_FROM

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "raised": self.raised,
            "score": self.score,
            "value": self.value,
            "set_by": self.set_by,
        }


def scores(image: Sampled) -> dict[str, float]:
    """Evidence for each of :data:`TISSUE_FLAGS`, 0..1, rounded to thousandths.

    - haemorrhage: pools of red cells, where 70 % of a neighbourhood is strongly red and
      without nuclei;
    - soft_tissue: large smooth pink ground that is not labelled bone (muscle, stroma,
      pink cartilage);
    - artefact: bands much darker than the stained ground (wide folds; narrow ones and those
      of pale tissue are not seen), or much background that
      reaches the border of the field (tears, the edge of the section).

    Sizes are shares of the field, since its scale may be unknown.

    Parameters
    ----------
    image : Sampled
    """
    red = _red_pools(image)
    smooth = _smooth_pink(image) & ~red
    folds = _folds(image) & ~red
    evidence = (
        red.mean() / _MUCH_BLOOD,
        smooth.mean() / _MUCH_SMOOTH,
        max(folds.mean() / _MUCH_FOLD, _slide(image).mean() / _MUCH_SLIDE),
    )
    return {
        name: round(min(1.0, float(value)), 3)
        for name, value in zip(TISSUE_FLAGS, evidence, strict=True)
    }


def picture_scores(view: ClearView) -> dict[str, float]:
    """Evidence for each of :data:`PICTURE_FLAGS`, 0..1, rounded to thousandths.

    - black: by its share, from 1 % of the picture on;
    - one_colour: 1 where the picture has no second colour;
    - doubtful_white: 1 where neither slide nor the lumen of an adipocyte is seen, or the
      picture is overexposed.

    Parameters
    ----------
    view : ClearView

    Examples
    --------
    >>> from annotator.core.objects import Image
    >>> from annotator.imaging.clear_view import clear_view
    >>> picture_scores(clear_view(Image.from_pixels(np.full((9, 9, 3), 200, np.uint8))))
    {'black': 0.0, 'one_colour': 1.0, 'doubtful_white': 0.0}
    """
    black = 0.0 if view.black is None else float(view.black.mean())
    evidence = (black / _MUCH_BLACK, view.one_colour is not None, view.is_white_doubtful)
    return {
        name: round(min(1.0, float(value)), 3)
        for name, value in zip(PICTURE_FLAGS, evidence, strict=True)
    }


def _window(classes: NDArray[np.uint8], parts: int) -> int:
    """An odd side of a window, as a part of the shorter side."""
    return max(3, int(min(classes.shape)) // parts | 1)


def _mean_around(plane: NDArray[Any], side: int) -> NDArray[np.float32]:
    return np.asarray(cv2.blur(plane.astype(np.float32), (side, side)))


def _opened(mask: BoolMask, side: int) -> BoolMask:
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    opened: BoolMask = np.asarray(
        cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, kernel), np.bool_
    )
    return opened


def _red_pools(image: Sampled) -> BoolMask:
    a, b = image.lab[..., 1], image.lab[..., 2]
    hue = np.degrees(np.arctan2(b, a))
    red = (np.abs(hue - 20) <= 20 - _RED_HUE) & (np.hypot(a, b) >= _RED_CHROMA)
    red &= (image.classes != BG) & (image.classes != BONE)
    dense = _mean_around(red, _window(image.classes, 30)) >= _RED_DENSITY
    return np.asarray(dense & red, np.bool_)


def _smooth_pink(image: Sampled) -> BoolMask:
    lightness, side = image.lab[..., 0], _window(image.classes, 40)
    variance = _mean_around(lightness**2, side) - _mean_around(lightness, side) ** 2
    pink = (
        (image.lab[..., 1] >= _PINK_A)
        & (lightness >= _PINK_L)
        & (image.white > image.reference.threshold)
    )
    open_to_it = (image.classes == CELL) | (image.classes == UNLABELLED)
    return _opened(pink & open_to_it & (variance <= _SMOOTH_SD**2), _window(image.classes, 10))


def _folds(image: Sampled) -> BoolMask:
    stained = (image.classes == CELL) | (image.classes == BONE)
    if not stained.any():
        return np.zeros(stained.shape, np.bool_)
    # Where even the brightest spot of a neighbourhood is dark: nuclei leave bright ground
    # between them, tissue that lies double does not.
    side = _window(image.classes, 24)
    brightest = cv2.dilate(cv2.blur(image.lab[..., 0], (3, 3)), np.ones((side, side), np.uint8))
    ground = float(np.median(image.lab[..., 0][stained]))
    core = ((brightest <= ground - _FOLD_DARKER) & stained).astype(np.uint8)
    # The neighbourhood is the fold's, not its middle alone.
    return np.asarray(cv2.dilate(core, np.ones((side, side), np.uint8)), np.bool_)


def _slide(image: Sampled) -> BoolMask:
    """Large pieces of background that reach the border of the field."""
    pieces = _opened(image.classes == BG, _window(image.classes, 15))
    _, labels = cv2.connectedComponents(pieces.astype(np.uint8), connectivity=4)
    edges = (labels[0], labels[-1], labels[:, 0], labels[:, -1])
    at_border = np.unique(np.concatenate(edges))
    found: BoolMask = np.isin(labels, at_border[at_border > 0])
    return found

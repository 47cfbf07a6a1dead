"""Fields cut from whole slides: chosen over the tissue, and annotated like any other image.

A field stays a place in its slide, read at the scale of the study; no picture of it is written.
Every command knows it as an image, and the slide as its patient.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotator.core.errors import UsageError
from annotator.core.objects import BoolMask
from annotator.imaging.slide_region import SlideRegion
from annotator.imaging.slide_tissue import tissue_mask
from annotator.imaging.slides import Slide, open_slide
from annotator.study.study import Study

WAYS = ("grid", "random")
# Places that are looked at, as parts of a field's side.
_STEPS_PER_FIELD = 4
# Farther than any two places of a slide, px.
_FAR = 1e9


@dataclass(frozen=True, slots=True)
class FieldRequest:
    """Which fields are wanted of a slide.

    Parameters
    ----------
    count : int
    by : {"grid", "random"}
        Evenly over the tissue, or by chance.
    size : int
        Side of a field, px at its scale.
    um_per_px : float
        Of the fields.
    slide_um_per_px : float or None
        Of the finest level, where the file does not say it.
    least_tissue : float
        Share of a field that must be tissue, 0..1.
    seed : int
        Of what is left to chance.

    Raises
    ------
    UsageError
        When a value cannot be used.
    """

    count: int = 20
    by: str = "grid"
    size: int = 1200
    um_per_px: float = 0.5
    slide_um_per_px: float | None = None
    least_tissue: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        if self.by not in WAYS:
            raise UsageError(f"expected fields by {' or '.join(WAYS)}, got {self.by!r}")
        if self.count < 1 or self.size < 64:
            raise UsageError(
                f"expected a count from 1 and fields from 64 px on, got {self.count} and "
                f"{self.size} px"
            )
        if not 0 < self.least_tissue <= 1:
            raise UsageError(
                f"expected a share of tissue above 0 and up to 1, got {self.least_tissue:g}"
            )


@dataclass(frozen=True, slots=True)
class CutFields:
    """Fields of a slide.

    Parameters
    ----------
    slide : Path
    places : tuple of SlideRegion
        Those that are new.
    before : int
        Fields that the study had of this slide already.
    tissue_mm2 : float
        Tissue on the slide.
    """

    slide: Path
    places: tuple[SlideRegion, ...]
    before: int
    tissue_mm2: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "slide": str(self.slide),
            "fields": [asdict(place) | {"slide": str(place.slide)} for place in self.places],
            "before": self.before,
            "tissue_mm2": round(self.tissue_mm2, 4),
        }


def choose_fields(study: Study, path: Path, request: FieldRequest) -> CutFields:
    """Choose fields of a slide that do not overlap each other, nor any that the study has.

    Parameters
    ----------
    study : Study
    path : Path
        Of the slide.
    request : FieldRequest

    Raises
    ------
    ImageError
        When the slide cannot be read, or its scale is unknown.
    """
    path = path.absolute()
    taken = fields_of(study, path)
    with open_slide(path) as slide:
        overview, step = slide.overview()
        um = slide.um_per_px(request.slide_um_per_px)
        mask = tissue_mask(overview, step * um)
        corners, shares = _candidates(slide, mask, step, request)
    free = np.array([not _hits(c, request, taken) for c in corners.tolist()], np.bool_)
    wanted = free & (shares >= request.least_tissue)
    chosen = _spread(corners[wanted], shares[wanted], request)
    places = tuple(
        SlideRegion(
            path, x, y, request.size, request.size, request.um_per_px, request.slide_um_per_px
        )
        for x, y in chosen
    )
    return CutFields(path, places, len(taken), float(mask.sum()) * (step * um) ** 2 / 1e6)


def fields_of(study: Study, path: Path) -> list[SlideRegion]:
    """The places in a slide that the study has as images."""
    regions = (SlideRegion.from_path(PurePath(image.source)) for image in study.all_images())
    return [region for region in regions if region is not None and region.slide == path]


def _candidates(
    slide: Slide, mask: BoolMask, step: float, request: FieldRequest
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Upper left corners ``x y`` of fields that lie in the slide, and their shares of tissue."""
    height, width = slide.shape_at(request.um_per_px, request.slide_um_per_px)
    size, stride = request.size, max(1, request.size // _STEPS_PER_FIELD)
    if height < size or width < size:
        raise UsageError(
            f"expected fields that fit into the slide of {width} x {height} px at "
            f"{request.um_per_px:g} um/px, got {size} px; give a smaller --size"
        )
    xs, ys = np.arange(0, width - size + 1, stride), np.arange(0, height - size + 1, stride)
    # Pixels of the overview in one pixel of a field.
    scale = request.um_per_px / slide.um_per_px(request.slide_um_per_px) / step
    sums = np.pad(mask.astype(np.int64).cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    left, right = _edges(xs, size, scale, mask.shape[1])
    top, bottom = _edges(ys, size, scale, mask.shape[0])
    tissue = (
        sums[np.ix_(bottom, right)]
        - sums[np.ix_(top, right)]
        - sums[np.ix_(bottom, left)]
        + sums[np.ix_(top, left)]
    )
    areas = np.maximum(1, np.outer(bottom - top, right - left))
    corners = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)
    return corners, (tissue / areas).ravel()


def _edges(
    starts: NDArray[np.int64], size: int, scale: float, most: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    first = np.clip(np.floor(starts * scale).astype(np.int64), 0, most - 1)
    last = np.clip(np.ceil((starts + size) * scale).astype(np.int64), 1, most)
    return first, np.maximum(last, first + 1)


def _hits(corner: Sequence[int], request: FieldRequest, taken: Sequence[SlideRegion]) -> bool:
    """Whether a field overlaps one that is there, whatever the scale of that one."""
    x, y = corner
    for one in taken:
        ratio = one.um_per_px / request.um_per_px
        x0, y0 = one.x * ratio, one.y * ratio
        x1, y1 = x0 + one.width * ratio, y0 + one.height * ratio
        if x < x1 and x0 < x + request.size and y < y1 and y0 < y + request.size:
            return True
    return False


def _spread(
    corners: NDArray[np.int64], shares: NDArray[np.float64], request: FieldRequest
) -> list[tuple[int, int]]:
    """As many places as are wanted, none over another; by chance, or far from each other.

    Evenly: the place with the most tissue first, then always the one that is farthest from all
    that were chosen. A place half of which is glass counts as a quarter as far.
    """
    order = np.random.default_rng(request.seed).permutation(len(corners))
    corners, shares = corners[order], shares[order]
    chosen: list[tuple[int, int]] = []
    distance = np.full(len(corners), np.inf)
    free = np.ones(len(corners), np.bool_)
    while len(chosen) < request.count and free.any():
        if request.by == "random":
            at = int(np.flatnonzero(free)[0])
        else:
            rank = np.minimum(distance, _FAR) * shares**2
            at = int(np.where(free, rank, -1).argmax())
        x, y = corners[at].tolist()
        chosen.append((x, y))
        apart = np.abs(corners - corners[at]).max(axis=1)
        free &= apart >= request.size
        distance = np.minimum(distance, np.hypot(*(corners - corners[at]).T))
    return chosen

"""What slides hold, for a person who wants to know what can be done with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from annotator.core.errors import ImageError
from annotator.core.progress import OnStep, silent
from annotator.imaging.slide_tissue import tissue_mask
from annotator.imaging.slides import SlideInfo, open_slide

# Where nobody says the scale, tissue is looked for as if the slide were a scan at 20x.
_ORDINARY_UM = 0.5


@dataclass(frozen=True, slots=True)
class SlideDescription:
    """A slide that can be read.

    Parameters
    ----------
    info : SlideInfo
    um_per_px : float or None
        Of its finest level, as a person or its file says.
    tissue_share : float
        Of the slide, 0..1.
    tissue_mm2 : float or None
        None where the scale is unknown.
    notes : tuple of str
    """

    info: SlideInfo
    um_per_px: float | None
    tissue_share: float
    tissue_mm2: float | None
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        height, width = self.info.shape
        return {
            "path": str(self.info.path),
            "format": self.info.vendor,
            "width": width,
            "height": height,
            "um_per_px": self.um_per_px,
            "objective": self.info.objective,
            "levels": [asdict(level) for level in self.info.levels],
            "tissue_share": round(self.tissue_share, 5),
            "tissue_mm2": None if self.tissue_mm2 is None else round(self.tissue_mm2, 4),
            "notes": list(self.notes),
        }


def describe_slides(
    paths: Sequence[Path], given_um: float | None = None, on_step: OnStep = silent
) -> tuple[list[SlideDescription], list[tuple[Path, str]]]:
    """Look at slides; those that cannot be read come with the reason.

    Parameters
    ----------
    paths : sequence of Path
    given_um : float, optional
        Microns per pixel of the finest level, which goes before what files say.
    on_step : callable
    """
    described, faults = [], []
    for done, path in enumerate(paths, start=1):
        try:
            described.append(describe_slide(path, given_um))
        except ImageError as error:
            faults.append((path, str(error)))
        on_step("reading", done, len(paths))
    return described, faults


def describe_slide(path: Path, given_um: float | None = None) -> SlideDescription:
    """Look at one slide.

    Raises
    ------
    ImageError
        When it cannot be read.
    """
    with open_slide(path) as slide:
        overview, step = slide.overview()
        info = slide.info
    um = given_um or info.um_per_px
    mask = tissue_mask(overview, step * (um or _ORDINARY_UM))
    notes = list(info.notes)
    if um is None:
        notes.append("give its pixel size with --slide-um-per-px: nothing is measured without")
    if not mask.any():
        notes.append("no tissue was found on it")
    share = float(mask.mean())
    height, width = info.shape
    area = None if um is None else share * height * width * um**2 / 1e6
    return SlideDescription(info, um, share, area, tuple(notes))

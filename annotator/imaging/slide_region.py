"""A place in a whole slide, and the path by which the line names it.

A path to a picture may name a file, or a part of a slide: ``case 7.svs/x002048-y000000-w2688-
h2688-um0.5000``. Such a path lies below a file, so nothing on disk can have it. Whatever takes
paths (the study, workers, messages) takes it as it is; whoever asks whether the picture is there
asks :func:`exists_on_disk`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path, PurePath

_NAME = re.compile(
    r"x(\d{1,9})-y(\d{1,9})-w(\d{1,9})-h(\d{1,9})-um(\d{1,4}\.\d{1,6})(?:-slide(\d{1,4}\.\d{1,6}))?"
)


@dataclass(frozen=True, slots=True)
class SlideRegion:
    """A rectangle of a slide at a working scale.

    Parameters
    ----------
    slide : Path
        File of the slide.
    x, y : int
        Upper left corner, in pixels of the slide as it is at `um_per_px`.
    width, height : int
        In the same pixels.
    um_per_px : float
        The working scale; it is kept to six decimals.
    slide_um_per_px : float or None
        Pixel size of the slide at full resolution where a person said it; None where the file
        says it.

    Raises
    ------
    ValueError
        When the corner is negative, the rectangle empty, or a scale not positive.

    Examples
    --------
    >>> region = SlideRegion(Path("case.svs"), 2048, 0, 2688, 2688, 0.5)
    >>> region.path.as_posix()
    'case.svs/x002048-y000000-w2688-h2688-um0.5000'
    >>> SlideRegion.from_path(region.path) == region
    True
    """

    slide: Path
    x: int
    y: int
    width: int
    height: int
    um_per_px: float
    slide_um_per_px: float | None = None

    def __post_init__(self) -> None:
        if min(self.x, self.y) < 0 or min(self.width, self.height) < 1:
            raise ValueError(
                f"expected a rectangle inside the slide, got x {self.x}, y {self.y}, "
                f"{self.width} x {self.height} px"
            )
        for name in ("um_per_px", "slide_um_per_px"):
            scale = getattr(self, name)
            if scale is None:
                continue
            if not (math.isfinite(scale) and round(scale, 6) > 0):
                raise ValueError(f"{name} must be positive, got {scale}")
            object.__setattr__(self, name, round(float(scale), 6))

    @property
    def path(self) -> Path:
        """The region as a path below the file of its slide."""
        given = "" if self.slide_um_per_px is None else f"-slide{_digits(self.slide_um_per_px)}"
        return self.slide / (
            f"x{self.x:06d}-y{self.y:06d}-w{self.width}-h{self.height}"
            f"-um{_digits(self.um_per_px)}{given}"
        )

    @property
    def name(self) -> str:
        """What it is called among images: its slide, and where it lies in it."""
        return f"{self.slide.stem}_x{self.x}_y{self.y}"

    @classmethod
    def from_path(cls, path: PurePath) -> SlideRegion | None:
        """The region that a path names; None for the path of an ordinary file.

        Examples
        --------
        >>> SlideRegion.from_path(Path("fields/case.png")) is None
        True
        """
        found = _NAME.fullmatch(path.name)
        if found is None:
            return None
        x, y, width, height = (int(text) for text in found.groups()[:4])
        given = None if found[6] is None else float(found[6])
        try:
            return cls(Path(path.parent), x, y, width, height, float(found[5]), given)
        except ValueError:
            return None


def _digits(scale: float) -> str:
    """A scale with four decimals, or with up to six where it has them."""
    text = f"{scale:.6f}"
    return text[:-2] if text.endswith("00") else text.rstrip("0")


def file_on_disk(path: PurePath) -> Path:
    """The file that a path to a picture leads to: for a place in a slide, that of the slide.

    Examples
    --------
    >>> file_on_disk(Path("case.svs/x000000-y000000-w64-h64-um0.5000")).as_posix()
    'case.svs'
    >>> file_on_disk(Path("field.png")).as_posix()
    'field.png'
    """
    region = SlideRegion.from_path(path)
    return Path(path) if region is None else region.slide


def file_name(source: str) -> str:
    """Name of the file of a picture; of a place in a slide, that of a picture of it.

    Examples
    --------
    >>> file_name("fields/case.png")
    'case.png'
    >>> file_name("case.svs/x000512-y000000-w64-h64-um0.5000")
    'case_x512_y0.png'
    """
    region = SlideRegion.from_path(PurePath(source))
    return PurePath(source).name if region is None else f"{region.name}.png"


def exists_on_disk(path: PurePath) -> bool:
    """Whether the file is there that a path to a picture, or to a place in a slide, leads to.

    Examples
    --------
    >>> exists_on_disk(Path("gone.svs/x000000-y000000-w64-h64-um0.5000"))
    False
    """
    return file_on_disk(path).is_file()

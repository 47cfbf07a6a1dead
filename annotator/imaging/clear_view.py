"""One image as the line looks at it: black filled, a cast of the light taken out.

What disturbs a picture is dealt with once, before anything is measured in it. A picture that
has neither black nor a cast is looked at as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from annotator.core.objects import BoolMask, Image, freeze
from annotator.imaging.black import black_areas, filled
from annotator.imaging.light import Light, balanced, cut_off_share, find_light

# Levels, of 255, by which single pixels may leave the colour of a picture of one colour, and
# the share that does not.
_SAME, _NEARLY_ALL = 3, 0.999
# Share of the stained pixels that are cut off where there was too much light.
_OVEREXPOSED = 0.4
# All channels of white are at least this bright, of 255: the published limit.
_WHITE = 170


@dataclass(frozen=True, slots=True, eq=False)
class ClearView:
    """An image without what disturbs it, and what that was.

    Parameters
    ----------
    image : Image
        With the id of the picture, so that its objects belong to it.
    black : (H, W) bool or None
        What is no tissue, see :func:`annotator.imaging.black.black_areas`; None where nothing
        is black.
    light : Light or None
        Of the picture before; None where it is not seen.
    one_colour : (int, int, int) or None
        RGB of a picture that has no other colour.
    is_overexposed : bool
        Whether pale stain and white cannot be told apart any more, see
        :func:`annotator.imaging.light.cut_off_share`.
    """

    image: Image
    black: BoolMask | None
    light: Light | None
    one_colour: tuple[int, int, int] | None
    is_overexposed: bool

    @property
    def is_all_black(self) -> bool:
        """Whether nothing is left to look at."""
        return self.black is not None and bool(self.black.all())

    @property
    def is_blank(self) -> bool:
        """Whether the picture is of one colour that is not white: nothing was photographed."""
        if self.one_colour is None:
            return False
        # A pale pink is bright enough for white, but no light has the colour of a stain.
        return min(self.one_colour) < _WHITE or self.light is None

    @property
    def is_white_doubtful(self) -> bool:
        """Whether the picture does not show what is white: nowhere, or with too much light."""
        if self.one_colour is not None or self.is_all_black:
            return False
        return self.light is None or self.is_overexposed

    @property
    def unseen(self) -> BoolMask | None:
        """Pixels of which no class can be told, (H, W) bool; None where there is none."""
        return np.ones(self.image.shape, np.bool_) if self.is_blank else self.black


def clear_view(image: Image) -> ClearView:
    """Look at an image: find its black and its light, and take both out.

    Examples
    --------
    >>> pixels = np.full((80, 80, 3), (190, 90, 120), np.uint8)
    >>> pixels[:40], pixels[70:] = (240, 223, 180), 0
    >>> view = clear_view(Image.from_pixels(pixels))
    >>> view.light.cast, float(view.black.mean()), view.image.pixels[0, 0].tolist()
    ('warm', 0.125, [240, 240, 240])
    """
    black = black_areas(image.pixels)
    pixels = filled(image.pixels, black)
    light = None if black.all() else find_light(pixels)
    clear = balanced(pixels, light)
    return ClearView(
        image if clear is image.pixels else replace(image, pixels=clear),
        freeze(black) if black.any() else None,
        light,
        _one_colour(image.pixels),
        cut_off_share(image.pixels) > _OVEREXPOSED,
    )


def _one_colour(pixels: NDArray[np.uint8]) -> tuple[int, int, int] | None:
    """The colour of a picture that has no other one; None for all others."""
    # Most pictures show it in a few rows.
    few = pixels[:: max(1, len(pixels) // 16)]
    red, green, blue = (round(float(value)) for value in np.median(few, axis=(0, 1)))
    for part in (few, pixels):
        same = (np.abs(part.astype(np.int16) - (red, green, blue)) <= _SAME).all(axis=2)
        if same.mean() < _NEARLY_ALL:
            return None
    return red, green, blue

"""The files of annotated images, compared with the pixels that were annotated.

A picture can be replaced under its name: scanned again, cropped, coloured otherwise. A mask
then belongs to a picture that is no longer there. Every way out and in asks here.
"""

from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from annotator.core.errors import ImageError
from annotator.core.objects import image_id
from annotator.imaging.codecs import encode_rgb_png
from annotator.imaging.convert import TURNED
from annotator.measurements.measure import pixels_again
from annotator.settings.images import ReadSettings
from annotator.study.rough import KnownImage

OTHER_PIXELS = "its file holds other pixels now; annotate it again"
TURNED_ADVICE = (
    "its file says that it is to be turned (orientation), and viewers differ in that: outlines may "
    "not fit the picture there; look, or save the picture upright first"
)
"""OpenSlide 4.0.1 mirrors each tile in its place, tiffslide leaves the picture as it lies, and
large_image turns orientations 6 and 8 the wrong way. Ours are upright."""


class SourcePicture:
    """The file of an image, read when it is asked: one image is in memory at a time.

    Parameters
    ----------
    image : KnownImage
    settings : ReadSettings
    """

    def __init__(self, image: KnownImage, settings: ReadSettings) -> None:
        self._image = image
        self._settings = settings

    def check(self) -> None:
        """Refuse a file that is gone, or holds other pixels than those that were annotated.

        Raises
        ------
        ImageError
        """
        self._annotated_pixels()

    def png(self) -> bytes:
        """The decoded pixels as PNG, without any metadata of the file.

        Raises
        ------
        ImageError
            When the file is gone, or holds other pixels than those that were annotated.
        """
        return encode_rgb_png(self._annotated_pixels(), quick=True)

    def is_replaced(self) -> bool:
        """Whether there is a picture that is not the annotated one; a missing file is no such."""
        try:
            return self._pixels() is None
        except ImageError:
            return False

    def _annotated_pixels(self) -> NDArray[np.uint8]:
        pixels = self._pixels()
        if pixels is None:
            raise ImageError(OTHER_PIXELS)
        return pixels

    def _pixels(self) -> NDArray[np.uint8] | None:
        image = self._image
        return pixels_again(Path(image.source), image.id, image.shape, self._settings)


def is_turned(image: KnownImage) -> bool:
    """Whether an image was turned upright when it was read."""
    return any(note.startswith(TURNED) for note in image.notes)


def carries_other_pixels(png: bytes | None, image: KnownImage) -> bool:
    """Whether a picture that came with a mask is surely not the one that was annotated.

    Parameters
    ----------
    png : bytes or None
        None, and what is not plain RGB of 8 bits, says nothing: it may have been converted.
    image : KnownImage
    """
    if png is None:
        return False
    try:
        pixels = np.asarray(imagecodecs.png_decode(png))
    except (ValueError, RuntimeError):
        return False
    plain = pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.dtype == np.uint8
    return plain and image_id(pixels) != image.id

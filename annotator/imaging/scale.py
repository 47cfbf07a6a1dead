"""A rough idea of an image's scale, for sizes inside the algorithms.

Nobody reports these microns: where the file and the study say nothing, areas
are given in pixels. They only tell how many pixels a nucleus is likely to span.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from annotator.core.objects import Image, fill_holes
from annotator.imaging.white import white_reference

# Area-weighted median inscribed radius of the haematoxylin-dark blobs, in um;
# nuclei touch and have lobes, so it is less than a nucleus' radius.
_BLOB_RADIUS_UM = 1.85
# A larger share of the image is not nuclei, but one stain cut at nothing.
_MOST_DARK = 0.7
_RANGE = (0.15, 2.5)


def working_um_per_px(image: Image) -> float:
    """Microns per pixel: what the image says, else a guess from its nuclei.

    Returns
    -------
    float
        The image's own value where it has one. Otherwise a guess in 0.15..2.5,
        from the size of the dark haematoxylin blobs; 0.5 where there are none.
    """
    if image.um_per_px is not None:
        return image.um_per_px
    radius = _blob_radius(image.pixels)
    return 0.5 if radius is None else float(np.clip(_BLOB_RADIUS_UM / radius, *_RANGE))


def _blob_radius(pixels: NDArray[np.uint8]) -> float | None:
    """Area-weighted median inscribed radius of dark blobs, in px; None without blobs."""
    red = pixels[..., 0].astype(np.float32)
    density = np.log10((white_reference(pixels).rgb[0] + 1) / (red + 1))
    as_bytes = (np.clip(density, 0, 1.5) * 170).astype(np.uint8)
    stained = as_bytes[as_bytes > 8]
    if len(stained) < 100:
        return None
    cut, _ = cv2.threshold(stained.reshape(-1, 1), 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    dark = as_bytes > cut
    if dark.mean() > _MOST_DARK:
        return None
    # Pale chromatin leaves holes in large nuclei, and a hole halves the radius.
    dark = fill_holes(cv2.medianBlur(dark.astype(np.uint8), 3).astype(bool))
    distance = cv2.distanceTransform(dark.astype(np.uint8), cv2.DIST_L2, 5)
    peaks = distance[(distance == cv2.dilate(distance, np.ones((5, 5)))) & (distance >= 1)]
    if len(peaks) < 20:
        return None
    peaks = np.sort(peaks)
    weight = np.cumsum(peaks.astype(np.float64) ** 2)
    return float(peaks[np.searchsorted(weight, weight[-1] / 2)])

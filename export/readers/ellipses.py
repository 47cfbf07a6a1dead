"""Pixels of circles and ellipses whose measures are fractions of pixels.

CVAT rounds its ellipses to whole pixels (:func:`export.readers.painting.ellipse`); other
programs do not. Here a pixel belongs to a shape where its centre lies in it.
"""

from __future__ import annotations

import math

import numpy as np

from annotator.core.errors import UsageError
from annotator.core.objects import tight_box
from export.readers.painting import Crop, check_points


def exact_ellipse(
    centre: tuple[float, float],
    axes: tuple[float, float],
    rotation: float,
    frame: tuple[int, int],
) -> Crop | None:
    """The pixels whose centre lies in an ellipse.

    Parameters
    ----------
    centre : (float, float)
        ``x y``, px; the corner of the image is 0, 0, the centre of its first pixel 0.5, 0.5.
    axes : (float, float)
        Half axes along x and y before it is turned, px.
    rotation : float
        Degrees, clockwise, since y points down.
    frame : (int, int)
        Height and width of the image, px.

    Returns
    -------
    (box, mask) or None
        Tight half-open box ``x0 y0 x1 y1`` and (h, w) bool; None where there is no pixel.

    Raises
    ------
    UsageError
        When it lies far from the image, or its half axes are negative or much larger than it.

    Examples
    --------
    >>> box, mask = exact_ellipse((2.0, 1.0), (2.0, 1.0), 0.0, (10, 10))
    >>> box, mask.astype(int).tolist()
    ((0, 0, 4, 2), [[1, 1, 1, 1], [1, 1, 1, 1]])
    """
    check_points(centre, frame)
    rx, ry = axes
    if not (min(axes) >= 0 and max(axes) <= 2 * max(frame) and math.isfinite(rotation)):
        raise UsageError(f"expected half axes of an ellipse near the image, got {axes}")
    if rx == 0 or ry == 0:
        return None
    height, width = frame
    reach = max(axes)
    x0, x1 = max(0, math.floor(centre[0] - reach)), min(width, math.ceil(centre[0] + reach))
    y0, y1 = max(0, math.floor(centre[1] - reach)), min(height, math.ceil(centre[1] + reach))
    if x0 >= x1 or y0 >= y1:
        return None
    y, x = np.mgrid[y0:y1, x0:x1] + 0.5
    dx, dy = x - centre[0], y - centre[1]
    cos, sin = math.cos(math.radians(rotation)), math.sin(math.radians(rotation))
    # Turned back, the ellipse stands upright.
    along, across = cos * dx + sin * dy, cos * dy - sin * dx
    mask = (along / rx) ** 2 + (across / ry) ** 2 <= 1.0
    tight = tight_box(mask)
    if tight is None:
        return None
    left, top, right, bottom = tight
    box = (x0 + left, y0 + top, x0 + right, y0 + bottom)
    return box, mask[top:bottom, left:right].copy()

"""From a region of Label Studio to pixels."""

from __future__ import annotations

import base64
import binascii
import io
import math
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image as Picture

from annotator.core.errors import UsageError
from annotator.core.objects import BoolMask, tight_box
from export.readers.brush_rle import brushed
from export.readers.corrected import check_size
from export.readers.ellipses import exact_ellipse
from export.readers.json_files import numbers_of
from export.readers.painting import Crop, check_points, polygon

_LABELS = (
    "brushlabels",
    "polygonlabels",
    "rectanglelabels",
    "ellipselabels",
    "bitmasklabels",
    "labels",
)


def label_of(region: Mapping[str, Any]) -> str | None:
    """The label of a region; several are one with plus signs; None where it has none.

    Examples
    --------
    >>> label_of({"type": "polygonlabels", "value": {"polygonlabels": ["fat"]}})
    'fat'
    """
    value = region.get("value") or {}
    for key in _LABELS:
        labels = value.get(key)
        if isinstance(labels, list) and labels:
            return " + ".join(map(str, labels))
    return None


def has_area(region: Mapping[str, Any]) -> bool:
    """Whether a region has an area that can be painted; a point, a line or a choice has none."""
    value = region.get("value") or {}
    drawn = any(key in value for key in ("rle", "imageDataURL", "points", "radiusX"))
    return drawn or {"x", "y", "width", "height"} <= value.keys()


def crop_of_region(value: Mapping[str, Any], frame: tuple[int, int]) -> Crop | None:
    """The pixels of a region.

    Parameters
    ----------
    value : mapping
        What Label Studio keeps of it; measures in percent of the image.
    frame : (int, int)
        Height and width of the image, px.

    Returns
    -------
    (box, mask) or None
        Tight half-open box ``x0 y0 x1 y1`` and (h, w) bool; None where it has no pixel.

    Raises
    ------
    UsageError
        When it cannot be a region of such an image.

    Examples
    --------
    >>> box, _ = crop_of_region({"x": 10, "y": 20, "width": 30, "height": 20}, (10, 10))
    >>> box
    (1, 2, 4, 4)
    """
    if "rle" in value:
        return _tight(brushed(value["rle"], frame))
    if "imageDataURL" in value:
        return _tight(_bitmask(value["imageDataURL"], frame))
    height, width = frame
    if "points" in value:
        pairs = [numbers_of(pair, 2) for pair in value["points"]]
        corners = [part for x, y in pairs for part in (x * width / 100, y * height / 100)]
        check_points(corners, frame)
        return polygon([corners], frame)
    turn = numbers_of([value.get("rotation", 0) or 0])[0]
    if "radiusX" in value:
        x, y, rx, ry = numbers_of([value[key] for key in ("x", "y", "radiusX", "radiusY")])
        centre, axes = (x * width / 100, y * height / 100), (rx * width / 100, ry * height / 100)
        return exact_ellipse(centre, axes, turn, frame)
    x, y, w, h = numbers_of([value[key] for key in ("x", "y", "width", "height")])
    corners = _turned(
        (x * width / 100, y * height / 100), (w * width / 100, h * height / 100), turn
    )
    check_points(corners, frame)
    return polygon([corners], frame)


def _turned(corner: tuple[float, float], size: tuple[float, float], rotation: float) -> list[float]:
    """Corners ``x y`` of a rectangle that is turned clockwise about its upper left one, px."""
    cos, sin = math.cos(math.radians(rotation)), math.sin(math.radians(rotation))
    (x, y), (w, h) = corner, size
    across, down = (w * cos, w * sin), (-h * sin, h * cos)
    return [
        *(x, y),
        *(x + across[0], y + across[1]),
        *(x + across[0] + down[0], y + across[1] + down[1]),
        *(x + down[0], y + down[1]),
    ]


def _bitmask(address: Any, frame: tuple[int, int]) -> BoolMask:
    """A mask as a data address: black pixels on a transparent ground."""
    try:
        data = base64.b64decode(str(address).partition(",")[2])
        with warnings.catch_warnings():
            warnings.simplefilter("error", Picture.DecompressionBombWarning)
            with Picture.open(io.BytesIO(data), formats=["PNG"]) as picture:
                check_size("a bitmask", (picture.height, picture.width), frame)
                if "A" not in picture.getbands():
                    raise UsageError("expected a bitmask on a transparent ground, got no opacity")
                return np.asarray(picture.getchannel("A")) > 0
    except (
        binascii.Error,
        OSError,
        SyntaxError,
        ValueError,
        Warning,
        Picture.DecompressionBombError,
    ) as error:
        raise UsageError(f"its bitmask is not a whole PNG ({error})") from error


def _tight(mask: BoolMask) -> Crop | None:
    box = tight_box(mask)
    if box is None:
        return None
    x0, y0, x1, y1 = box
    return box, mask[y0:y1, x0:x1].copy()

"""Drawn masks and images that the tests of the features share."""

from __future__ import annotations

import numpy as np

from annotator.core.objects import BoolMask, Image, ImageObjects, objects_from_masks
from annotator.imaging.appearance import Appearance
from annotator.settings.annotation import DescribeSettings
from features.describe import describe
from features.table import FeatureTable


def disc(radius: float) -> BoolMask:
    """A digital disc in its box."""
    reach = int(np.ceil(radius))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    mask: BoolMask = np.hypot(x, y) <= radius
    return mask


def plain(shape: tuple[int, int], colour: tuple[int, int, int] = (214, 140, 185)) -> Image:
    """An image of one colour."""
    return Image.from_pixels(np.full((*shape, 3), colour, np.uint8))


def placed(image: Image, *parts: tuple[tuple[int, int], BoolMask]) -> ImageObjects:
    """Objects from corners (y, x) and masks."""
    return objects_from_masks(image.id, image.shape, parts)


def features(image: Image, *parts: tuple[tuple[int, int], BoolMask]) -> FeatureTable:
    """Describe masks placed on an image."""
    return describe(Appearance(image), placed(image, *parts), DescribeSettings())

"""Proposals without weights: the embedded default maker."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from annotator.core.hashing import short_hash
from annotator.core.objects import BoolMask, ImageObjects, objects_from_labels
from annotator.core.progress import Stopwatch
from annotator.imaging.appearance import Appearance
from annotator.imaging.masks import drop_small, open_mask
from annotator.imaging.stains import red_density
from annotator.segmentation.network.architecture import PLANES
from annotator.segmentation.network_regions import adipocytes, bone_pieces, completed
from annotator.segmentation.tissue_regions import enlarge, stain_planes, tissue_regions
from annotator.segmentation.white_regions import white_regions, white_sizes
from annotator.settings.annotation import SuperpixelSettings

# Raised whenever the same settings give other objects than before.
_VERSION = 1
# Pieces of superpixels below this are not proposed, um2.
_SLIVER = 40.0
# Distance from white of what is claimed already: far more than that of any stain.
_NO_WHITE = 100.0


@dataclass(frozen=True, slots=True)
class SuperpixelProposer:
    """White regions, bone-like regions and compact superpixels of the rest."""

    settings: SuperpixelSettings = field(default_factory=SuperpixelSettings)

    @property
    def name(self) -> str:
        """``superpixel``."""
        return "superpixel"

    @property
    def fingerprint(self) -> str:
        """Hash of the version of the method and its settings."""
        return short_hash(f"superpixel {_VERSION} {self.settings!r}")

    def propose(self, appearance: Appearance, watch: Stopwatch | None = None) -> ImageObjects:
        """Cut an image into white, bone-like and other stained objects."""
        with (watch or Stopwatch())("superpixel"):
            return self._propose(appearance)

    def _propose(self, appearance: Appearance) -> ImageObjects:
        image, um = appearance.image, appearance.working_um_per_px

        # White first: it has the sharper edges, so it claims its pixels before the tissue.
        regions = self._light_regions(appearance)
        claimed: BoolMask = regions > 0

        # Tissue is cut on a coarse grid of its own; where it overlaps white, white stays.
        density = red_density(image.pixels, appearance.white_reference)
        stain = stain_planes(appearance.lab, density, claimed, um)
        smooth, compact = tissue_regions(stain, image.shape)
        smooth[claimed] = 0
        compact[claimed | (smooth > 0)] = 0

        # What a cut leaves of a superpixel says nothing: the cell mask has it anyway.
        left = np.bincount(compact.ravel())
        compact[left[compact] * um**2 < _SLIVER] = 0

        # One map of all, each layer numbered on from the one before.
        labels = _below(_below(regions, smooth), compact)
        return objects_from_labels(image.id, labels)

    def _light_regions(self, appearance: Appearance) -> NDArray[np.int32]:
        """White regions; with a network its adipocytes and its bone, and what is white beside."""
        planes, named = appearance.probabilities, appearance.network_classes
        if planes is None or named is None or len(planes) < PLANES:
            return self._white_regions(appearance, np.zeros(appearance.image.shape, np.bool_))
        bone = bone_pieces(appearance)
        white = self._white_regions(appearance, bone > 0)
        fat = completed(np.where(bone > 0, 0, adipocytes(appearance)), white, named)
        least = white_sizes(appearance.working_um_per_px)
        beside = open_mask((white > 0) & (fat == 0), least.opening)
        beside = drop_small(beside, least.gap_area)
        return _below(_below(fat, bone), np.where(beside, white, 0))

    def _white_regions(self, appearance: Appearance, claimed: BoolMask) -> NDArray[np.int32]:
        """White regions beside what is claimed, on the image's own grid, (H, W) int32."""
        um, threshold = appearance.working_um_per_px, appearance.white_reference.threshold
        distance, shape = appearance.smooth_whiteness, appearance.image.shape
        if claimed.any():
            distance = np.where(claimed, np.float32(_NO_WHITE), distance)
        factor = max(1, round(self.settings.grid_um / um))
        if factor == 1:
            return white_regions(distance, threshold, white_sizes(um))
        height, width = shape
        size = (max(1, width // factor), max(1, height // factor))
        # A thin membrane must outlive the shrinking: half mean, half darkest of a block.
        peak = cv2.dilate(distance, np.ones((factor, factor), np.uint8))
        mixed = (distance + peak) / 2
        small = np.asarray(cv2.resize(mixed, size, interpolation=cv2.INTER_AREA), np.float32)
        found = white_regions(small, threshold, white_sizes(um * factor))
        return enlarge(found, shape)


def _below(upper: NDArray[np.int32], lower: NDArray[np.int32]) -> NDArray[np.int32]:
    """Two label maps in one: the lower shows where the upper has nothing, numbered on from it."""
    number = lower + upper.max(initial=0)
    return np.where(upper > 0, upper, np.where(lower > 0, number, 0)).astype(np.int32)

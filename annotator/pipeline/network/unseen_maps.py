"""Label maps by networks that had not seen the patient: all that a network is judged by.

A study's own network has learned from most corrected fields. Of those patients its training
kept the maps that networks like it made, each without the patient in question; of others the
network itself makes the map.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from active_learning.network.patches import TruthField
from annotator.core.errors import StudyError
from annotator.imaging.label_map_files import read_codes
from annotator.segmentation.network.network_file import SegmentationNetwork
from annotator.segmentation.network.prediction import NetworkPredictor
from annotator.study.networks import NetworkStore
from annotator.study.rough import KnownImage

Codes = NDArray[np.uint8]


@dataclass(slots=True)
class UnseenMaps:
    """Makes or finds the maps of one network.

    Parameters
    ----------
    name : str
        What people call it: ``starter``, ``001`` or a file.
    network : SegmentationNetwork
    store : NetworkStore
    index : int or None
        Of a study's own network.
    threads : int
    """

    name: str
    network: SegmentationNetwork
    store: NetworkStore
    index: int | None = None
    threads: int = 1
    _predictor: NetworkPredictor | None = field(default=None, init=False)

    def codes(self, image: KnownImage, known: TruthField) -> Codes | None:
        """The map of an image, (H, W) uint8; None where no network that had not seen it is left."""
        if not self._has_seen(image, known.patient):
            return self.predicted(known)
        if self.index is None:
            return None
        try:
            return read_codes(self.store.unseen_path(self.index, image.name), known.codes.shape)
        except StudyError:
            return None

    def predicted(self, known: TruthField) -> Codes:
        """What the network itself says of a field."""
        if self._predictor is None:
            self._predictor = NetworkPredictor(self.network, self.threads)
        return most_probable(self._predictor.probabilities(known.pixels, known.um_per_px))

    def _has_seen(self, image: KnownImage, patient: str) -> bool:
        """A study's own network has seen patients; one from elsewhere at most the same picture."""
        card = self.network.card
        if self.index is not None:
            return patient in card.get("patients", ())
        return image.id in {one.get("id") for one in card.get("images", ())}


def most_probable(probabilities: NDArray[np.float32]) -> Codes:
    """Code of the most probable class at each pixel, (H, W) uint8, of (5, H, W)."""
    return np.asarray(probabilities[:4].argmax(axis=0), np.uint8)

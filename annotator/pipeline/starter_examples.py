"""Objects of fields with truth, as the line makes them: what the starter classifier learns from."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from active_learning.classifier.examples import Examples, area_weights, take_rows
from active_learning.labels.from_masks import labels_from_mask
from active_learning.network.patches import TruthField
from active_learning.network.starter_classifier import STARTER_FEATURES, STARTER_TRAINING
from annotator.core.classes import CLASS_NAMES
from annotator.core.objects import Image
from annotator.imaging.appearance import Appearance
from annotator.pipeline.steps import describe_image, propose
from annotator.segmentation.proposer import Proposer
from annotator.segmentation.superpixel import SuperpixelProposer
from annotator.settings.study import Settings
from features.table import FeatureTable, concatenate

SeeField = Callable[[NDArray[np.uint8], float], NDArray[np.float32]]
"""From pixels (H, W, 3) uint8 and um per px to probabilities (5, H, W) float32."""


def starter_examples(
    fields: Iterable[tuple[TruthField, SeeField]],
    network_key: str,
    proposer: Proposer | None = None,
) -> Examples:
    """Objects of fields, described and labelled by their truth.

    Parameters
    ----------
    fields : iterable of (TruthField, callable)
        Each with the network that looks at it; taken one after the other, none is held longer
        than needed. Best a network that did not learn from this field: what one makes of its
        own lessons is surer than what it makes of new slides.
    network_key : str
        Fingerprint of the network, not empty.
    proposer : Proposer, optional
        By default the one without weights.

    Returns
    -------
    Examples
        Objects that are mostly of one class; an object counts by its area, as in training.
    """
    settings = replace(Settings(), describe=STARTER_FEATURES)
    proposer = proposer or SuperpixelProposer(settings.superpixel)
    tables: list[FeatureTable] = []
    codes: list[NDArray[np.uint8]] = []
    groups: list[str] = []
    areas: list[NDArray[np.float64]] = []
    for one, see in fields:
        appearance = Appearance(Image.from_pixels(one.pixels, one.um_per_px))
        seen = appearance.seen_by(network_key, see(one.pixels, appearance.working_um_per_px))
        described = describe_image(seen, propose(seen, proposer), settings)
        labels = labels_from_mask(described.objects, one.codes)
        keep = np.flatnonzero(~labels.mixed & (labels.codes < len(CLASS_NAMES)))
        tables.append(take_rows(described.table, keep))
        codes.append(labels.codes[keep])
        groups += [one.patient] * len(keep)
        # Shares of the image: a field of many pixels is no better than one of few.
        areas.append(described.objects.areas()[keep] / one.codes.size)
    weights = area_weights(np.concatenate(areas), STARTER_TRAINING.area)
    return Examples(concatenate(tables), np.concatenate(codes), np.array(groups), weights)

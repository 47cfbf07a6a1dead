"""What work on an image needs to have imported; the list alone, so that naming it costs nothing."""

from __future__ import annotations

PRELOAD = (
    "annotator.pipeline.tasks",
    "scipy.sparse.csgraph",
    "skimage.morphology",
    "skimage.segmentation",
    "sklearn.cluster",
)
"""Modules that take a second or two to import, the tasks of the workers among them."""

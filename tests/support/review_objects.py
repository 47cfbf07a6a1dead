"""Drawn objects as the review page holds them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from annotator.core.objects import ImageObjects, objects_from_labels
from annotator.review.object_index import IndexedObjects, index_objects
from annotator.study.objects_file import ImageFeatures
from annotator.study.rough import KnownImage
from features.table import FeatureTable


def held(labels: NDArray[np.int32]) -> IndexedObjects:
    """The objects of a label map, as the review page holds them."""
    objects: ImageObjects = objects_from_labels("a" * 16, labels)
    n = len(objects)
    table = FeatureTable(np.full(n, "a" * 16), objects.ids, np.zeros((n, 1)), ("x",), "f")
    stained = np.ones(labels.shape, bool)
    shape = labels.shape[0], labels.shape[1]
    image = KnownImage("a" * 16, "a", "/nowhere/a.png", shape, None, (), None)
    return index_objects(
        image, (0, 0), ImageFeatures("look", objects, table, (0, 1, 0), 0, stained)
    )

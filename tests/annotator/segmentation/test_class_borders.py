"""Objects along the borders of a class map: pure, whole where they were, each with its source."""

from __future__ import annotations

import numpy as np
import pytest

from annotator.core.objects import Image, ImageObjects, joined_objects, objects_from_masks
from annotator.imaging.appearance import Appearance
from annotator.segmentation.class_borders import PartLimits, claim_classes, cut_by_class

LIMITS = PartLimits(area=20, depth=2)


def square(y: int, x: int, side: int, source: str = "superpixel") -> ImageObjects:
    return objects_from_masks("a", (60, 80), [((y, x), np.ones((side, side), bool))], maker=source)


@pytest.fixture
def classes() -> np.ndarray:
    """Fat on the left, cell on the right of column 40."""
    return np.repeat(np.array([[1] * 40 + [2] * 40], np.uint8), 60, axis=0)


def test_an_object_of_one_class_stays_as_it_is(classes):
    objects = joined_objects(square(0, 0, 20), square(20, 60, 18))
    assert cut_by_class(objects, classes, LIMITS) is objects


def test_parts_together_are_the_object_and_each_has_one_class(classes):
    objects = square(10, 25, 30)
    cut = cut_by_class(objects, classes, LIMITS)
    assert len(cut) == 2
    assert np.array_equal(cut.coverage(), objects.coverage())
    for where, crop in cut:
        assert len(np.unique(classes[where][crop])) == 1
    assert cut.ids[0] == objects.ids[0]
    assert cut.areas()[0] == cut.areas().max()


def test_parts_keep_the_source_and_ids_stay_unique(classes):
    objects = joined_objects(square(0, 30, 20), square(30, 25, 25, "sam"))
    cut = cut_by_class(objects, classes, LIMITS)
    assert cut.by_source() == {"superpixel": 2, "sam": 2}
    assert cut.ids.tolist() == [1, 2, 3, 4]


def test_objects_that_overlap_are_cut_each_by_itself(classes):
    objects = joined_objects(square(10, 25, 30, "sam"), square(12, 30, 20, "sam"))
    cut = cut_by_class(objects, classes, LIMITS)
    assert len(cut) == 4
    assert np.array_equal(cut.coverage(), objects.coverage())


def test_specks_and_thin_rims_stay_with_what_lies_beside_them(classes):
    classes[20:23, 30:33] = 2
    assert len(cut_by_class(square(10, 10, 28), classes, LIMITS)) == 1
    classes[:, 35:37] = 3  # an area above the limit, but nowhere thick
    assert len(cut_by_class(square(10, 10, 29), classes, LIMITS)) == 1


def test_two_parts_of_one_class_with_another_between_them_are_two(classes):
    classes[25:35] = 3
    cut = cut_by_class(square(10, 5, 34), classes, LIMITS)
    assert len(cut) == 3


def test_what_no_object_claims_becomes_one_where_it_is_no_cell(classes):
    appearance = Appearance(Image.from_pixels(np.full((60, 80, 3), 200, np.uint8), 1.0))
    claimed = claim_classes(appearance, square(0, 0, 30), classes)
    assert claimed.by_source() == {"superpixel": 1, "network": 1}
    assert claimed.ids.tolist() == [1, 2]
    # All of the fat, and nothing of the cell.
    assert np.array_equal(claimed.coverage() > 0, classes == 1)


def test_little_that_is_unclaimed_stays_so(classes):
    appearance = Appearance(Image.from_pixels(np.full((60, 80, 3), 200, np.uint8), 1.0))
    classes[:] = 2
    classes[10:17, 10:17] = 0
    objects = square(30, 30, 10)
    assert claim_classes(appearance, objects, classes) is objects

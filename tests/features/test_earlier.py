"""Rows taken over from an earlier table: the same bits as rows made anew."""

from dataclasses import replace

import numpy as np
import pytest

from annotator.core.objects import Image, ImageObjects, objects_from_masks
from annotator.imaging.appearance import Appearance
from annotator.settings.annotation import DescribeSettings
from features.describe import describe
from features.earlier import EarlierTable, known_rows
from features.surround import NEIGHBOUR_COUNT, seen_ids
from features.table import FeatureTable

SETTINGS = DescribeSettings()
SHAPE = (200, 260)


@pytest.fixture(scope="module")
def appearance() -> Appearance:
    rng = np.random.default_rng(3)
    pixels = np.array([214.0, 140.0, 185.0]) + rng.normal(0, 14, (*SHAPE, 3))
    pixels[20:80, 30:90] = 244
    return Appearance(Image.from_pixels(np.clip(pixels, 0, 255).astype(np.uint8), um_per_px=0.5))


@pytest.fixture(scope="module")
def objects(appearance: Appearance) -> ImageObjects:
    """Forty objects of many sizes, some of which overlap and some of which touch."""
    rng = np.random.default_rng(5)
    parts = []
    for _ in range(40):
        height, width = rng.integers(2, 40, 2).tolist()
        y, x = int(rng.integers(0, SHAPE[0] - height)), int(rng.integers(0, SHAPE[1] - width))
        mask = rng.random((height, width)) > 0.1
        mask[0, 0] = mask[-1, -1] = True
        parts.append(((y, x), mask))
    return objects_from_masks(appearance.image.id, SHAPE, parts)


@pytest.fixture(scope="module")
def table(appearance: Appearance, objects: ImageObjects) -> FeatureTable:
    return describe(appearance, objects, SETTINGS)


def test_fewer_objects_give_the_same_bits_as_without_an_earlier_table(
    appearance: Appearance, objects: ImageObjects, table: FeatureTable
) -> None:
    few = objects.select(np.arange(len(objects)) % 3 > 0)
    found = describe(appearance, few, SETTINGS, EarlierTable(objects, table))
    anew = describe(appearance, few, SETTINGS)
    np.testing.assert_array_equal(found.X, anew.X)
    gone = table.column(NEIGHBOUR_COUNT)[np.arange(len(objects)) % 3 > 0]
    assert (found.column(NEIGHBOUR_COUNT) != gone).any(), "a neighbour that went must be missed"


def test_more_objects_give_the_same_bits_as_without_an_earlier_table(
    appearance: Appearance, objects: ImageObjects, table: FeatureTable
) -> None:
    few = objects.select(np.arange(len(objects)) % 4 > 0)
    earlier = EarlierTable(few, describe(appearance, few, SETTINGS))
    np.testing.assert_array_equal(describe(appearance, objects, SETTINGS, earlier).X, table.X)


def test_ids_may_change(appearance: Appearance, objects: ImageObjects, table: FeatureTable) -> None:
    numbered = replace(objects, ids=objects.ids[::-1] + np.int32(100))
    earlier = EarlierTable(numbered, describe(appearance, numbered, SETTINGS))
    np.testing.assert_array_equal(describe(appearance, objects, SETTINGS, earlier).X, table.X)


def test_rows_are_taken_over_and_not_made_again(
    appearance: Appearance, objects: ImageObjects, table: FeatureTable
) -> None:
    marked = replace(table, X=np.full_like(table.X, 7.0))
    found = describe(appearance, objects, SETTINGS, EarlierTable(objects, marked))
    assert (found.column("lab_l_mean") == 7).all()


def test_a_table_of_other_columns_is_not_used(
    appearance: Appearance, objects: ImageObjects, table: FeatureTable
) -> None:
    other = replace(table, X=np.full_like(table.X, 7.0), fingerprint="other")
    found = describe(appearance, objects, SETTINGS, EarlierTable(objects, other))
    np.testing.assert_array_equal(found.X, table.X)


def test_two_objects_of_one_mask_are_made_again(
    appearance: Appearance, objects: ImageObjects
) -> None:
    parts = [((10, 10), np.ones((9, 9), bool))] * 2 + [((60, 60), np.ones((5, 5), bool))]
    copies = objects_from_masks(appearance.image.id, SHAPE, parts)
    made = describe(appearance, copies, SETTINGS)
    known = known_rows(EarlierTable(copies, made), copies, seen_ids(copies))
    assert known.row.tolist() == [-1, -1, 2]


def test_no_objects_before(
    appearance: Appearance, objects: ImageObjects, table: FeatureTable
) -> None:
    none = objects.select(np.zeros(len(objects), bool))
    earlier = EarlierTable(none, describe(appearance, none, SETTINGS))
    np.testing.assert_array_equal(describe(appearance, objects, SETTINGS, earlier).X, table.X)

"""Images, objects and the geometry of masks, against full-frame oracles."""

import dataclasses
import hashlib

import numpy as np
import pytest
from scipy import ndimage

from annotator.core.objects import (
    Image,
    ImageObjects,
    fill_holes,
    freeze,
    image_id,
    intersection,
    joined_objects,
    objects_from_labels,
    objects_from_masks,
    tight_box,
)

PIXELS = np.arange(6 * 7 * 3, dtype=np.uint8).reshape(6, 7, 3)
SHAPE = (6, 7)


def drawing(text):
    """A mask drawn with # and anything else."""
    return np.array([[sign == "#" for sign in row] for row in text.split()])


L_SHAPE = drawing("#.. #.. ###")
BAR = drawing("####")


def two():
    return objects_from_masks("id", SHAPE, [((1, 2), L_SHAPE), ((3, 1), BAR)], [0.5, 0.25])


# Image


def test_the_id_depends_on_pixels_and_shape_only():
    text = hashlib.sha256(b"6x7x3" + PIXELS.tobytes()).hexdigest()[:16]
    assert image_id(PIXELS) == text
    assert image_id(PIXELS.reshape(7, 6, 3)) != text
    assert image_id(np.asfortranarray(PIXELS)) == text
    assert image_id(np.repeat(PIXELS, 2, axis=1)[:, ::2]) == text


def test_an_image_is_read_only_and_leaves_the_callers_array_alone():
    pixels = PIXELS.copy()
    image = Image.from_pixels(pixels, 0.5, ("a note",))
    assert image.id == image_id(pixels)
    assert (image.shape, image.um_per_px, image.notes) == (SHAPE, 0.5, ("a note",))
    with pytest.raises(ValueError, match="read-only"):
        image.pixels[0, 0, 0] = 1
    pixels[0, 0, 0] = 9
    with pytest.raises(dataclasses.FrozenInstanceError):
        image.um_per_px = 1.0


def test_pixels_are_made_contiguous():
    image = Image.from_pixels(PIXELS[:, ::-1])
    assert image.pixels.flags.c_contiguous
    assert np.array_equal(image.pixels, PIXELS[:, ::-1])


@pytest.mark.parametrize(
    "pixels",
    [
        PIXELS[..., 0],
        PIXELS[..., :2],
        PIXELS.astype(np.uint16),
        PIXELS.astype(float),
        PIXELS[:0],
        PIXELS[:, :0],
    ],
)
def test_other_arrays_are_no_pixels(pixels):
    with pytest.raises(ValueError, match=r"pixels .*\(H, W, 3\) uint8"):
        Image("id", pixels)


@pytest.mark.parametrize("um", [0, -0.5, float("nan"), float("inf")])
def test_a_pixel_size_is_positive_and_finite(um):
    with pytest.raises(ValueError, match="um_per_px"):
        Image("id", PIXELS, um)


def test_freeze_gives_a_view():
    array = np.zeros(3)
    frozen = freeze(array)
    array[0] = 1
    assert frozen[0] == 1
    assert array.flags.writeable
    assert not frozen.flags.writeable


# ImageObjects


def test_masks_are_trimmed_and_placed():
    padded = np.pad(L_SHAPE, ((2, 1), (1, 3)))
    objects = objects_from_masks("id", (20, 20), [((5, 6), padded)])
    assert objects.boxes.tolist() == [[7, 7, 10, 10]]
    assert np.array_equal(objects.crops[0], L_SHAPE)
    assert np.isnan(objects.scores).all()
    assert np.isnan(objects.stability).all()
    assert objects.by_source() == {"superpixel": 1}


def test_empty_masks_are_dropped_with_their_scores():
    parts = [((0, 0), BAR), ((0, 0), np.zeros((2, 2), bool)), ((1, 0), BAR)]
    objects = objects_from_masks("id", SHAPE, parts, [0.1, 0.2, 0.3], [0.4, 0.5, 0.6])
    assert objects.ids.tolist() == [1, 2]
    assert objects.scores.tolist() == pytest.approx([0.1, 0.3])
    assert objects.stability.tolist() == pytest.approx([0.4, 0.6])


def test_makers_stay_with_their_objects_and_are_counted():
    made = objects_from_masks("id", SHAPE, [((0, 0), BAR), ((1, 1), L_SHAPE)], maker="sam")
    both = joined_objects(two(), made)
    assert both.by_source() == {"superpixel": 2, "sam": 2}
    assert both.select(np.array([3, 0])).by_source() == {"superpixel": 1, "sam": 1}
    assert both.select(np.array([], int)).by_source() == {}
    labels = np.array([[1, 0], [0, 2]], np.int32)
    assert objects_from_labels("id", labels, "white").by_source() == {"white": 2}


def test_joined_objects_keep_everything_but_the_second_ids():
    first, second = two(), two().select(np.array([1]))
    both = joined_objects(first, second)
    assert both.ids.tolist() == [1, 2, 4]
    assert np.array_equal(both.full_mask(2), second.full_mask(0))
    assert both.scores.tolist() == [0.5, 0.25, 0.25]
    none = two().select(np.zeros(2, bool))
    assert len(joined_objects(none, none)) == 0
    assert joined_objects(none, second).ids.tolist() == second.ids.tolist()


def test_an_unknown_maker_is_refused():
    objects = two()
    with pytest.raises(ValueError, match=r"superpixel, sam, white.* 9"):
        dataclasses.replace(objects, sources=np.full(2, 9, np.uint8))
    with pytest.raises(ValueError, match="not in"):
        objects_from_masks("id", SHAPE, [((0, 0), BAR)], maker="nobody")


def test_crops_do_not_keep_the_callers_masks():
    mask = BAR.copy()
    objects = objects_from_masks("id", SHAPE, [((0, 0), mask)])
    mask[:] = False
    assert objects.areas().tolist() == [4]


def test_no_objects():
    objects = objects_from_masks("id", SHAPE, [])
    assert len(objects) == 0
    assert objects.boxes.shape == (0, 4)
    assert objects.areas().shape == (0,)
    assert not objects.coverage().any()
    assert not objects.label_map().any()
    assert len(objects.select(np.zeros(0, bool))) == 0


def test_areas_coverage_and_labels_agree_with_full_masks():
    objects = two()
    full = [objects.full_mask(i) for i in range(2)]
    assert objects.areas().tolist() == [m.sum() for m in full]
    assert np.array_equal(objects.coverage(), full[0].astype(int) + full[1])
    expected = np.where(full[1], 2, np.where(full[0], 1, 0))
    assert np.array_equal(objects.label_map(), expected)
    for (where, crop), mask in zip(objects, full, strict=True):
        assert np.array_equal(mask[where], crop)


def test_full_mask_by_hand():
    expected = drawing("....... ..#.... ..#.... ..###.. ....... .......")
    assert np.array_equal(two().full_mask(0), expected)


def test_coverage_counts_beyond_255():
    objects = objects_from_masks("id", SHAPE, [((0, 0), BAR)] * 300)
    assert objects.coverage().max() == 300


@pytest.mark.parametrize("keep", [np.array([1, 0]), np.array([True, False]), np.array([-1])])
def test_select_keeps_ids_and_scores(keep):
    objects = two()
    chosen = objects.select(keep)
    at = np.arange(2)[keep]
    assert chosen.ids.tolist() == objects.ids[at].tolist()
    assert chosen.scores.tolist() == objects.scores[at].tolist()
    assert chosen.boxes.tolist() == objects.boxes[at].tolist()
    assert [c.tolist() for c in chosen.crops] == [objects.crops[i].tolist() for i in at]


def test_select_refuses_one_object_twice():
    with pytest.raises(ValueError, match="ids"):
        two().select(np.array([0, 0]))


def test_objects_are_read_only():
    objects = two()
    for array in (objects.ids, objects.boxes, objects.scores, objects.stability, objects.crops[0]):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"ids": np.array([1, 1], np.int32)}, "unique"),
        ({"ids": np.array([0, 1], np.int32)}, "positive"),
        ({"ids": np.array([1, 2], np.int64)}, "ids"),
        ({"ids": np.array([1], np.int32)}, "ids"),
        ({"boxes": np.zeros((2, 3), np.int32)}, "boxes"),
        ({"scores": np.zeros(2)}, "scores"),
        ({"stability": np.zeros(3, np.float32)}, "stability"),
        ({"shape": (5, 4)}, "4 x 5"),
        ({"boxes": np.array([[2, 1, 5, 4], [-1, 3, 3, 4]], np.int32)}, r"\(-1, 3, 3, 4\)"),
        ({"boxes": np.array([[2, 1, 5, 4], [1, 3, 1, 4]], np.int32)}, r"\(1, 3, 1, 4\)"),
        ({"boxes": np.array([[2, 1, 5, 4], [1, 3, 6, 4]], np.int32)}, r"\(1, 3, 6, 4\)"),
        ({"crops": (L_SHAPE, BAR.astype(np.uint8))}, "uint8"),
        ({"crops": (L_SHAPE,)}, "ids|crops"),
        ({"crops": (L_SHAPE, np.zeros_like(BAR))}, r"\(1, 3, 5, 4\)"),
    ],
)
def test_objects_that_contradict_themselves_are_refused(change, said):
    with pytest.raises(ValueError, match=said):
        dataclasses.replace(two(), **change)


def test_a_mask_that_leaves_the_image_is_refused():
    with pytest.raises(ValueError, match=r"\(4, 0, 8, 1\).*7 x 6"):
        objects_from_masks("id", SHAPE, [((0, 4), BAR)])


def test_labels_and_back():
    labels = np.zeros(SHAPE, np.int32)
    labels[0, :3] = 5
    labels[2:4, 1:3] = 2
    labels[5, 6] = 9
    objects = objects_from_labels("id", labels)
    assert objects.areas().tolist() == [4, 3, 1]
    assert np.array_equal(objects.label_map() > 0, labels > 0)
    assert [int(labels[objects.full_mask(i)][0]) for i in range(3)] == [2, 5, 9]


def test_labels_of_nothing():
    assert len(objects_from_labels("id", np.zeros(SHAPE, np.int32))) == 0


def test_objects_with_two_parts_stay_one():
    labels = np.array([[3, 0, 0, 3]], np.int32)
    objects = objects_from_labels("id", labels)
    assert objects.boxes.tolist() == [[0, 0, 4, 1]]
    assert objects.crops[0].tolist() == [[True, False, False, True]]


def test_random_labels_round_trip():
    labels = np.random.default_rng(0).integers(0, 9, (30, 40)).astype(np.int32)
    assert np.array_equal(objects_from_labels("id", labels).label_map(), labels)


# Geometry


def test_tight_box_of_nothing():
    assert tight_box(np.zeros((3, 3), bool)) is None
    assert tight_box(np.zeros((0, 3), bool)) is None


def test_intersection_agrees_with_full_masks():
    rng = np.random.default_rng(1)
    for _ in range(50):
        parts = []
        for _ in range(2):
            mask = rng.random(rng.integers(1, 9, 2)) < 0.6
            mask[0, 0] = True
            parts.append((tuple(rng.integers(0, 8, 2)), mask))
        objects = ImageObjects.select(objects_from_masks("id", (20, 20), parts), np.array([0, 1]))
        expected = np.count_nonzero(objects.full_mask(0) & objects.full_mask(1))
        a, b = objects.boxes
        assert intersection(a, objects.crops[0], b, objects.crops[1]) == expected


def test_boxes_that_only_touch_do_not_intersect():
    one = np.ones((2, 2), bool)
    assert intersection((0, 0, 2, 2), one, (2, 0, 4, 2), one) == 0
    assert intersection((0, 0, 2, 2), one, (1, 1, 3, 3), one) == 1


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("##### #...# #.#.# #...# #####", "##### ##### ##### ##### #####"),
        ("##### #.... #####", "##### #.... #####"),
        (".#. #.# .#.", ".#. ### .#."),
        ("... ...", "... ..."),
        ("#", "#"),
    ],
)
def test_fill_holes_by_hand(before, after):
    assert np.array_equal(fill_holes(drawing(before)), drawing(after))


def test_fill_holes_agrees_with_scipy():
    rng = np.random.default_rng(2)
    for _ in range(30):
        mask = rng.random((25, 31)) < rng.uniform(0.3, 0.8)
        filled = fill_holes(mask)
        assert filled.dtype == np.bool_
        assert np.array_equal(filled, ndimage.binary_fill_holes(mask))

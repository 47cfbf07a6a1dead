"""Corrected frames: objects keep the numbers that they were sent with, wherever that is known."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from annotator.core.classes import BONE, CELL, DEFAULT_SCHEMA, FAT, UNLABELLED
from annotator.core.errors import CvatError
from annotator.core.label_maps import LabelMaps
from annotator.core.label_names import LabelNames
from export.cvat.client.from_shapes import CorrectedFrame, ServerLabels, correct_frame
from export.cvat.client.labels import LabelIds, labels_of
from export.cvat.client.server import Attribute, CvatLabel, CvatShape
from export.cvat.client.shapes import draw

SIZE = (40, 60)


def numbered(labels: tuple[CvatLabel, ...]) -> tuple[CvatLabel, ...]:
    """Labels as a server gives them out."""
    made = []
    for code, label in enumerate(labels):
        attributes = tuple(
            replace(one, id=10 * code + k) for k, one in enumerate(label.attributes, start=100)
        )
        made.append(replace(label, id=code + 1, attributes=attributes))
    return tuple(made)


LABELS = numbered(labels_of(DEFAULT_SCHEMA))
IDS = LabelIds(LABELS)


def rows(*codes: int) -> LabelMaps:
    """Objects of 5 x 5 pixels in rows of ten, on cell; the third is in two parts."""
    classes, instances = np.full(SIZE, CELL, np.uint8), np.zeros(SIZE, np.int32)
    for k, code in enumerate(codes):
        y, x = 6 * (k // 8), 7 * (k % 8)
        where = (slice(y, y + 5), slice(x, x + 5))
        classes[where], instances[where] = code, 10 * k + 7
        if k == 2:
            classes[y + 2, x : x + 5], instances[y + 2, x : x + 5] = CELL, 0
    return LabelMaps(classes, instances)


SENT = rows(*[FAT] * 12, *[BONE] * 4)


def sent(label_maps: LabelMaps = SENT, budget: int = 200) -> list[CvatShape]:
    """The shapes as the server holds them."""
    shapes = draw(label_maps, {}, IDS, budget=budget).shapes
    return [replace(shape, id=number) for number, shape in enumerate(shapes, start=1)]


def back(shapes: list[CvatShape], baseline: LabelMaps | None = SENT) -> CorrectedFrame:
    return correct_frame(shapes, SIZE, ServerLabels(LABELS), baseline)


def without_words(shapes: list[CvatShape]) -> list[CvatShape]:
    return [replace(shape, attributes={}) for shape in shapes]


def parts(instances: NDArray[np.int32]) -> int:
    return len(np.unique(instances)) - 1


@pytest.mark.parametrize("budget", [200, 17, 10, 8, 4, 3])
def test_what_nobody_changed_is_what_was_sent(budget: int) -> None:
    found = back(sent(budget=budget))
    assert np.array_equal(found.label_maps.classes, SENT.classes)
    assert np.array_equal(found.label_maps.instances, SENT.instances)


def test_objects_are_known_by_their_pixels_where_shapes_say_nothing() -> None:
    assert np.array_equal(back(without_words(sent())).label_maps.instances, SENT.instances)


def test_without_what_was_sent_they_are_numbered_anew() -> None:
    found = back(sent(), None).label_maps
    assert parts(found.instances) == 16
    assert np.array_equal(found.instances > 0, SENT.instances > 0)


def test_a_random_change_of_some_shapes_leaves_the_others(
    seed_count: int = 20,
) -> None:
    for seed in range(seed_count):
        rng = np.random.default_rng(seed)
        shapes = sent(budget=int(rng.integers(3, 20)))
        gone = rng.choice(len(shapes))
        found = back(shapes[:gone] + shapes[gone + 1 :]).label_maps
        same = found.classes == SENT.classes
        assert np.array_equal(found.instances[same], SENT.instances[same])
        assert np.all(found.classes[~same] == UNLABELLED)


def test_a_piece_taken_from_a_shared_shape_leaves_the_other_objects() -> None:
    shapes = sent(budget=3)
    (shared,) = (s for s in shapes if s.label == IDS.label(FAT))
    over = CvatShape(0, IDS.label(CELL), "mask", (0.0, 25.0, 0.0, 0.0, 4.0, 4.0), z_order=50, id=99)
    eraser = [*shapes, over]
    found = back(eraser).label_maps
    assert shared.attributes
    assert np.all(found.classes[:5, :5] == CELL)
    kept = SENT.instances > 7
    assert np.array_equal(found.instances[kept], SENT.instances[kept])


def test_a_shared_shape_that_was_redrawn_keeps_the_objects_that_it_still_has() -> None:
    moved = rows(*[FAT] * 11)
    shapes = sent(moved, budget=2)
    found = back(shapes).label_maps
    kept = moved.instances > 0
    # The object in two parts is two pieces of a shape that is no longer the one that was sent.
    kept &= moved.instances != 27
    assert np.array_equal(found.instances[kept], SENT.instances[kept])


def test_a_relabelled_object_keeps_its_number() -> None:
    for words in (sent(), without_words(sent())):
        changed = [
            replace(s, label=IDS.label(BONE)) if SENT.instances[0, 0] == 7 and k == 1 else s
            for k, s in enumerate(words)
        ]
        found = back(changed).label_maps
        assert found.classes[0, 0] == BONE
        assert found.instances[0, 0] == 7


def test_the_larger_part_of_an_object_cut_in_two_keeps_its_number() -> None:
    shapes = sent()
    first = next(s for s in shapes if s.points[-4:] == (0.0, 0.0, 4.0, 4.0))
    halves = [
        replace(first, points=(0.0, 5.0, 0.0, 0.0, 4.0, 0.0)),
        replace(first, points=(0.0, 15.0, 0.0, 2.0, 4.0, 4.0), id=99, z_order=90),
    ]
    found = back([*(s for s in shapes if s is not first), *halves]).label_maps
    assert found.instances[3, 3] == 7
    assert found.instances[0, 0] > SENT.instances.max()


@pytest.mark.parametrize("words", ["99999999999", "-3", "x", "0", "³", "merged"])
def test_strange_words_do_no_harm(words: str) -> None:
    shapes = [
        replace(s, attributes=dict.fromkeys(s.attributes, words)) if k else s
        for k, s in enumerate(sent())
    ]
    assert np.array_equal(back(shapes).label_maps.instances, SENT.instances)


def test_nothing_is_nothing() -> None:
    found = back([])
    assert np.all(found.label_maps.classes == UNLABELLED)
    assert not found.label_maps.instances.any()


def test_a_label_that_is_missing_is_named() -> None:
    with pytest.raises(CvatError, match="bone"):
        ServerLabels(LABELS[:3])


def test_a_project_without_our_attributes_can_be_read() -> None:
    bare = ServerLabels([replace(one, attributes=()) for one in LABELS])
    found = correct_frame(without_words(sent()), SIZE, bare, SENT)
    assert np.array_equal(found.label_maps.instances, SENT.instances)


def test_labels_of_others_can_be_there() -> None:
    other = CvatLabel("vessel", "#123456", (Attribute("x", "text", id=77),), id=50)
    labels = ServerLabels([*LABELS, other])
    assert correct_frame(sent(), SIZE, labels, SENT).tied_px == 0
    assert labels.code(CvatShape(0, 50, "mask", ())) is None
    strangers = [replace(sent()[0], label=50), replace(sent()[0], label=51)]
    found = correct_frame([*sent(), *strangers], SIZE, labels, SENT)
    assert found.left_out == {"vessel": 1, "label 51": 1}
    assert np.array_equal(found.label_maps.classes, SENT.classes)
    assert np.array_equal(found.label_maps.instances, SENT.instances)


def with_labels(**names: int) -> list[CvatLabel]:
    return [*LABELS, *(CvatLabel(name, "#123456", id=number) for name, number in names.items())]


def rectangle(label: int, x0: int, y0: int, x1: int, y1: int, number: int) -> CvatShape:
    return CvatShape(0, label, "rectangle", (x0, y0, x1, y1), id=number)


def test_a_person_says_what_labels_of_others_mean() -> None:
    names = LabelNames({"adipocyte": "fat", "vessel": "ignore", "pen": "exclude"})
    labels = ServerLabels(with_labels(Adipocyte=50, vessel=51, Pen=52, tumour=53), names=names)
    shapes = [
        rectangle(50, 0, 0, 10, 10, 1),
        rectangle(51, 0, 0, 4, 4, 2),
        rectangle(52, 20, 0, 22, 2, 3),
        rectangle(53, 0, 0, 10, 10, 4),
    ]
    found = correct_frame(shapes, SIZE, labels)
    # What is ignored hides what lies below: somebody said that it is none of our classes.
    assert np.count_nonzero(found.label_maps.classes == FAT) == 100 - 16
    assert np.all(found.label_maps.classes[:4, :4] == UNLABELLED)
    assert np.count_nonzero(found.label_maps.instances) == 100 - 16
    assert found.excluded is not None
    assert np.argwhere(found.excluded).tolist() == [[0, 20], [0, 21], [1, 20], [1, 21]]
    assert found.left_out == {"tumour": 1}


@pytest.mark.parametrize("meaning", ["exclude", "ignore"])
def test_the_last_shape_can_be_hidden_wholly(meaning: str) -> None:
    labels = ServerLabels(with_labels(pen=50), names=LabelNames({"pen": meaning}))
    fat, bone = LABELS[1].id or 0, LABELS[3].id or 0
    shapes = [
        rectangle(fat, 0, 0, 4, 4, 1),
        rectangle(bone, 10, 10, 14, 14, 2),
        rectangle(50, 9, 9, 15, 15, 3),
    ]
    found = correct_frame(shapes, SIZE, labels).label_maps
    assert np.count_nonzero(found.classes != UNLABELLED) == 16
    assert np.count_nonzero(found.instances) == 16


def test_a_label_that_was_deleted_needs_not_be_there() -> None:
    labels = ServerLabels(LABELS[:3], deleted=["bone"])
    bone = LABELS[3].id
    without_bone = [shape for shape in sent() if shape.label != bone]
    found = correct_frame(without_bone, SIZE, labels, SENT).label_maps.classes
    assert np.all(found[SENT.classes == BONE] == UNLABELLED)
    assert np.array_equal(found[SENT.classes != BONE], SENT.classes[SENT.classes != BONE])

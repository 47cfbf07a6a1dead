"""Maps as shapes of CVAT and back: exact, within the budget, refused where they are wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from annotator.core.classes import BG, BONE, CELL, CLASS_NAMES, DEFAULT_SCHEMA, FAT, UNLABELLED
from annotator.core.errors import CvatError
from annotator.core.label_maps import LabelMaps
from export.cvat.client.labels import LabelIds, label_differences, labels_of, with_ids
from export.cvat.client.server import Attribute, CvatLabel, CvatShape
from export.cvat.client.shapes import Difference, check, difference, digest, draw, paint_frame

LABELS = with_ids(labels_of(DEFAULT_SCHEMA))
IDS = LabelIds(LABELS)


def random_map(seed: int, objects: int = 12, shape: tuple[int, int] = (40, 56)) -> LabelMaps:
    """Classes and instances with holes, loose parts, pixels at the borders, and open ones."""
    rng = np.random.default_rng(seed)
    classes = rng.choice(np.array([CELL, CELL, BG, UNLABELLED], np.uint8), shape)
    instances = np.zeros(shape, np.int32)
    for number in rng.permutation(500)[:objects] + 1:
        y, x = rng.integers(-4, shape[0] - 2), rng.integers(-4, shape[1] - 2)
        where = slice(max(y, 0), y + rng.integers(5, 12)), slice(max(x, 0), x + rng.integers(5, 12))
        some = rng.random(classes[where].shape) < 0.8
        classes[where][some] = rng.choice([FAT, BONE])
        instances[where][some] = number
    return LabelMaps(classes, instances)


def attribute(shape: CvatShape, name: str) -> str:
    """Value of an attribute of a shape."""
    code = IDS.code(shape.label)
    assert code is not None
    (number,) = (a.id for a in LABELS[code].attributes if a.name == name)
    assert number is not None
    return shape.attributes[number]


def painted_back(label_maps: LabelMaps, budget: int = 200) -> Difference:
    drawn = draw(label_maps, {}, IDS, 3, budget)
    painted = paint_frame(drawn.shapes, 3, label_maps.shape, IDS)
    return difference(label_maps, painted, drawn.merged_ids)


@pytest.mark.parametrize("seed", range(12))
def test_what_is_drawn_paints_back_to_the_pixel(seed: int) -> None:
    assert painted_back(random_map(seed)) == Difference(0, 0)


@pytest.mark.parametrize("budget", [8, 9, 12, 40])
@pytest.mark.parametrize("seed", range(4))
def test_a_budget_is_kept_and_loses_no_pixel(seed: int, budget: int) -> None:
    label_maps = random_map(seed, objects=30)
    drawn = draw(label_maps, {}, IDS, 0, budget)
    assert len(drawn.shapes) <= budget
    assert painted_back(label_maps, budget) == Difference(0, 0)


def test_the_smallest_share_a_shape_by_class() -> None:
    classes = np.full((4, 80), CELL, np.uint8)
    instances = np.zeros_like(classes, np.int32)
    for k in range(20):
        classes[:, 4 * k : 4 * k + 2] = FAT if k % 2 else BONE
        instances[:, 4 * k : 4 * k + 2] = k + 1
    classes[:, 78], instances[:, 78] = BONE, 19  # the largest
    drawn = draw(LabelMaps(classes, instances), {}, IDS, 0, 8)
    merged = [s for s in drawn.shapes if attribute(s, "object") == "merged"]
    assert [IDS.code(s.label) for s in merged] == [FAT, BONE]
    assert len(drawn.shapes) == 8
    assert sum(drawn.merged.values()) == len(drawn.merged_ids) == 15
    assert 19 not in drawn.merged_ids
    own = {attribute(s, "object") for s in drawn.shapes} - {"", "merged"}
    assert own == {str(k) for k in range(1, 21) if k not in drawn.merged_ids}


def test_an_object_that_is_alone_beyond_the_budget_keeps_its_name() -> None:
    """Eight bone objects and one small fat one, for seven shapes: the fat one shares with none."""
    classes, instances = np.full((6, 54), CELL, np.uint8), np.zeros((6, 54), np.int32)
    for k in range(9):
        code, height = (FAT, 1) if k == 4 else (BONE, 6 - k % 3)
        classes[:height, 6 * k : 6 * k + 4] = code
        instances[:height, 6 * k : 6 * k + 4] = k + 1
    drawn = draw(LabelMaps(classes, instances), {}, IDS, 0, 8)
    fat = [s for s in drawn.shapes if IDS.code(s.label) == FAT]
    assert [attribute(s, "object") for s in fat] == ["5"]
    assert drawn.merged.keys() == {"bone"}


def test_each_shape_has_its_own_z_order_and_its_attributes() -> None:
    label_maps = random_map(1)
    numbers = np.unique(label_maps.instances[label_maps.instances > 0]).tolist()
    drawn = draw(label_maps, {numbers[0]: 0.876, numbers[1]: 7.0}, IDS, 2)
    assert [s.z_order for s in drawn.shapes] == list(range(len(drawn.shapes)))
    assert {s.frame for s in drawn.shapes} == {2}
    assert {s.source for s in drawn.shapes} == {"auto"}
    sure = {attribute(s, "object"): attribute(s, "confidence") for s in drawn.shapes}
    assert sure[str(numbers[0])] == "88"
    assert sure[str(numbers[1])] == "100"
    assert sure[str(numbers[2])] == sure[""] == "0"


def test_nothing_is_painted_where_nobody_knows() -> None:
    open_map = LabelMaps(np.full((3, 4), UNLABELLED, np.uint8), np.zeros((3, 4), np.int32))
    assert draw(open_map, {}, IDS).shapes == ()


def test_points_are_plain_numbers() -> None:
    kinds = {type(v) for s in draw(random_map(2), {}, IDS).shapes for v in s.points}
    assert kinds == {float}


# Digest


def test_a_digest_is_that_of_what_is_said() -> None:
    shapes = draw(random_map(3), {}, IDS).shapes
    numbered = [replace(s, id=900 - k, source="manual") for k, s in enumerate(shapes)]
    assert digest(numbered[::-1]) == digest(shapes)


@pytest.mark.parametrize(
    "change",
    [
        {"frame": 1},
        {"label": 2},
        {"kind": "polygon"},
        {"points": (1.0, 2.0)},
        {"z_order": 4},
        {"group": 1},
        {"rotation": 0.5},
        {"attributes": {4: "x"}},
    ],
)
def test_a_digest_knows_every_change(change: dict[str, object]) -> None:
    shape = CvatShape(0, 1, "mask", (1.0, 2.0, 3.0), attributes={4: "y"})
    assert digest([shape]) != digest([replace(shape, **change)])  # type: ignore[arg-type]


def test_a_digest_counts() -> None:
    shape = CvatShape(0, 1, "mask", (1.0, 2.0, 3.0))
    assert len({digest([]), digest([shape]), digest([shape, shape])}) == 3


# Labels


def test_labels_fit_themselves_in_any_order() -> None:
    there = [replace(one, attributes=one.attributes[::-1]) for one in LABELS[::-1]]
    assert label_differences(labels_of(DEFAULT_SCHEMA), there) == ()


def test_differences_of_labels_are_named() -> None:
    cell = replace(LABELS[CELL], attributes=(Attribute("object", "select", ("a",)),))
    there = [
        replace(LABELS[FAT], colour="#FFFFFF"),
        cell,
        LABELS[BONE],
        CvatLabel("tumour", "#123456"),
    ]
    assert label_differences(labels_of(DEFAULT_SCHEMA), there) == (
        "bg: missing",
        "fat: colour #800000 expected, #FFFFFF there",
        "cell: attribute object is of another kind or range",
        "cell: attribute confidence missing",
        "tumour: not a class of this study",
    )


def test_a_label_that_excludes_may_be_there() -> None:
    wanted = labels_of(DEFAULT_SCHEMA)
    offered = labels_of(DEFAULT_SCHEMA, exclude=True)
    assert [label.name for label in offered] == ["bg", "fat", "cell", "bone", "exclude"]
    assert offered[:4] == wanted
    assert label_differences(wanted, offered) == ()


def test_attributes_of_others_are_named() -> None:
    odd = replace(LABELS[BG], attributes=(*LABELS[BG].attributes, Attribute("note", "text")))
    found = label_differences(labels_of(DEFAULT_SCHEMA), [odd, *LABELS[1:]])
    assert found == ("bg: attribute note is not ours",)


def test_labels_without_ids_are_refused() -> None:
    with pytest.raises(CvatError):
        LabelIds(labels_of(DEFAULT_SCHEMA)).label(FAT)


# Checks


def test_what_is_drawn_passes_the_checks() -> None:
    label_maps = random_map(4)
    check(draw(label_maps, {}, IDS, 5).shapes, {5: label_maps.shape}, IDS)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"frame": 9}, "frame"),
        ({"label": 999}, "label"),
        ({"kind": "polygon"}, "mask"),
        ({"z_order": 0}, "z_order"),
        ({"points": (0.0, 1.0, 0.0, 0.0, 1.0, 0.0)}, "add up"),
        ({"points": (0.0, 2.0, 90.0, 0.0, 91.0, 0.0)}, "4|6"),
        ({"points": (0.0, 1.0, 0.0, 0.0, 0.0, 0.0)}, "pixel"),
        ({"points": (1.0, 0.0, 1.0, 0.0, 1.0, 0.0)}, "pixel"),
    ],
)
def test_wrong_shapes_are_refused(change: dict[str, object], reason: str) -> None:
    first = CvatShape(0, IDS.label(FAT), "mask", (0.0, 1.0, 0.0, 0.0, 0.0, 0.0), z_order=0)
    second = replace(first, z_order=1, points=(0.0, 1.0, 1.0, 0.0, 1.0, 0.0))
    check([first, second], {0: (4, 6)}, IDS)
    with pytest.raises(CvatError, match=reason):
        check([first, replace(second, **change)], {0: (4, 6)}, IDS)  # type: ignore[arg-type]


# Differences


def block(*rows: tuple[int, ...]) -> NDArray[np.int32]:
    return np.array(rows, np.int32)


def test_instances_differ_where_two_became_one() -> None:
    classes = np.full((1, 4), FAT, np.uint8)
    two = LabelMaps(classes, block((1, 1, 2, 2)))
    one = LabelMaps(classes, block((7, 7, 7, 7)))
    painted = paint_frame(draw(one, {}, IDS).shapes, 0, (1, 4), IDS)
    assert difference(one, painted) == Difference(0, 0)
    assert difference(two, painted) == Difference(0, 4)
    assert difference(two, painted, frozenset({1, 2})) == Difference(0, 0)
    parted = paint_frame(draw(two, {}, IDS).shapes, 0, (1, 4), IDS)
    assert difference(one, parted) == Difference(0, 4)


def test_classes_differ_by_pixels() -> None:
    rough = random_map(5)
    drawn = draw(rough, {}, IDS)
    assert IDS.code(drawn.shapes[1].label) == BG
    painted = paint_frame([s for s in drawn.shapes if s.z_order != 1], 0, rough.shape, IDS)
    missing = int(np.count_nonzero(rough.classes == BG))
    assert difference(rough, painted) == Difference(missing, 0)
    assert difference(rough, painted)


def test_shapes_of_others_cannot_be_painted() -> None:
    with pytest.raises(CvatError, match="points"):
        paint_frame([CvatShape(0, IDS.label(FAT), "points", (1.0, 1.0))], 0, (3, 3), IDS)
    with pytest.raises(CvatError, match="add up"):
        paint_frame([CvatShape(0, IDS.label(FAT), "mask", (1.0, 0, 0, 1, 1))], 0, (3, 3), IDS)


def test_the_names_of_labels_are_those_of_the_classes() -> None:
    assert tuple(label.name for label in LABELS) == CLASS_NAMES
    assert [IDS.code(IDS.label(code)) for code in range(4)] == [0, 1, 2, 3]
    assert IDS.code(0) is None

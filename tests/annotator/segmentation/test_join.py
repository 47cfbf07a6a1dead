"""Two makers' objects joined: which outline stays, on drawings and on fields with truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from active_learning.seed.seed_model import fit_seed
from annotator.core.classes import BONE, CELL, FAT
from annotator.core.objects import BoolMask, ImageObjects, intersection, objects_from_masks
from annotator.core.progress import Stopwatch
from annotator.imaging.appearance import Appearance
from annotator.pipeline.steps import classify_image, describe_image
from annotator.segmentation.join import JoinedProposer, join, solidity
from annotator.segmentation.superpixel import SuperpixelProposer
from annotator.settings.annotation import JoinSettings
from annotator.settings.study import Settings
from annotator.study.objects_file import Proposals
from annotator.synthetic.field import Phantom, make_phantom
from annotator.synthetic.settings import phantom_set
from features.table import concatenate

SHAPE = (80, 120)
UM = 1.0
SETTINGS = Settings()


def box(y0: int, x0: int, y1: int, x1: int) -> BoolMask:
    mask = np.zeros(SHAPE, np.bool_)
    mask[y0:y1, x0:x1] = True
    return mask


def disc(y: int, x: int, radius: float) -> BoolMask:
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return np.asarray((rows - y) ** 2 + (columns - x) ** 2 < radius**2)


def regions(*masks: BoolMask) -> ImageObjects:
    return objects_from_masks("x", SHAPE, [((0, 0), m) for m in masks])


def by_sam(*masks: BoolMask, score: float = 0.95, stability: float = 0.97) -> ImageObjects:
    count = len(masks)
    parts = [((0, 0), m) for m in masks]
    shape = masks[0].shape if masks else SHAPE
    return objects_from_masks("x", shape, parts, [score] * count, [stability] * count, "sam")


def joined(classical: ImageObjects, sam: ImageObjects) -> dict[str, list[BoolMask]]:
    """Full masks by maker."""
    both = join(classical, sam, UM, JoinSettings())
    masks: dict[str, list[BoolMask]] = {"superpixel": [], "sam": []}
    for index, code in enumerate(both.sources.tolist()):
        masks["sam" if code else "superpixel"].append(both.full_mask(index))
    assert both.by_source() == {name: len(found) for name, found in masks.items() if found}
    return masks


def equal(found: list[BoolMask], *wanted: BoolMask) -> bool:
    return len(found) == len(wanted) and all(map(np.array_equal, found, wanted))


def same(one: ImageObjects, two: ImageObjects) -> bool:
    return (
        one.ids.tolist() == two.ids.tolist()
        and one.boxes.tolist() == two.boxes.tolist()
        and all(map(np.array_equal, one.crops, two.crops))
        and one.by_source() == two.by_source()
    )


# One thing, two outlines


def test_sams_outline_of_the_same_thing_takes_the_regions_place():
    rough, fine, other = box(20, 20, 50, 50), disc(35, 35, 15), box(60, 80, 75, 110)
    found = joined(regions(rough, other), by_sam(fine))
    assert equal(found["sam"], fine)
    assert equal(found["superpixel"], other)


@pytest.mark.parametrize(
    ("score", "stability"), [(0.8, 0.97), (0.95, 0.8), (float("nan"), 0.97), (0.95, float("nan"))]
)
def test_sam_is_not_followed_where_it_is_unsure(score: float, stability: float):
    classical = regions(box(20, 20, 50, 50))
    unsure = by_sam(disc(35, 35, 15), score=score, stability=stability)
    assert same(join(classical, unsure, UM, JoinSettings()), classical)


def test_how_sure_is_a_setting():
    classical, sam = regions(box(20, 20, 50, 50)), by_sam(disc(35, 35, 15), score=0.6)
    assert join(classical, sam, UM, JoinSettings(least_score=0.5)).by_source() == {"sam": 1}


@pytest.mark.parametrize("empty", ["classical", "sam", "both"])
def test_where_one_maker_found_nothing_the_other_counts(empty: str):
    mask = disc(40, 60, 20)
    classical = regions() if empty in ("classical", "both") else regions(mask)
    sam = by_sam() if empty in ("sam", "both") else by_sam(mask)
    found = join(classical, sam, UM, JoinSettings())
    sources = {"classical": {"sam": 1}, "sam": {"superpixel": 1}, "both": {}}
    assert found.by_source() == sources[empty]
    assert len(found) == 0 or np.array_equal(found.full_mask(0), mask)


# Parts and wholes


def test_a_nucleus_does_not_break_the_region_around_it():
    tissue = box(10, 10, 70, 110)
    nuclei = [disc(y, x, 4) for y in (20, 40, 60) for x in (30, 60, 90)]
    classical = regions(tissue)
    assert same(join(classical, by_sam(*nuclei), UM, JoinSettings()), classical)


def test_a_part_of_a_round_thing_does_not_break_it():
    whole = disc(40, 60, 30)
    classical = regions(whole)
    part = whole & box(10, 30, 35, 90)
    assert part.sum() < 0.5 * whole.sum()
    assert same(join(classical, by_sam(part), UM, JoinSettings()), classical)


def test_two_masks_part_a_region_that_they_fill():
    left, right = disc(40, 40, 20), disc(40, 79, 20)
    merged = left | right | box(36, 40, 44, 79)
    found = joined(regions(merged), by_sam(left, right))
    assert equal(found["sam"], left, right)
    assert found["superpixel"] == []


def test_one_mask_parts_a_region_at_its_neck_and_the_rest_stays():
    small, large = disc(40, 22, 14), disc(40, 66, 27)
    neck = box(38, 34, 42, 42)
    found = joined(regions(small | neck | large), by_sam(small))
    assert equal(found["sam"], small)
    assert equal(found["superpixel"], (large | neck) & ~small)


def test_a_rounder_mask_merges_the_pieces_that_it_covers():
    whole = disc(40, 60, 25)
    pieces = [whole & box(0, 0, 40, 60), whole & box(0, 60, 40, 120), whole & box(40, 0, 80, 120)]
    whole_again = disc(40, 60, 26)
    found = joined(regions(*pieces), by_sam(whole_again))
    assert equal(found["sam"], whole_again)
    assert found["superpixel"] == []


def cells(spacing: int) -> list[BoolMask]:
    """Discs in rows: what adipocytes are to tissue."""
    return [
        disc(y, x, spacing / 2.6)
        for y in range(spacing // 2, SHAPE[0], spacing)
        for x in range(spacing // 2, SHAPE[1], spacing)
    ]


@pytest.mark.parametrize("what", ["everything", "tissue", "all discs"])
def test_a_mask_of_all_there_is_stands_for_nothing(what: str):
    discs = cells(20)
    white = np.any(discs, axis=0)
    tissue = [~white & box(0, x, 80, x + 30) for x in range(0, 120, 30)]
    classical = regions(*discs, *tissue)
    masks = {"everything": np.ones(SHAPE, np.bool_), "tissue": ~white, "all discs": white}
    assert same(join(classical, by_sam(masks[what]), UM, JoinSettings()), classical)


def test_a_mask_of_the_tissue_counts_where_sam_sees_the_things_in_it_too():
    discs = cells(20)
    white = np.any(discs, axis=0)
    tissue = [~white & box(0, x, 80, x + 30) for x in range(0, 120, 30)]
    found = joined(regions(*discs, *tissue), by_sam(~white, *discs))
    assert equal(found["sam"], ~white, *discs)
    assert found["superpixel"] == []


@pytest.mark.parametrize(("um", "parted"), [(1.0, False), (2.0, True)])
def test_a_round_thing_in_ragged_ground_is_one_from_some_size_on(um: float, parted: bool):
    discs = cells(20)[:9]
    ragged = ~np.any(discs, axis=0) & box(0, 0, 80, 118)
    inside = disc(60, 100, 7)
    assert (ragged & inside).sum() == inside.sum() < 0.1 * ragged.sum()
    found = join(regions(ragged, *discs), by_sam(inside, *discs), um, JoinSettings())
    assert found.by_source() == {"superpixel": 1, "sam": 9 + parted}
    assert np.array_equal(found.full_mask(0), ragged & ~inside if parted else ragged)


# Ground


def test_what_nobody_claims_is_added():
    classical = regions(box(0, 0, 30, 30))
    added = disc(55, 90, 12)
    found = joined(classical, by_sam(added))
    assert equal(found["superpixel"], box(0, 0, 30, 30))
    assert equal(found["sam"], added)


def test_a_region_gives_up_the_ground_that_sam_drew_for_its_neighbour():
    one, two = box(10, 10, 50, 50), box(10, 50, 50, 90)
    wide = box(10, 10, 50, 58)
    found = joined(regions(one, two), by_sam(wide))
    assert equal(found["sam"], wide)
    assert equal(found["superpixel"], two & ~wide)


def test_a_rim_that_is_left_of_a_region_goes():
    found = joined(regions(disc(40, 60, 30)), by_sam(disc(40, 60, 23)))
    assert len(found["sam"]) == 1
    assert found["superpixel"] == []


def test_regions_that_nobody_touched_keep_everything():
    scored = objects_from_masks(
        "x", SHAPE, [((0, 0), box(0, 0, 9, 9)), ((0, 0), disc(50, 50, 9))], [0.25, 0.5], [0.5, 1.0]
    )
    both = join(scored, by_sam(disc(20, 90, 12)), UM, JoinSettings())
    assert both.ids.tolist() == [1, 2, 3]
    assert both.scores.tolist() == [0.25, 0.5, np.float32(0.95)]
    assert both.stability.tolist() == [0.5, 1.0, np.float32(0.97)]


def test_solidity_counts_holes_and_bays():
    ring = disc(40, 60, 30) & ~disc(40, 60, 15)
    assert solidity(disc(40, 60, 30)) > 0.97
    assert solidity(ring) == pytest.approx(0.75, abs=0.02)
    assert solidity(box(5, 5, 65, 15) | box(55, 5, 65, 65)) < 0.65
    assert solidity(np.zeros((3, 3), np.bool_)) == 0.0


# Fields with truth


@dataclass(frozen=True)
class RightSam:
    """Answers each region with the true thing under its middle, then adds what it was not asked.

    Tissue is one thing.
    """

    truth: Phantom
    name: str = "sam"
    fingerprint: str = "right"

    def propose(self, appearance: Appearance, watch: Stopwatch | None = None) -> ImageObjects:
        return self.propose_from(appearance, regions(), watch)

    def propose_from(
        self, appearance: Appearance, regions: ImageObjects, watch: Stopwatch | None = None
    ) -> ImageObjects:
        things = true_things(self.truth)
        asked = [int(things[middle(where, crop)]) for where, crop in regions]
        seen = dict.fromkeys([*asked, *np.unique(self.truth.instances).tolist()])
        tissue = self.truth.classes == CELL
        masks = [things == value if value else tissue for value in seen]
        return by_sam(*masks)


def true_things(truth: Phantom) -> NDArray[np.int64]:
    """Instances, pieces of background, and 0 for tissue."""
    things = truth.instances.astype(np.int64)
    pieces, _ = ndimage.label(truth.classes == 0)
    return np.where(pieces > 0, pieces + things.max(), things)


def middle(where: tuple[slice, slice], crop: BoolMask) -> tuple[int, int]:
    depth = ndimage.distance_transform_edt(np.pad(crop, 1))[1:-1, 1:-1]
    y, x = np.unravel_index(depth.argmax(), depth.shape)
    return where[0].start + int(y), where[1].start + int(x)


def best_overlaps(truth: Phantom, objects: ImageObjects) -> list[float]:
    """Best IoU of any object with each adipocyte and each piece of bone."""
    true = objects_from_masks(
        "x",
        objects.shape,
        [((0, 0), truth.instances == n) for n in np.unique(truth.instances)[1:]],
    )
    areas, found = objects.areas(), []
    for true_box, true_crop in zip(true.boxes, true.crops, strict=True):
        meet = (objects.boxes[:, :2] < true_box[2:]) & (objects.boxes[:, 2:] > true_box[:2])
        size, best = np.count_nonzero(true_crop), 0.0
        for at in np.flatnonzero(meet.all(axis=1)):
            shared = intersection(true_box, true_crop, objects.boxes[at], objects.crops[at])
            best = max(best, shared / (size + areas[at] - shared))
        found.append(best)
    return found


def adipocytes(truth: Phantom, classes: np.ndarray, instances: np.ndarray) -> NDArray[np.int64]:
    """Adipocytes found with an IoU over 0.5, true ones, given ones."""
    true = np.where(truth.classes == FAT, truth.instances, 0)
    given = np.where(classes == FAT, instances, 0)
    sizes = np.bincount(given.ravel())
    hits = 0
    for value in np.unique(true)[1:]:
        under = np.bincount(given[true == value], minlength=len(sizes))
        union = np.count_nonzero(true == value) + sizes - under
        hits += bool((under[1:] / union[1:] > 0.5).any())
    return np.array([hits, len(np.unique(true)) - 1, np.count_nonzero(sizes[1:])])


@dataclass(frozen=True)
class JoinMeasured:
    overlap: float
    f1: float
    dice: float


def measure(truths: Sequence[Phantom], proposals: Sequence[ImageObjects]) -> JoinMeasured:
    """Mean best IoU of the proposals; F1 and mean Dice of the rough annotations from them."""
    pairs = list(zip(truths, proposals, strict=True))
    seen = [
        describe_image(Appearance(truth.image), Proposals("", found), SETTINGS)
        for truth, found in pairs
    ]
    model = fit_seed(concatenate([described.table for described in seen]), SETTINGS.seed)
    overlaps, counts = [], np.zeros(3, np.int64)
    matrix = np.zeros((4, 5), np.int64)
    for (truth, found), described in zip(pairs, seen, strict=True):
        given = classify_image(described, model, SETTINGS).label_maps
        overlaps += best_overlaps(truth, found)
        counts += adipocytes(truth, given.classes, given.instances)
        cells = truth.classes.astype(np.int64) * 5 + np.minimum(given.classes, 4)
        matrix += np.bincount(cells.ravel(), minlength=20).reshape(4, 5)
    both = matrix.sum(axis=1) + matrix[:, :4].sum(axis=0)
    dice = 2 * np.diagonal(matrix) / both
    return JoinMeasured(
        float(np.mean(overlaps)), float(2 * counts[0] / counts[1:].sum()), float(dice.mean())
    )


@pytest.fixture(scope="module")
def truths() -> list[Phantom]:
    # The demonstration's six: every magnification, bone, slide, stained and folded fat.
    made = [make_phantom(settings) for settings in phantom_set(6, (320, 480))]
    assert all((truth.classes == code).any() for code in (FAT, CELL) for truth in made)
    assert any((truth.classes == BONE).any() for truth in made)
    return made


@pytest.fixture(scope="module")
def classical(truths: list[Phantom]) -> list[ImageObjects]:
    return [SuperpixelProposer().propose(Appearance(truth.image)) for truth in truths]


@pytest.mark.slow
def test_with_a_sam_that_is_right_joining_is_never_worse_than_either(truths, classical):
    sams = [RightSam(truth) for truth in truths]
    alone = [
        s.propose_from(Appearance(t.image), c)
        for s, t, c in zip(sams, truths, classical, strict=True)
    ]
    both = [
        JoinedProposer(SuperpixelProposer(), sam).propose(Appearance(truth.image))
        for sam, truth in zip(sams, truths, strict=True)
    ]
    ours = measure(truths, both)
    for other in (measure(truths, classical), measure(truths, alone)):
        assert ours.overlap >= other.overlap - 0.001
        assert ours.f1 >= other.f1
        assert ours.dice >= other.dice - 0.002


@pytest.mark.slow
@pytest.mark.parametrize("score", [0.6, 0.95])
def test_with_a_sam_that_finds_one_mask_of_everything_nothing_is_lost(classical, score: float):
    for found in classical:
        all_of_it = by_sam(np.ones(found.shape, np.bool_), score=score)
        assert same(join(found, all_of_it, UM, JoinSettings()), found)


@pytest.mark.slow
def test_with_a_sam_that_cuts_along_its_tokens_and_doubts_it_nothing_is_lost(truths, classical):
    for truth, found in zip(truths, classical, strict=True):
        rows, columns = np.indices(found.shape) // 32
        tokens = rows * 100 + columns
        white = truth.classes == FAT
        cut = [white & (tokens == n) for n in np.unique(tokens[white])]
        unsure = by_sam(*cut, score=0.6, stability=0.7)
        assert same(join(found, unsure, UM, JoinSettings()), found)


@pytest.mark.slow
def test_with_a_sam_that_sees_nothing_but_nuclei_no_outline_is_lost(truths, classical):
    for truth, found in zip(truths, classical, strict=True):
        rows, columns = np.indices(found.shape)
        nuclei = []
        for where, crop in found:
            y, x = middle(where, crop)
            depth = ndimage.distance_transform_edt(np.pad(crop, 1)).max()
            nuclei.append((rows - y) ** 2 + (columns - x) ** 2 < max(2.0, 0.3 * depth) ** 2)
        both = join(found, by_sam(*nuclei), UM, JoinSettings())
        before, after = (np.mean(best_overlaps(truth, o)) for o in (found, both))
        assert after >= before - 0.01


# The proposer


@pytest.mark.slow
def test_the_proposer_tells_its_stages_and_answers_for_both_makers(truths):
    truth = truths[1]
    watch = Stopwatch()
    proposer = JoinedProposer(SuperpixelProposer(), RightSam(truth))
    found = proposer.propose(Appearance(truth.image), watch)
    assert proposer.name == "auto"
    assert {"superpixel", "join"} <= watch.seconds.keys()
    assert found.by_source()["sam"] > 0
    assert same(proposer.propose(Appearance(truth.image)), found)


def test_the_fingerprint_is_that_of_all_that_shapes_the_result(truths):
    sources = [
        JoinedProposer(SuperpixelProposer(), RightSam(truths[0], fingerprint=sam), settings)
        for sam in ("a", "b")
        for settings in (JoinSettings(), JoinSettings(least_score=0.5))
    ]
    assert len({maker.fingerprint for maker in sources}) == 4

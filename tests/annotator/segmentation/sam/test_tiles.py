from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from support.drawn_tiles import (
    adipocytes,
    agreements,
    apart,
    bar,
    disc,
    overlap,
    scattered,
    seen,
    wave,
)

from annotator.core.objects import BoolMask
from annotator.segmentation.sam.masks import Candidate, pack
from annotator.segmentation.sam.tile_seams import SeamSettings
from annotator.segmentation.sam.tiles import Tile, merge_tiles, tiles

SHAPE = (120, 200)
# Two tiles that share the columns 80 to 120.
LEFT, RIGHT = Tile((0, 0, 120, 120)), Tile((80, 0, 200, 120))


def candidate(
    mask: BoolMask, tile: Tile | None = None, score: float = 0.9, stability: float = 0.9
) -> Candidate:
    """A drawn mask, or what a tile shows of it, as one object."""
    x0, y0, x1, y1 = tile.box if tile else (0, 0, mask.shape[1], mask.shape[0])
    made = pack(mask[y0:y1, x0:x1], score, stability, (x0 + 1.0, y0 + 1.0), (y0, x0))
    assert made is not None
    return made


def merged(left: list[Candidate], right: list[Candidate]) -> list[Candidate]:
    return merge_tiles([(LEFT, left), (RIGHT, right)], SHAPE)


def same(found: Candidate, mask: BoolMask) -> bool:
    return overlap(found, candidate(mask)) == 1


SHAPES = [(300, 400), (100, 700), (700, 100), (257, 511), (161, 160), (1, 900)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("side", "least"), [(160, 0), (160, 48), (97, 33)])
def test_tiles_cover_all_and_share_enough(shape: tuple[int, int], side: int, least: int) -> None:
    count = np.zeros(shape, int)
    made = tiles(shape, side, least)
    for tile in made:
        count[tile.where] += 1
        x0, y0, x1, y1 = tile.box
        assert (y1 - y0, x1 - x0) == (min(side, shape[0]), min(side, shape[1]))
    assert count.min() >= 1
    for axis in (0, 1):
        starts = sorted({tile.box[axis] for tile in made})
        steps = np.diff(starts)
        assert all(steps <= side - least)
        assert len(steps) == 0 or steps.max() - steps.min() <= 1


def test_an_image_that_fits_is_one_tile() -> None:
    assert tiles((640, 1024), 1024, 128) == (Tile((0, 0, 1024, 640)),)
    assert len(tiles((640, 1025), 1024, 128)) == 2


def test_tiles_come_row_by_row() -> None:
    made = tiles((300, 400), 160, 48)
    assert list(made) == sorted(made, key=lambda tile: (tile.box[1], tile.box[0]))


@pytest.mark.parametrize(("side", "least"), [(100, 100), (100, 120), (100, -1), (0, 0)])
def test_an_overlap_that_leaves_no_way_forward_is_refused(side: int, least: int) -> None:
    with pytest.raises(ValueError, match=f"{least}.*{side}"):
        tiles((300, 300), side, least)


FIELDS = {
    "adipocytes wall to wall": lambda shape: adipocytes(shape, 37),
    "adipocytes with walls": lambda shape: adipocytes(shape, 45, 2),
    "long trabeculae": lambda shape: [wave(shape, 0.3, 12), wave(shape, 0.7, 7)],
    "nested": lambda shape: [
        disc(shape, 100, 90, 70),
        disc(shape, 85, 90, 30),
        disc(shape, 125, 90, 9),
        disc(shape, 76, 90, 12),
    ],
    "wider than a tile": lambda shape: [bar(shape, (10, 20, shape[1] - 10, 80))],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("shape", [(150, 320), (340, 150), (161, 161)])
@pytest.mark.parametrize(("side", "least"), [(1000, 40), (160, 48), (110, 40)])
def test_every_object_comes_out_once_and_whole(
    name: str, shape: tuple[int, int], side: int, least: int
) -> None:
    truth = FIELDS[name](shape)
    draw = np.random.default_rng(0)
    found = merge_tiles(((t, seen(truth, t, draw)) for t in tiles(shape, side, least)), shape)
    assert len(found) == len(truth)
    assert min(agreements(truth, found)) == 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_the_objects_do_not_depend_on_the_tiling(seed: int) -> None:
    shape = (180, 260)
    truth = apart(scattered(shape, 14, seed), 0.5)
    draw = np.random.default_rng(seed)
    for side, least in ((500, 0), (150, 50), (120, 30), (90, 40)):
        found = merge_tiles(((t, seen(truth, t, draw)) for t in tiles(shape, side, least)), shape)
        assert len(found) == len(truth)
        assert min(agreements(truth, found)) >= 0.98


@pytest.mark.parametrize("name", ["adipocytes with walls", "nested"])
def test_outlines_that_differ_by_a_pixel_still_meet(name: str) -> None:
    shape = (150, 320)
    truth = [mask for mask in FIELDS[name](shape) if mask.sum() > 1000]
    draw = np.random.default_rng(1)
    shaken = ((tile, seen(truth, tile, draw, 1)) for tile in tiles(shape, 110, 40))
    found = merge_tiles(shaken, shape)
    assert len(found) == len(truth)
    assert min(agreements(truth, found)) > 0.8


def test_outlines_of_trabeculae_that_differ_by_a_pixel_still_meet() -> None:
    shape = (150, 320)
    truth = [wave(shape, 0.3, 16), wave(shape, 0.7, 14)]
    draw = np.random.default_rng(2)
    shaken = ((tile, seen(truth, tile, draw, 1)) for tile in tiles(shape, 150, 48))
    found = merge_tiles(shaken, shape)
    assert len(found) == 2
    assert min(agreements(truth, found)) > 0.7


def test_the_order_within_a_tile_does_not_matter() -> None:
    shape = (180, 260)
    truth = apart(scattered(shape, 12, 9), 0.5)
    shown = [(t, seen(truth, t, np.random.default_rng(5), 1)) for t in tiles(shape, 110, 40)]
    turned = [(tile, found[::-1]) for tile, found in shown]
    assert _plain(merge_tiles(shown, shape)) == _plain(merge_tiles(turned, shape))


def test_equal_scores_leave_an_order_that_is_of_the_objects() -> None:
    masks = [disc(SHAPE, x, y, 12) for x in (20, 100, 150) for y in (20, 50, 90)]
    shown = [[candidate(m, t) for m in masks if m[t.where].any()] for t in (LEFT, RIGHT)]
    turned = [found[::-1] for found in shown]
    assert _plain(merged(*shown)) == _plain(merged(*turned))


def _plain(found: list[Candidate]) -> list[tuple[object, ...]]:
    return [(c.box, c.crop.tobytes(), c.score, c.stability, c.point) for c in found]


def test_one_tile_comes_back_as_it_was() -> None:
    twice = [candidate(disc(SHAPE, 50, 50, 20), score=s) for s in (0.8, 0.9)]
    assert merge_tiles([(Tile((0, 0, 200, 120)), twice)], SHAPE) == twice


def test_nothing_found_is_nothing() -> None:
    assert merged([], []) == []
    assert merge_tiles([], SHAPE) == []


def test_a_tile_is_asked_for_only_when_the_one_before_is_done() -> None:
    log: list[str] = []

    class Watched(list[Candidate]):
        def __iter__(self) -> Iterator[Candidate]:
            log.append("read")
            return super().__iter__()

    def streamed() -> Iterator[tuple[Tile, list[Candidate]]]:
        for tile in (LEFT, RIGHT):
            log.append("made")
            yield tile, Watched([candidate(disc(SHAPE, 100, 60, 40), tile)])

    merge_tiles(streamed(), SHAPE)
    assert log == ["made", "read", "made", "read"]


def test_a_union_has_the_mean_score_by_area_and_the_least_stability() -> None:
    mask = bar(SHAPE, (60, 40, 200, 60))
    left = candidate(mask, LEFT, 0.9, 0.95)
    right = candidate(mask, RIGHT, 0.96, 0.91)
    (whole,) = merged([left], [right])
    assert same(whole, mask)
    # 60 columns on the left, 120 on the right.
    assert whole.score == pytest.approx((60 * 0.9 + 120 * 0.96) / 180)
    assert whole.stability == 0.91
    assert whole.point == right.point


def test_the_whole_outline_stands_for_the_part_that_lies_in_it() -> None:
    mask = bar(SHAPE, (90, 40, 150, 60))
    part = candidate(bar(SHAPE, (90, 39, 150, 60)), LEFT, 0.99)
    whole = candidate(mask, RIGHT, 0.8, 0.85)
    (found,) = merged([part], [whole])
    assert same(found, mask)
    assert (found.score, found.stability, found.point) == (0.8, 0.85, whole.point)


def test_a_part_that_does_not_lie_in_the_whole_adds_to_it() -> None:
    part = bar(SHAPE, (90, 35, 150, 60))
    whole = bar(SHAPE, (90, 40, 150, 60))
    (found,) = merged([candidate(part, LEFT)], [candidate(whole, RIGHT)])
    assert same(found, whole | (part & (np.arange(200) < 120)))


def test_of_two_whole_views_the_better_score_stays() -> None:
    views = [disc(SHAPE, 100, 60, 12), disc(SHAPE, 101, 60, 12)]
    for scores in ((0.9, 0.8), (0.8, 0.9)):
        left, right = (candidate(m, score=s) for m, s in zip(views, scores, strict=True))
        assert merged([left], [right]) == [max(left, right, key=lambda c: c.score)]


def test_whole_views_that_overlap_less_both_stay() -> None:
    views = [disc(SHAPE, 96, 60, 12), disc(SHAPE, 104, 60, 12)]
    assert len(merged([candidate(views[0])], [candidate(views[1])])) == 2


def test_a_cut_object_without_a_counterpart_stays() -> None:
    part = candidate(bar(SHAPE, (20, 40, 180, 60)), LEFT)
    far = candidate(bar(SHAPE, (150, 80, 170, 100)), RIGHT)
    assert merged([part], [far]) == [part, far]


def test_neighbours_along_a_seam_are_not_joined() -> None:
    upper, lower = bar(SHAPE, (60, 20, 150, 60)), bar(SHAPE, (60, 60, 150, 100))
    found = merged([candidate(upper, LEFT)], [candidate(lower, RIGHT)])
    assert sorted(c.box for c in found) == [(60, 20, 120, 60), (80, 60, 150, 100)]


def test_nested_objects_meet_their_own_level() -> None:
    outer, inner = disc(SHAPE, 100, 60, 55), disc(SHAPE, 100, 60, 42)
    shown = [[candidate(m, t) for m in (outer, inner)] for t in (LEFT, RIGHT)]
    found = merged(*shown)
    assert len(found) == 2
    assert {max(overlap(f, candidate(m)) for f in found) for m in (outer, inner)} == {1.0}


def test_what_lies_in_a_cut_object_is_not_taken_for_its_other_half() -> None:
    bone = candidate(bar(SHAPE, (0, 40, 180, 70)), LEFT)
    # Fills most of the strip; the neighbour has missed the bone itself.
    cell = candidate(bar(SHAPE, (86, 42, 130, 68)), RIGHT)
    found = merged([bone], [cell])
    assert sorted(c.box for c in found) == [bone.box, cell.box]


def test_an_arch_whose_legs_cross_the_seam_is_one() -> None:
    arch = bar(SHAPE, (30, 20, 150, 100)) & ~bar(SHAPE, (50, 40, 150, 80))
    truth, draw = [arch], np.random.default_rng(0)
    shown = [seen(truth, tile, draw) for tile in (LEFT, RIGHT)]
    assert [len(found) for found in shown] == [1, 2]
    (found,) = merged(*shown)
    assert same(found, arch)


def test_a_common_speck_joins_nothing() -> None:
    speck = bar(SHAPE, (100, 5, 108, 13))
    upper, lower = bar(SHAPE, (60, 20, 150, 50)) | speck, bar(SHAPE, (60, 60, 150, 100)) | speck
    assert len(merged([candidate(upper, LEFT)], [candidate(lower, RIGHT)])) == 2


@pytest.mark.parametrize("reach", range(1, 13))
def test_a_remainder_of_any_width_is_no_object_of_its_own(reach: int) -> None:
    mask = disc(SHAPE, 120 - reach + 30, 60, 30)
    (found,) = merged([candidate(mask, LEFT)], [candidate(mask, RIGHT)])
    assert same(found, mask)


@pytest.mark.parametrize("box", [(114, 55, 119, 66), (118, 50, 120, 70)])
def test_a_sliver_beside_its_object_goes_with_it(box: tuple[int, int, int, int]) -> None:
    whole = candidate(disc(SHAPE, 146, 60, 28))
    assert merged([candidate(bar(SHAPE, box))], [whole]) == [whole]


def test_nobody_else_takes_the_place_of_a_remnant() -> None:
    # The left tile shows a sliver of `long`, and the neighbour `other` of like shape there.
    long, other = bar(SHAPE, (113, 30, 170, 70)), bar(SHAPE, (108, 30, 120, 72))
    found = merged([candidate(long, LEFT), candidate(other)], [candidate(long, RIGHT)])
    assert max(overlap(f, candidate(long)) for f in found) == 1


def test_a_sliver_that_nobody_else_shows_stays() -> None:
    sliver = candidate(bar(SHAPE, (117, 55, 120, 66)))
    far = candidate(disc(SHAPE, 170, 60, 20))
    assert len(merged([sliver], [far])) == 2


def test_masks_that_stop_short_of_the_edge_are_joined() -> None:
    mask = bar(SHAPE, (20, 40, 180, 60))
    left, right = bar(SHAPE, (20, 40, 117, 60)), bar(SHAPE, (84, 40, 180, 60))
    (found,) = merged([candidate(left)], [candidate(right)])
    assert same(found, mask)


def test_an_object_over_four_tiles_is_one() -> None:
    shape = (160, 160)
    mask = disc(shape, 80, 80, 70)
    quarters = [(t, [candidate(mask, t)]) for t in tiles(shape, 100, 40)]
    assert len(quarters) == 4
    for order in itertools.permutations(quarters):
        (found,) = merge_tiles(order, shape)
        assert overlap(found, candidate(mask)) == 1


def test_duplicates_within_a_tile_do_not_stay_behind() -> None:
    mask = bar(SHAPE, (20, 40, 180, 60))
    doubles = [candidate(mask, LEFT, score) for score in (0.9, 0.85, 0.8)]
    (found,) = merged(doubles, [candidate(mask, RIGHT)])
    assert same(found, mask)


def test_settings_decide_how_much_must_agree() -> None:
    left, right = bar(SHAPE, (20, 30, 180, 60)), bar(SHAPE, (20, 40, 180, 70))
    shown = [(LEFT, [candidate(left, LEFT)]), (RIGHT, [candidate(right, RIGHT)])]
    assert len(merge_tiles(shown, SHAPE)) == 1
    assert len(merge_tiles(shown, SHAPE, replace(SeamSettings(), agreement=0.6))) == 2

from __future__ import annotations

import numpy as np
import pytest
from support.drawn_tiles import bar, disc

from annotator.core.errors import SettingsError
from annotator.segmentation.sam.masks import Candidate, pack
from annotator.segmentation.sam.tile_seams import (
    SeamSettings,
    TileObject,
    agreeing,
    covered,
    is_remnant,
    moved,
    view_of,
    window,
)

SHAPE = (120, 200)
LEFT, RIGHT = (0, 0, 120, 120), (80, 0, 200, 120)
SETTINGS = SeamSettings()


def made(box: tuple[int, int, int, int]) -> Candidate:
    candidate = pack(bar(SHAPE, box), 0.9, 0.9, (box[0], box[1]))
    assert candidate is not None
    return candidate


def view(box: tuple[int, int, int, int], tile: tuple[int, int, int, int] = LEFT) -> TileObject:
    return view_of(made(box), tile, SHAPE, SETTINGS.touch)


@pytest.mark.parametrize(
    ("box", "edges"),
    [
        ((0, 0, 20, 120), (False, False, False, False)),
        ((50, 50, 115, 60), (False, False, False, False)),
        ((50, 50, 116, 60), (False, False, True, False)),
        ((50, 50, 120, 60), (False, False, True, False)),
    ],
)
def test_only_edges_beyond_which_the_image_goes_on_cut(
    box: tuple[int, int, int, int], edges: tuple[bool, ...]
) -> None:
    assert view(box).edges == edges
    assert view(box).cut == any(edges)
    assert view(box).area == (box[2] - box[0]) * (box[3] - box[1])


def test_a_tile_in_the_middle_cuts_on_all_sides() -> None:
    found = view_of(made((40, 30, 80, 60)), (40, 30, 80, 60), SHAPE, 0)
    assert found.edges == (True, True, True, True)
    assert view_of(made((41, 31, 79, 59)), (40, 30, 80, 60), SHAPE, 0).edges == (False,) * 4


@pytest.mark.parametrize(
    ("box", "remnant"),
    [
        ((112, 20, 120, 100), True),
        ((111, 20, 120, 100), False),
        ((20, 20, 120, 24), False),
        ((111, 20, 120, 23), True),
        ((50, 20, 53, 23), False),
    ],
)
def test_remnants_are_thin_or_tiny_and_cut(box: tuple[int, int, int, int], remnant: bool) -> None:
    assert is_remnant(view(box), SETTINGS) == remnant


def test_a_remnant_goes_only_where_the_other_tile_sees_all_of_it_and_more() -> None:
    sliver, larger = view((116, 20, 120, 60)), view((116, 20, 160, 60), RIGHT)
    assert covered([sliver], [larger], SETTINGS) == {0}
    assert covered([sliver], [view((160, 20, 190, 60), RIGHT)], SETTINGS) == set()
    assert covered([sliver], [view((116, 20, 120, 60), RIGHT)], SETTINGS) == set()
    beyond = view_of(made((118, 20, 160, 60)), (118, 0, 200, 120), SHAPE, SETTINGS.touch)
    assert covered([sliver], [beyond], SETTINGS) == set()
    assert covered([sliver], [], SETTINGS) == set()


def test_tiles_that_share_nothing_agree_on_nothing() -> None:
    far = view_of(made((150, 20, 200, 60)), (140, 0, 200, 120), SHAPE, SETTINGS.touch)
    assert agreeing([view((20, 20, 120, 60))], [far], SETTINGS) == []


@pytest.mark.parametrize(("top", "pairs"), [(40, []), (66, [(0, 0)])])
def test_what_fills_a_shared_corner_says_nothing(top: int, pairs: list[tuple[int, int]]) -> None:
    upper = view_of(made((20, top, 120, 80)), (0, 0, 120, 80), SHAPE, SETTINGS.touch)
    lower = view_of(made((80, top, 170, 80)), (80, 40, 200, 120), SHAPE, SETTINGS.touch)
    assert agreeing([upper], [lower], SETTINGS) == pairs


def test_the_best_agreement_is_paired_first() -> None:
    cut = [view((20, 20, 120, 60)), view((20, 20, 120, 50))]
    other = [view((80, 20, 170, 51), RIGHT), view((80, 20, 170, 60), RIGHT)]
    assert agreeing(cut, other, SETTINGS) == [(0, 1), (1, 0)]


def test_of_equal_agreement_the_larger_are_paired() -> None:
    cut = [view((60, 20, 120, 60)), view((20, 20, 120, 60))]
    assert agreeing(cut, [view((80, 20, 170, 60), RIGHT)], SETTINGS) == [(1, 0)]


def test_two_whole_objects_are_no_pair() -> None:
    assert agreeing([view((90, 20, 110, 60))], [view((90, 20, 110, 60), RIGHT)], SETTINGS) == []


def test_a_window_reaches_beyond_the_mask() -> None:
    mask = disc(SHAPE, 100, 60, 20)
    candidate = pack(mask, 1.0, 1.0, (0.0, 0.0))
    assert candidate is not None
    assert np.array_equal(window(candidate, (90, 50, 150, 110)), mask[50:110, 90:150])
    assert not window(candidate, (-5, -5, 5, 5)).any()


def test_a_tiles_own_candidate_moves_into_the_image() -> None:
    there = moved(made((3, 4, 10, 12)), 80, 30)
    assert (there.box, there.point) == ((83, 34, 90, 42), (83, 34))
    assert there.crop.all()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("agreement", 0),
        ("agreement", 1.1),
        ("duplicate", -0.1),
        ("inside", 0),
        ("touch", -1),
        ("least_pixels", 0),
        ("agreement", float("nan")),
    ],
)
def test_settings_out_of_bounds_are_refused(name: str, value: float) -> None:
    with pytest.raises(SettingsError, match=rf"seams\.{name}"):
        SeamSettings(**{name: value})  # type: ignore[arg-type]

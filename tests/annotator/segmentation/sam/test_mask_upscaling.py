"""Crops against full frames: what the package does with every mask, on the whole image."""

import sys
from dataclasses import dataclass
from types import ModuleType

import numpy as np
import pytest
import torch
from support.resizing import LONGEST, LOW, package_resize, pair, resize_rounding, smooth
from support.stock_sam import stock_generator

from annotator.segmentation.sam import mask_upscaling
from annotator.segmentation.sam.mask_upscaling import (
    MaskRule,
    MaskWindow,
    WindowMask,
    cut,
    find_windows,
    groups,
)
from annotator.segmentation.sam.mask_upscaling_matrices import Resize, identity
from annotator.segmentation.sam.masks import Candidate
from annotator.segmentation.sam.model import fit_longest

RULE = MaskRule(stability_score_thresh=0.8, stability_score_offset=1.0)
ALL = MaskRule(stability_score_thresh=0.0, stability_score_offset=1.0)
SHAPES = [(75, 120), (120, 75), (96, 96), (63, 64), (64, 65), (200, 301), (1, 90), (90, 1), (1, 1)]


@dataclass(frozen=True)
class DrawnMask:
    low: torch.Tensor
    scores: torch.Tensor
    owners: torch.Tensor


def drawn(low: torch.Tensor) -> DrawnMask:
    count = len(low)
    return DrawnMask(low, torch.linspace(0.5, 0.9, count), torch.arange(count) // 3)


def points(count: int) -> np.ndarray:
    return np.arange(2.0 * count).reshape(count, 2)


def cut_all(low: torch.Tensor, resize: Resize, rule: MaskRule) -> list[Candidate]:
    height, width = resize.low_shape
    decoded = drawn(low[:, :height, :width])
    return cut(decoded, resize, points(len(low)), rule)


def frame(candidate: Candidate, shape: tuple[int, int]) -> np.ndarray:
    full = np.zeros(shape, bool)
    x0, y0, x1, y1 = candidate.box
    full[y0:y1, x0:x1] = candidate.crop
    return full


@pytest.fixture(scope="module")
def amg() -> ModuleType:
    """The package's own functions for boxes and stability."""
    with stock_generator():
        return sys.modules["segment_anything.utils.amg"]


def bumps(count: int, seed: int) -> torch.Tensor:
    """Smooth logits of all kinds: specks to whole frames, at the borders and empty ones."""
    draw = torch.Generator().manual_seed(seed)
    level = torch.linspace(-14, 6, count)[:, None, None]
    spread = torch.rand(count, generator=draw)[:, None, None] + 0.2
    return smooth((count, LOW, LOW), seed) * spread + level


def expected(
    amg: ModuleType, full: torch.Tensor, rule: MaskRule
) -> list[tuple[int, np.ndarray, list[int], np.float32]]:
    """Index, mask, inclusive box and stability of what the package's steps leave."""
    stability = amg.calculate_stability_score(full, 0.0, rule.stability_score_offset)
    boxes = amg.batched_mask_to_box(full > 0)
    thresh = rule.stability_score_thresh
    passes = stability >= thresh if thresh > 0 else torch.ones(len(full), dtype=torch.bool)
    return [
        (index, (full[index] > 0).numpy(), boxes[index].tolist(), stability[index].numpy())
        for index in range(len(full))
        if passes[index] and bool((full[index] > 0).any())
    ]


def one_together(
    low: torch.Tensor, resize: Resize, window: MaskWindow, offset: float
) -> WindowMask:
    ((_, seen),) = mask_upscaling.upscale_together(low, resize, [window], offset)
    return seen


@pytest.fixture(params=["in strips", "together"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways of upscaling, whatever the device; small parts and groups, so that many arise."""
    if request.param == "together":
        monkeypatch.setattr(mask_upscaling, "upscale_in_strips", one_together)
    monkeypatch.setattr(mask_upscaling, "CACHED_PIXELS", 1500)
    monkeypatch.setattr(mask_upscaling, "PART_WIDTH", 50)
    monkeypatch.setattr(mask_upscaling, "DEVICE_PIXELS", 5000)
    return str(request.param)


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rule", [RULE, ALL, MaskRule(0.6, 0.0), MaskRule(0.9, 3.0)], ids=str)
def test_equals_the_packages_full_frames(
    amg: ModuleType, way: str, shape: tuple[int, int], rule: MaskRule
) -> None:
    low = bumps(60, seed=shape[0])
    full = package_resize(low, LONGEST, fit_longest(shape, LONGEST), shape)
    offset = rule.stability_score_offset
    clear = far_from_thresholds(full, pair(shape), low, offset)
    assert clear.sum() >= 40
    theirs = [e for e in expected(amg, full, rule) if clear[e[0]]]
    ours = [c for c in cut_all(low, pair(shape), rule) if clear[index_of(c, len(low))]]
    assert [index_of(c, len(low)) for c in ours] == [e[0] for e in theirs]
    for candidate, (_, mask, (x0, y0, x1, y1), stability) in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(frame(candidate, shape), mask)
        assert candidate.box == (x0, y0, x1 + 1, y1 + 1)
        assert np.float32(candidate.stability) == stability


def far_from_thresholds(
    full: torch.Tensor, resize: Resize, low: torch.Tensor, offset: float
) -> np.ndarray:
    """Which masks have no pixel that rounding may move across a threshold, (K,) bool."""
    allowed = resize_rounding(resize, low)
    near = torch.stack([(full - v).abs() <= allowed for v in (-offset, 0, offset)]).any(0)
    return ~near.any(dim=(1, 2)).numpy()


def index_of(candidate: Candidate, count: int) -> int:
    return int(np.argmin(np.abs(np.linspace(0.5, 0.9, count) - candidate.score)))


def test_most_of_those_masks_are_compared() -> None:
    low = bumps(60, seed=75)
    found = cut_all(low, pair((75, 120)), ALL)
    areas = [c.crop.sum() for c in found]
    assert len(found) >= 40
    assert min(areas) < 200
    assert max(areas) == 75 * 120
    assert len(cut_all(low, pair((75, 120)), RULE)) in range(10, len(found))


@pytest.mark.parametrize("shape", [(75, 120), (300, 301), (90, 1), (7, 9)])
def test_outside_of_its_window_a_mask_has_nothing(shape: tuple[int, int]) -> None:
    resize = pair(shape)
    low = bumps(60, seed=3)[:, : resize.low_shape[0], : resize.low_shape[1]]
    full = (resize.rows @ low @ resize.columns.T).numpy()
    windows = {w.mask: w for w in find_windows(low, resize, offset=1.0)}
    assert len(windows) >= 30
    for index, logits in enumerate(full):
        if index not in windows:
            assert not (logits > 0).any()
            continue
        rest = logits.copy()
        rest[windows[index].y, windows[index].x] = -np.inf
        assert not (rest > -1.0).any()


def test_windows_are_small_where_masks_are() -> None:
    low = torch.full((2, 32, 32), -8.0)
    low[0, 10, 20] = low[1, 0, 31] = 8.0
    inner, corner = find_windows(low, pair((512, 512)), offset=1.0)
    # A cell is 16 px wide; two resizes let it reach 18 px from its middle.
    assert (inner.y, inner.x) == (slice(150, 186), slice(310, 346))
    assert (inner.low_y, inner.low_x) == (slice(8, 13), slice(18, 23))
    assert corner == MaskWindow(1, slice(0, 26), slice(486, 512), slice(0, 3), slice(29, 32))


def box_of(top: int, left: int, bottom: int, right: int) -> torch.Tensor:
    low = torch.full((1, 20, 30), -8.0)
    low[0, top:bottom, left:right] = 8.0
    return low


DRAWN = {
    "inside": (5, 6, 9, 12),
    "top": (0, 6, 3, 12),
    "left": (5, 0, 9, 4),
    "bottom": (15, 6, 20, 12),
    "right": (5, 20, 9, 30),
    "whole frame": (0, 0, 20, 30),
    "single pixel": (7, 8, 8, 9),
    "single pixel in the last corner": (19, 29, 20, 30),
}


@pytest.mark.parametrize("name", DRAWN)
def test_a_drawn_mask_comes_out_as_it_is(way: str, name: str) -> None:
    top, left, bottom, right = DRAWN[name]
    (candidate,) = cut_all(box_of(*DRAWN[name]), identity((20, 30), "cpu"), RULE)
    assert candidate.box == (left, top, right, bottom)
    assert candidate.crop.all()
    assert candidate.stability == 1
    assert candidate.point == (0.0, 1.0)


@pytest.mark.parametrize("rule", [RULE, ALL], ids=str)
def test_an_empty_mask_is_no_candidate(way: str, rule: MaskRule) -> None:
    for value in (-8.0, -0.5, 0.0):
        low = torch.full((2, 20, 30), value)
        assert cut_all(low, identity((20, 30), "cpu"), rule) == []


def test_no_masks_give_no_candidates(way: str) -> None:
    assert cut_all(torch.zeros(0, 20, 30), identity((20, 30), "cpu"), RULE) == []


def test_a_mask_that_no_pixel_of_the_image_reads_is_empty(way: str) -> None:
    resize = pair((1, 1))
    low = torch.full((1, *resize.low_shape), -8.0)
    low[0, 0, 0] = 8.0
    assert cut_all(low, resize, ALL) == []


@pytest.mark.parametrize("offset", [0.3, 1.0, 7.0])
def test_background_exactly_at_the_offset_is_looked_at(offset: float) -> None:
    # Weights sum to 1 but for rounding, so a pixel of such cells alone may exceed -offset.
    resize = pair((75, 120))
    low = torch.full((1, *resize.low_shape), -offset)
    low[0, 4:9, 7:15] = 8.0
    (whole,) = find_windows(low, resize, offset)
    assert whole.shape == (75, 120)
    (part,) = find_windows(low - 1e-3, resize, offset)
    assert part.shape < (60, 60)


def test_stability_is_compared_in_float32() -> None:
    # 0.7 as float32 lies below 0.7: a double would turn the mask away.
    assert MaskRule(0.7, 1.0).holds(np.float32(0.7))
    assert not MaskRule(0.7, 1.0).holds(np.nextafter(np.float32(0.7), np.float32(0)))
    assert MaskRule(0.0, 1.0).holds(np.float32("nan"))
    assert not MaskRule(0.1, 1.0).holds(np.float32("nan"))


def test_each_mask_keeps_its_score_and_its_prompt() -> None:
    low = torch.cat([box_of(1, 1, 4, 4)] * 4)
    found = cut_all(low, identity((20, 30), "cpu"), RULE)
    np.testing.assert_allclose([c.score for c in found], np.linspace(0.5, 0.9, 4), atol=1e-6)
    assert [c.point for c in found] == [(0.0, 1.0)] * 3 + [(2.0, 3.0)]


def window(height: int, width: int) -> MaskWindow:
    return MaskWindow(0, slice(5, 5 + height), slice(2, 2 + width), slice(0, 1), slice(0, 1))


def test_groups_hold_no_more_than_they_may_and_lose_none() -> None:
    windows = [window(h, 10) for h in (3, 4, 30, 1, 1)]
    assert [[w.shape[0] for w in g] for g in groups(windows, 80)] == [[3, 4], [30], [1, 1]]
    assert list(groups([], 80)) == []


@pytest.mark.parametrize("offset", [0.0, 1.0])
def test_both_ways_of_upscaling_give_the_same(offset: float) -> None:
    resize = pair((96, 150))
    low = bumps(30, seed=8)[:, : resize.low_shape[0], : resize.low_shape[1]].contiguous()
    windows = find_windows(low, resize, offset)
    one = [(w, mask_upscaling.upscale_in_strips(low, resize, w, offset)) for w in windows]
    other = list(mask_upscaling.upscale_together(low, resize, windows, offset))
    full = resize.rows @ low @ resize.columns.T
    clear = far_from_thresholds(full, resize, low, offset)
    assert clear[[w.mask for w in windows]].sum() >= 20
    for (place, seen), (there, again) in zip(one, other, strict=True):
        assert place == there
        if not clear[place.mask]:
            continue
        assert (seen.inner, seen.outer) == (again.inner, again.outer)
        np.testing.assert_array_equal(seen.mask, again.mask)


def test_threads_are_as_before_even_after_an_error() -> None:
    before = torch.get_num_threads()
    with mask_upscaling.one_thread():
        assert torch.get_num_threads() == 1
    with pytest.raises(IndexError):
        cut(drawn(box_of(1, 1, 4, 4)), identity((20, 30), "cpu"), points(0), RULE)
    assert torch.get_num_threads() == before


def test_the_number_of_threads_changes_nothing() -> None:
    resize = pair((96, 150))
    low = bumps(30, seed=8)[:, : resize.low_shape[0], : resize.low_shape[1]].contiguous()
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            found.append(cut(drawn(low), resize, points(len(low)), ALL))
    finally:
        torch.set_num_threads(before)
    assert len(found[0]) >= 20
    assert [vars_of(c) for c in found[0]] == [vars_of(c) for c in found[1]]


def vars_of(candidate: Candidate) -> tuple[object, ...]:
    return candidate.box, candidate.packed, candidate.score, candidate.stability, candidate.point

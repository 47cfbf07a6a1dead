"""Patches: truth turns with the pixels, and what is unknown stays unknown."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from active_learning.network.patches import UNKNOWN, PatchSettings, TruthField, draw_patch
from annotator.core.classes import BONE, CELL, FAT, UNLABELLED

SIDE = 96


def field(instances: bool = True) -> TruthField:
    """Four coloured quarters; two adipocytes that touch in the upper left."""
    codes = np.zeros((400, 600), np.uint8)
    codes[:200, 300:], codes[200:, :300], codes[:200, :300] = CELL, BONE, FAT
    pixels = np.full((400, 600, 3), 240, np.uint8)
    pixels[codes == CELL], pixels[codes == BONE], pixels[codes == FAT] = (
        (120, 60, 160),
        (230, 120, 150),
        (250, 250, 200),
    )
    numbers = np.zeros(codes.shape, np.uint16)
    numbers[:200, :150], numbers[:200, 150:300] = 1, 2
    return TruthField("four", "p1", pixels, codes, numbers if instances else None, 0.5)


PLAIN = PatchSettings(side=SIDE, finest_um=0.5, coarsest_um=2.0, variation="brightness")


@pytest.mark.parametrize("seed", range(8))
def test_pixels_and_classes_are_cut_alike(seed: int):
    patch = draw_patch(field(), PLAIN, np.random.default_rng(seed))
    assert patch.pixels.shape == (SIDE, SIDE, 3)
    assert patch.codes.shape == patch.line.shape == (SIDE // 2, SIDE // 2)
    # Each colour, in whatever light, is nearest to that of its own class.
    colours = np.array([(240, 240, 240), (250, 250, 200), (120, 60, 160), (230, 120, 150)])
    pixels = patch.pixels[::2, ::2].astype(float)
    directions = colours / np.linalg.norm(colours, axis=1, keepdims=True)
    named = (pixels @ directions.T / np.linalg.norm(pixels, axis=2, keepdims=True)).argmax(2)
    known = patch.codes != UNLABELLED
    assert (named == patch.codes)[known].mean() > 0.9


def test_the_line_lies_between_adipocytes_that_touch_and_nowhere_else():
    settings = replace(PLAIN, finest_um=1.0, coarsest_um=1.0)
    codes: list[int] = []
    seen = 0
    for seed in range(20):
        patch = draw_patch(field(), settings, np.random.default_rng(seed))
        on_line = patch.line == 1
        seen += on_line.any()
        if on_line.any():
            assert set(np.unique(patch.codes[on_line])) <= {FAT, CELL, BONE, UNLABELLED}
            codes += patch.codes[on_line].tolist()
            assert on_line.mean() < 0.1
    assert seen >= 3
    # Its ends reach a few pixels into what lies beside the adipocytes.
    assert np.mean(np.array(codes) == FAT) > 0.8


def test_without_instances_the_line_is_unknown_where_there_is_fat():
    lines = [
        (draw_patch(field(instances=False), PLAIN, np.random.default_rng(seed)))
        for seed in range(20)
    ]
    with_fat = [each for each in lines if (each.codes == FAT).any()]
    without = [each for each in lines if not (each.codes == FAT).any()]
    assert with_fat and all((each.line == UNKNOWN).all() for each in with_fat)
    assert without and all((each.line == 0).all() for each in without)


def test_a_field_smaller_than_the_patch_is_mirrored():
    small = TruthField(
        "small",
        "p1",
        np.full((20, 30, 3), 90, np.uint8),
        np.full((20, 30), CELL, np.uint8),
        None,
        0.5,
    )
    patch = draw_patch(small, replace(PLAIN, finest_um=8, coarsest_um=8), np.random.default_rng(0))
    assert (patch.codes == CELL).all()


def test_unknown_pixels_stay_unknown():
    codes = np.full((300, 300), UNLABELLED, np.uint8)
    blank = TruthField("none", "p1", np.zeros((300, 300, 3), np.uint8), codes, None, 0.5)
    patch = draw_patch(blank, PLAIN, np.random.default_rng(0))
    assert (patch.codes == UNLABELLED).all()


def test_stain_varies_and_white_stays_light():
    settings = replace(PLAIN, variation="stain")
    patches = [draw_patch(field(), settings, np.random.default_rng(seed)) for seed in range(12)]
    cells = [
        np.median(p.pixels[::2, ::2][p.codes == CELL], 0)
        for p in patches
        if (p.codes == CELL).any()
    ]
    slide = [np.median(p.pixels[::2, ::2][p.codes == 0]) for p in patches if (p.codes == 0).any()]
    assert np.std(cells, 0).min() > 8
    assert min(slide) > 170


def test_the_same_seed_draws_the_same_patch():
    first, second = (
        draw_patch(field(), PatchSettings(SIDE), np.random.default_rng(5)) for _ in "ab"
    )
    for name in ("pixels", "codes", "line", "depth"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_maps_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r"expected maps of \(400, 600\)"):
        replace(field(), codes=np.zeros((3, 3), np.uint8))


def test_the_depth_is_greatest_in_the_middle_of_an_adipocyte_and_ends_at_its_border():
    numbers = np.zeros((60, 80), np.uint16)
    numbers[10:31, 10:31] = 1
    codes = np.where(numbers > 0, FAT, CELL).astype(np.uint8)
    one = TruthField("one", "p1", np.zeros((60, 80, 3), np.uint8), codes, numbers, 0.5)
    assert one.depth[20, 20] == 254
    assert one.depth[20, 10:21].tolist() == sorted(one.depth[20, 10:21].tolist())
    assert 0 < one.depth[20, 10] < 40
    assert not one.depth[numbers == 0].any()


def test_an_adipocyte_that_the_frame_cuts_is_deep_at_the_frame():
    numbers = np.zeros((60, 80), np.uint16)
    numbers[:20, 30:70] = 1
    codes = np.where(numbers > 0, FAT, CELL).astype(np.uint8)
    one = TruthField("one", "p1", np.zeros((60, 80, 3), np.uint8), codes, numbers, 0.5)
    assert one.depth[0, 50] == 254


def test_the_depth_of_fat_that_has_no_number_is_unknown():
    codes = np.full((60, 80), FAT, np.uint8)
    numbers = np.zeros((60, 80), np.uint16)
    numbers[:, :40] = 1
    one = TruthField("one", "p1", np.zeros((60, 80, 3), np.uint8), codes, numbers, 0.5)
    assert (one.depth[:, 40:] == UNKNOWN).all()
    assert (one.depth[:, :40] < UNKNOWN).all()


def test_a_patch_knows_its_scale_where_the_field_does():
    settings = replace(PLAIN, finest_um=1.5, coarsest_um=1.5)
    patch = draw_patch(field(), settings, np.random.default_rng(0))
    assert patch.um_per_px == pytest.approx(1.5, rel=0.1)
    guessed = replace(field(), is_scale_known=False)
    assert np.isnan(draw_patch(guessed, settings, np.random.default_rng(0)).um_per_px)

"""The band of cellularity: pixels that follow the white reference, on drawn images."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from annotator.core.class_areas import cellularity
from annotator.core.classes import BG, BONE, CELL, FAT, UNLABELLED
from annotator.imaging.white import WhiteReference
from annotator.measurements.white_sensitivity import FACTOR, Flips, Sampled, bands, flips, sampled

AREAS = {"bg": 100, "fat": 300, "cell": 500, "bone": 50, "unlabelled": 50}
REFERENCE = WhiteReference((93.0, 0.0, 0.0), (235.0, 235.0, 235.0), 10.0, True)


def drawn(classes: list[int], white: list[float]) -> Sampled:
    codes = np.array([classes], np.uint8)
    return Sampled(
        np.zeros((1, len(classes), 3), np.float32), codes, np.array([white], np.float32), REFERENCE
    )


def test_only_pixels_between_the_thresholds_flip() -> None:
    assert pytest.approx(7.25, abs=0.01) == 10 / FACTOR
    found = flips(
        drawn(
            # white, nearly white, pale cell, dark cell, a gap between cells, pale slide
            [FAT, FAT, CELL, CELL, CELL, BG],
            [0.0, 9.0, 12.0, 20.0, 5.0, 8.0],
        )
    )
    assert found == Flips(cell_to_fat=1 / 6, cell_to_bg=0, fat_to_cell=1 / 6, bg_to_cell=1 / 6)


def test_a_pale_cell_goes_to_the_nearest_of_fat_and_background() -> None:
    found = flips(drawn([FAT, CELL, CELL, CELL, BG], [0, 12, 20, 12, 0]))
    assert (found.cell_to_fat, found.cell_to_bg) == (0.2, 0.2)
    alone = flips(drawn([CELL, CELL, BONE], [12, 20, 20]))
    assert (alone.cell_to_fat, alone.cell_to_bg) == (0, 1 / 3)


def test_bone_and_unlabelled_stay() -> None:
    found = flips(drawn([BONE, UNLABELLED, BONE, UNLABELLED], [9, 9, 12, 12]))
    assert found == Flips(0, 0, 0, 0)


def test_a_band_worked_out_by_hand() -> None:
    first, second = bands(AREAS, Flips(0.05, 0.02, 0.1, 0.01))
    # 1,000 px. Further: cell 430, fat 350. Less far: cell 610, fat 200. 50 px stay open.
    assert first == pytest.approx((430 / 780, 610 / 810))
    assert second == pytest.approx((430 / 830, 610 / 860))


@pytest.mark.parametrize("seed", range(30))
def test_the_value_is_inside_its_band_and_the_band_inside_0_and_1(seed: int) -> None:
    rng = np.random.default_rng(seed)
    areas = dict(zip(AREAS, rng.integers(0, 500, 5).tolist(), strict=True))
    first, _ = bands(areas, Flips(*rng.random(4).tolist()))
    value = cellularity(areas)
    assert first is not None
    assert value is not None
    assert 0 <= first[0] <= value <= first[1] <= 1


def test_an_undefined_cellularity_has_no_band() -> None:
    areas = {"bg": 50, "fat": 0, "cell": 0, "bone": 50, "unlabelled": 0}
    assert bands(areas, Flips(0, 0, 0, 0.2)) == (None, None)


def picture(edge: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Half slide-white fat, half stained cell, between them a ramp of so many columns."""
    ramp = np.interp(np.arange(200), (100 - edge / 2, 100 + edge / 2), (0, 1))[None, :, None]
    white, stain = np.array([238.0, 238, 240]), np.array([150.0, 80, 150])
    pixels = np.broadcast_to(white + (stain - white) * ramp, (100, 200, 3))
    classes = np.where(np.arange(200) < 100, FAT, CELL)[None].repeat(100, 0)
    return pixels.astype(np.uint8), classes.astype(np.uint8)


def test_a_soft_edge_makes_a_wider_band_than_a_sharp_one() -> None:
    widths = []
    for edge in (1, 80):
        seen = sampled(*picture(edge))
        (low, high), _ = bands({**AREAS, "fat": 500}, flips(seen))
        widths.append(high - low)
    assert widths[0] == 0
    assert widths[1] > 0.02


def test_large_images_are_looked_at_on_a_grid() -> None:
    classes = np.full((1200, 1920), CELL, np.uint8)
    seen = sampled(np.full((1200, 1920, 3), 150, np.uint8), classes)
    assert seen.classes.size <= 80_000
    assert seen.lab.shape == (*seen.classes.shape, 3)


def test_labels_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(10, 10\).*\(9, 10\)"):
        sampled(np.zeros((10, 10, 3), np.uint8), np.zeros((9, 10), np.uint8))

"""The white region that an object is a part of."""

import numpy as np
import pytest
from draw import disc, features

from annotator.objects import Image
from features import region

TISSUE, WHITE = (190, 110, 165), (245, 244, 246)
PIECE = np.ones((20, 20), bool)


def field(*holes: tuple[slice, slice], shape: tuple[int, int] = (200, 300)) -> Image:
    """Tissue with white boxes."""
    pixels = np.full((*shape, 3), TISSUE, np.uint8)
    for hole in holes:
        pixels[hole] = WHITE
    return Image.from_pixels(pixels, um_per_px=0.5)


def columns(image: Image, *parts: tuple[tuple[int, int], np.ndarray]) -> dict[str, np.ndarray]:
    table = features(image, *parts)
    return {c.name.removeprefix("region_"): table.column(c.name) for c in region.COLUMNS}


def test_a_piece_of_a_gap_is_told_from_a_square_of_its_own() -> None:
    gap, square = (slice(20, 40), slice(30, 270)), (slice(120, 140), slice(100, 120))
    found = columns(field(gap, square), ((20, 130), PIECE), ((120, 100), PIECE))
    assert found["log_ratio"] == pytest.approx([np.log(12), 0], abs=0.05)
    assert found["axis_ratio"] == pytest.approx([20 / 240, 1], abs=0.02)
    assert found["circularity"][0] < 0.4 < 0.7 < found["circularity"][1]
    assert found["log_area_nominal_um2"] == pytest.approx(np.log([1200, 100]), abs=0.05)
    assert found["depth_share"][0] < found["depth_share"][1] / 2
    assert found["solidity"] == pytest.approx([1, 1], abs=0.03)
    assert found["sides"].tolist() == [0, 0]


def test_a_bend_makes_it_less_solid() -> None:
    bend = (slice(20, 40), slice(30, 200)), (slice(20, 180), slice(30, 50))
    found = columns(field(*bend), ((20, 130), PIECE))
    assert found["solidity"][0] < 0.5


def test_it_counts_the_sides_that_it_touches() -> None:
    found = columns(field((slice(0, 20), slice(0, 300))), ((0, 130), PIECE))
    assert found["sides"].tolist() == [3]
    # Beyond the image nothing is outside: the deepest pixel lies at the border.
    assert found["depth_share"][0] * np.sqrt(20 * 300) == pytest.approx(20, abs=1)


def test_a_thin_bridge_does_not_join_two_regions() -> None:
    left, right = (slice(50, 90), slice(20, 60)), (slice(50, 90), slice(90, 130))
    for thick, share in ((3, 1), (9, 2.1)):
        bridge = (slice(70, 70 + thick), slice(50, 100))
        found = columns(field(left, right, bridge), ((50, 20), np.ones((40, 40), bool)))
        assert np.exp(found["log_ratio"][0]) == pytest.approx(share, abs=0.15)


def test_tissue_has_no_region() -> None:
    found = columns(field((slice(20, 40), slice(30, 270))), ((100, 100), disc(12)))
    assert all(np.isnan(column).all() for column in found.values())


def test_a_white_image_is_one_region() -> None:
    found = columns(field((slice(None), slice(None))), ((100, 100), PIECE))
    assert found["sides"].tolist() == [4]
    assert all(np.isfinite(column).all() for column in found.values())

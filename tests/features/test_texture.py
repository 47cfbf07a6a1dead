"""Texture against skimage, and that nothing outside the mask leaks in."""

import numpy as np
import pytest
from skimage.feature import graycomatrix, graycoprops, local_binary_pattern
from support.draw import disc, features, placed

from annotator.core.objects import Image
from annotator.imaging.appearance import Appearance
from features._geometry import geometry, pixel_numbers
from features._planes import grey_levels, local_binary_patterns, local_entropy, planes
from features.table import FeatureTable
from features.texture import COLUMNS, texture


@pytest.fixture(scope="module")
def noise() -> Image:
    rng = np.random.default_rng(5)
    smooth = rng.integers(60, 250, (80, 100, 3)).astype(float)
    smooth = (smooth + np.roll(smooth, 1, 0) + np.roll(smooth, 1, 1)) / 3
    return Image.from_pixels(smooth.astype(np.uint8))


@pytest.mark.parametrize("distance", [1, 3])
@pytest.mark.parametrize("measure", ["contrast", "homogeneity", "energy", "correlation"])
def test_cooccurrence_of_a_rectangle_is_that_of_skimage(
    noise: Image, distance: int, measure: str
) -> None:
    table = features(noise, ((20, 30), np.ones((25, 40), bool)))
    level = grey_levels(planes(Appearance(noise)).layers["lab_l"])[20:45, 30:70]
    counts = graycomatrix(level, [distance], [0, np.pi / 2], levels=16, symmetric=True)
    both = counts.sum(axis=3, keepdims=True)
    expected = graycoprops(both / both.sum(), measure)[0, 0]
    found = table.column(f"glcm_{measure}_{distance}px")[0]
    assert found == pytest.approx(expected)


def test_pairs_do_not_run_round_the_end_of_a_row() -> None:
    """Left half black, right half white: across the whole width one pair a row differs."""
    pixels = np.zeros((6, 8, 3), np.uint8)
    pixels[:, 4:] = 255
    table = features(Image.from_pixels(pixels), ((0, 0), np.ones((6, 8), bool)))
    pairs = 6 * 7 + 5 * 8
    assert table.column("glcm_contrast_1px")[0] == pytest.approx(6 * 15**2 / pairs)


def test_binary_patterns_are_those_of_skimage(noise: Image) -> None:
    lightness = planes(Appearance(noise)).layers["lab_l"]
    grey = np.rint(lightness * np.float32(2.55)).astype(np.uint8)
    expected = local_binary_pattern(grey, 8, 1.0, method="default").astype(np.uint8)
    # skimage interpolates the diagonal neighbours; ours takes the pixels themselves,
    # so only what the four straight ones say can be compared: all or none not darker
    found = local_binary_patterns(lightness)
    flat = local_binary_patterns(np.full((5, 5), 50, np.float32))
    assert (flat == 8).all()
    inner = slice(1, -1), slice(1, -1)
    straight = (expected[inner] & 0b01010101) == 0b01010101
    assert (straight | (found[inner] != 8)).all()


def test_local_entropy_of_two_equal_halves_is_one_bit() -> None:
    level = np.zeros((21, 21), np.uint8)
    level[:, 1::2] = 7
    share = np.array([3, 4]) / 7  # odd windows hold one column more of one kind
    expected = -(share * np.log2(share)).sum()
    np.testing.assert_allclose(local_entropy(level)[5:-5, 5:-5], expected, atol=1e-3)


def test_texture_does_not_see_outside_the_mask(noise: Image) -> None:
    mask = disc(15)
    (where, crop), *_ = placed(noise, ((20, 30), mask))
    changed = 255 - noise.pixels
    changed[where][crop] = noise.pixels[where][crop]

    def columns(pixels: np.ndarray) -> dict[str, np.ndarray]:
        # planes alone: white and stain references belong to the whole image
        image = Image.from_pixels(pixels)
        table = features(image, ((20, 30), mask))
        return {c.name: table.column(c.name) for c in COLUMNS if c.name != "speckle_density"}

    before, after = columns(noise.pixels), columns(changed)
    for name, value in before.items():
        np.testing.assert_allclose(after[name], value, rtol=1e-4, atol=1e-5, err_msg=name)


def test_a_flat_object_is_flat() -> None:
    pixels = np.full((40, 40, 3), (200, 120, 170), np.uint8)
    pixels[:, 20:] = np.random.default_rng(1).integers(0, 255, (40, 20, 3))
    table: FeatureTable = features(
        Image.from_pixels(pixels),
        ((8, 4), np.ones((20, 12), bool)),
        ((8, 24), np.ones((20, 12), bool)),
    )
    flat, rough = table.X
    expected = {"glcm_contrast_1px": 0, "glcm_energy_3px": 1, "smooth_share": 1, "entropy_mean": 0}
    for name, value in expected.items():
        at = table.names.index(name)
        assert flat[at] == pytest.approx(value, abs=1e-6)
        assert rough[at] != pytest.approx(value, abs=0.05)


def test_columns_are_all_there(noise: Image) -> None:
    where = geometry(placed(noise, ((5, 5), disc(6))), pixel_numbers(noise.shape))
    from features.texture import MEANS

    found = set(texture(planes(Appearance(noise)), where)) | {mean.name for mean in MEANS}
    assert found == {column.name for column in COLUMNS}

"""Colour against numpy and skimage's colour deconvolution."""

import numpy as np
import pytest
from skimage.color import rgb2hed, rgb2hsv, rgb2lab
from support.draw import disc, features, placed, plain

from annotator.core.objects import Image
from annotator.imaging.stains import BY_HAEMATOXYLIN, nuclear_mask, stain_densities
from annotator.imaging.white import WhiteReference


@pytest.fixture(scope="module")
def stained() -> Image:
    rng = np.random.default_rng(2)
    pixels = rng.normal((190, 130, 175), 25, (70, 90, 3))
    pixels[:, :30] = rng.normal((240, 238, 242), 2, (70, 30, 3))
    return Image.from_pixels(np.clip(pixels, 1, 255).astype(np.uint8))


def test_means_and_spreads_are_those_of_the_masked_pixels(stained: Image) -> None:
    mask = disc(12)
    table = features(stained, ((30, 25), mask))
    ((where, crop),) = placed(stained, ((30, 25), mask))
    rgb = stained.pixels[where][crop].astype(float)
    lab = rgb2lab(stained.pixels)[where][crop]
    hsv = rgb2hsv(stained.pixels)[where][crop]
    for i, name in enumerate(("red", "green", "blue")):
        assert table.column(f"{name}_mean")[0] == pytest.approx(rgb[:, i].mean())
        assert table.column(f"{name}_std")[0] == pytest.approx(rgb[:, i].std())
    for i, name in enumerate("lab"):
        assert table.column(f"lab_{name}_mean")[0] == pytest.approx(lab[:, i].mean(), abs=0.15)
        assert table.column(f"lab_{name}_std")[0] == pytest.approx(lab[:, i].std(), abs=0.15)
    for share in (10, 50, 90):
        expected = np.percentile(lab[:, 0], share, method="inverted_cdf")
        assert table.column(f"lab_l_p{share}")[0] == pytest.approx(expected, abs=0.5)
    assert table.column("saturation_mean")[0] == pytest.approx(hsv[:, 1].mean(), abs=0.003)
    assert table.column("value_mean")[0] == pytest.approx(hsv[:, 2].mean(), abs=0.003)


def test_stain_densities_are_those_of_skimage(stained: Image) -> None:
    """skimage divides by ln(1e-6); in decades that is a factor of 6."""
    full = WhiteReference((100.0, 0.0, 0.0), (255.0, 255.0, 255.0), 10.0, True)
    hematoxylin, eosin = stain_densities(stained.pixels, full)
    expected = rgb2hed(stained.pixels) * 6
    np.testing.assert_allclose(hematoxylin, expected[..., 0], atol=2e-3)
    np.testing.assert_allclose(eosin, expected[..., 1], atol=2e-3)


def test_the_white_itself_has_no_density() -> None:
    own = WhiteReference((92.0, 0.0, 0.0), (230.0, 228.0, 232.0), 10.0, True)
    hematoxylin, eosin = stain_densities(np.full((2, 2, 3), (230, 228, 232), np.uint8), own)
    assert np.abs(hematoxylin).max() < 1e-6
    assert np.abs(eosin).max() < 1e-6


def test_shares_of_white_and_stain(stained: Image) -> None:
    table = features(
        stained, ((10, 2), np.ones((40, 20), bool)), ((10, 40), np.ones((40, 40), bool))
    )
    white, tissue = table.column("white_share")
    assert white > 0.99
    assert tissue < 0.1
    total = sum(table.column(f"{name}_share") for name in ("white", "pink", "purple"))
    np.testing.assert_allclose(total, 1)
    assert table.column("white_distance_mean")[0] < 3
    assert table.column("white_distance_mean")[1] > 15


def test_nuclei_are_dark_haematoxylin_and_are_counted() -> None:
    pixels = np.full((120, 120, 3), (225, 170, 205), np.uint8)
    pixels[:10] = (245, 244, 246)
    y, x = np.mgrid[:120, :120]
    for cy in range(25, 110, 20):
        for cx in range(15, 110, 20):
            pixels[np.hypot(y - cy, x - cx) < 5] = (85, 55, 130)
    table = features(Image.from_pixels(pixels), ((15, 5), np.ones((100, 100), bool)))
    assert table.column("nuclear_count_density")[0] == pytest.approx(25 / 10)
    assert table.column("nuclear_share")[0] == pytest.approx(25 * 78 / 10_000, rel=0.15)


def test_a_field_without_nuclei_shows_none() -> None:
    rng = np.random.default_rng(0)
    density = np.clip(rng.normal(0.08, 0.02, (60, 60)), 0, None).astype(np.float32)
    assert not nuclear_mask(density, np.ones((60, 60), bool), BY_HAEMATOXYLIN).any()


def test_a_plain_image_without_white() -> None:
    table = features(plain((30, 30)), ((5, 5), disc(8)))
    assert np.isfinite(table.column("white_distance_mean")).all()
    assert table.column("lab_l_std")[0] == pytest.approx(0, abs=1e-3)

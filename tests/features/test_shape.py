"""Shape against regionprops, and the measures of the free outline."""

import numpy as np
import pytest
from skimage.measure import label, regionprops
from support.draw import disc, features, plain

CANVAS = plain((200, 240))


def blob(seed: int) -> np.ndarray:
    """A random connected shape, holes filled."""
    import cv2

    rng = np.random.default_rng(seed)
    smooth = cv2.GaussianBlur(rng.normal(size=(90, 110)), (0, 0), 5)
    parts = label(smooth > 0.02, connectivity=2)
    largest = np.argmax(np.bincount(parts.ravel())[1:]) + 1
    return parts == largest


SHAPES = {
    "square": np.ones((20, 20), bool),
    "bar": np.ones((4, 50), bool),
    "disc": disc(30),
    "blob 1": blob(1),
    "blob 2": blob(2),
    "blob 3": blob(3),
}


@pytest.mark.parametrize("name", SHAPES)
def test_shape_agrees_with_regionprops(name: str) -> None:
    mask = SHAPES[name]
    table = features(CANVAS, ((40, 50), mask))
    (region,) = regionprops(mask.astype(np.uint8))
    assert np.exp(table.column("log_area_px")[0]) == pytest.approx(region.area)
    assert table.column("extent")[0] == pytest.approx(region.extent)
    small, large = np.linalg.eigvalsh(region.inertia_tensor + np.eye(2) / 12)
    assert table.column("eccentricity")[0] == pytest.approx(np.sqrt(1 - small / large), abs=1e-6)
    assert table.column("solidity")[0] == pytest.approx(region.solidity, abs=0.02)
    feret = table.column("feret_share")[0] * np.hypot(200, 240)
    assert feret == pytest.approx(region.feret_diameter_max, rel=0.03)
    assert table.column("hole_count")[0] == 1 - region.euler_number
    holes = 1 - region.area / region.area_filled
    assert table.column("holes_share")[0] == pytest.approx(holes)


@pytest.mark.parametrize("radius", [8, 15, 40, 80])
def test_perimeter_and_circularity_of_a_disc(radius: int) -> None:
    table = features(CANVAS, ((10, 10), disc(radius)))
    length = table.column("perimeter_share")[0] * np.hypot(200, 240)
    assert length == pytest.approx(2 * np.pi * radius, rel=0.04)
    assert table.column("circularity")[0] > 0.93
    assert table.column("thickness")[0] == pytest.approx(1 / np.sqrt(np.pi), abs=0.02)


def test_a_hole_does_not_spoil_circularity() -> None:
    ring = disc(30)
    ring[25:35, 25:35] = False
    whole, holed = features(CANVAS, ((10, 10), disc(30)), ((10, 10), ring)).X
    names = features(CANVAS, ((10, 10), ring)).names
    at = names.index("circularity")
    assert holed[at] == whole[at]
    assert holed[names.index("hole_count")] == 1
    assert holed[names.index("holes_share")] == pytest.approx(100 / disc(30).sum())
    assert holed[names.index("thickness")] < whole[names.index("thickness")] / 1.5


@pytest.mark.parametrize("kept", [slice(40, 81), slice(30, 81), slice(55, 81)])
def test_a_disc_cut_by_the_border_still_looks_round(kept: slice) -> None:
    cut = disc(40)[:, kept]
    table = features(CANVAS, ((50, 0), cut))
    assert table.column("circularity")[0] < 0.9
    assert table.column("free_convexity")[0] > 0.97
    assert table.column("ellipse_residual")[0] < 0.02
    assert table.column("circle_residual")[0] < 0.02
    assert table.column("curvature_roughness")[0] < 0.4


def test_a_ragged_outline_does_not_look_round() -> None:
    table = features(CANVAS, ((10, 10), blob(2)), ((10, 0), blob(2)))
    assert (table.column("free_convexity") < 0.85).all()
    assert (table.column("ellipse_residual") > 0.1).all()
    assert (table.column("curvature_roughness") > 1.5).all()


def test_an_ellipse_is_no_circle_but_an_ellipse() -> None:
    y, x = np.mgrid[-30:31, -60:61]
    table = features(CANVAS, ((10, 10), (x / 60) ** 2 + (y / 30) ** 2 <= 1))
    assert table.column("ellipse_residual")[0] < 0.01
    assert table.column("circle_residual")[0] > 0.2
    assert table.column("min_feret_ratio")[0] == pytest.approx(0.5, abs=0.02)


def test_pieces_are_counted() -> None:
    two = np.zeros((10, 30), bool)
    two[:, :8] = two[:, 20:] = True
    assert features(CANVAS, ((10, 10), two)).column("piece_count")[0] == 2


@pytest.mark.parametrize("mask", [np.ones((1, 1), bool), np.ones((1, 9), bool), np.eye(9) > 0])
def test_dots_and_lines_have_no_fit(mask: np.ndarray) -> None:
    table = features(CANVAS, ((50, 50), mask))
    assert np.isnan(table.column("ellipse_residual")[0])
    assert np.isnan(table.column("circle_residual")[0])
    assert 0 < table.column("circularity")[0] <= 1
    assert table.column("solidity")[0] == 1 or mask[0, -1] == 0

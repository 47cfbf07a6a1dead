"""What lies around an object."""

import numpy as np
import pytest
from support.draw import disc, features, placed

from annotator.core.objects import Image
from annotator.imaging.appearance import Appearance
from features._geometry import geometry, pixel_numbers
from features._planes import planes
from features.surround import seen_ids

TISSUE, WHITE, RIM = (190, 110, 165), (245, 244, 246), (150, 60, 120)


def vacuole(rim: int) -> Image:
    """A white disc of 25 px with a dark rim of so many px, in white or in tissue."""
    pixels = np.full((160, 160, 3), WHITE, np.uint8)
    y, x = np.mgrid[:160, :160]
    away = np.hypot(y - 80, x - 80)
    pixels[away <= 25 + rim] = RIM
    pixels[away <= 25] = WHITE
    return Image.from_pixels(pixels)


def one(image: Image, name: str) -> float:
    return float(features(image, ((55, 55), disc(25))).column(name)[0])


def test_the_rim_tells_a_vacuole_from_bare_slide() -> None:
    bare, rimmed = vacuole(0), vacuole(4)
    assert one(bare, "rim_contrast") < 1
    assert one(rimmed, "rim_contrast") > 20
    assert one(bare, "rim_continuity") == 0
    assert one(rimmed, "rim_continuity") == 1
    assert one(rimmed, "rim_darkness") > one(bare, "rim_darkness") + 30
    assert one(rimmed, "rim_eosin_max_od") > 0.2
    assert one(bare, "white_neighbours_share") == 1


@pytest.mark.parametrize("rim", [2, 4, 6])
def test_rim_thickness_follows_the_rim(rim: int) -> None:
    size = np.sqrt(disc(25).sum())
    assert one(vacuole(rim), "rim_thickness") * size == pytest.approx(rim, abs=1.6)


def test_a_rim_without_end_saturates_at_two_rings() -> None:
    size = np.sqrt(disc(25).sum())
    assert one(vacuole(60), "rim_thickness") * size == pytest.approx(2 * max(0.1 * size, 4))


def test_half_a_rim_is_half_continuous() -> None:
    pixels = vacuole(4).pixels.copy()
    pixels[:, :80] = WHITE
    assert one(Image.from_pixels(pixels), "rim_continuity") == pytest.approx(0.5, abs=0.1)


def test_ring_means_are_those_of_the_ring() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (60, 60, 3), dtype=np.uint8)
    image = Image.from_pixels(pixels)
    where = geometry(placed(image, ((20, 20), np.ones((15, 15), bool))), pixel_numbers((60, 60)))
    ring = where.outside.select(where.in_ring())
    y, x = np.mgrid[:60, :60]
    away = np.hypot(
        np.maximum(np.maximum(20 - y, y - 34), 0), np.maximum(np.maximum(20 - x, x - 34), 0)
    )
    expected = (away > 0) & (away <= where.ring[0])
    assert where.ring.tolist() == [4.0]
    assert np.sort(ring.flat).tolist() == np.flatnonzero(expected).tolist()
    table = features(image, ((20, 20), np.ones((15, 15), bool)))
    lightness = planes(Appearance(image)).layers["lab_l"][expected]
    assert table.column("ring_lab_l_mean")[0] == pytest.approx(lightness.mean(), rel=1e-5)


def test_border_contact() -> None:
    image = vacuole(3)
    table = features(
        image,
        ((0, 0), np.ones((10, 10), bool)),
        ((70, 70), np.ones((10, 10), bool)),
        ((0, 0), np.ones((160, 160), bool)),
    )
    assert table.column("touches_border").tolist() == [1, 0, 1]
    assert table.column("border_share").tolist() == [pytest.approx(19 / 36), 0, 1]
    assert np.isnan(table.column("ring_lab_l_mean")[2])
    assert np.isnan(table.column("rim_continuity")[2])


def test_local_cellularity_is_the_stained_share_around() -> None:
    pixels = np.full((160, 320, 3), WHITE, np.uint8)
    pixels[:, 160:] = TISSUE
    table = features(Image.from_pixels(pixels), ((70, 40), disc(8)), ((70, 260), disc(8)))
    assert table.column("local_cellularity").tolist() == [0, 1]


def test_neighbours_are_counted_once_each() -> None:
    image = vacuole(3)
    block = np.ones((10, 10), bool)
    table = features(
        image, ((50, 50), block), ((50, 61), block), ((61, 50), block), ((50, 100), block)
    )
    assert table.column("neighbour_count").tolist() == [2, 2, 2, 0]


def test_the_smaller_object_is_seen_whatever_the_order() -> None:
    image = vacuole(3)
    objects = placed(image, ((0, 0), np.ones((40, 40), bool)), ((5, 5), np.ones((10, 10), bool)))
    for order in ([0, 1], [1, 0]):
        seen = seen_ids(objects.select(np.array(order)))
        assert seen[10, 10] == 2
        assert seen[30, 30] == 1
        assert seen[50, 50] == 0

"""Whole slides: what they say of themselves, and their parts at any scale."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from support.drawn_slides import GLASS, UM, core_on_glass, tissue, write_svs

from annotator.core.errors import ImageError
from annotator.imaging.read import read_image
from annotator.imaging.slide_region import SlideRegion, exists_on_disk
from annotator.imaging.slide_tissue import tissue_mask
from annotator.imaging.slides import open_slide, read_region
from annotator.settings.images import ReadSettings

CORNER, SHAPE = (400, 500), (1800, 2600)


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_svs(tmp_path_factory.mktemp("slides") / "case 7.svs", core_on_glass())


def test_a_slide_says_what_it_is(slide: Path) -> None:
    with open_slide(slide) as opened:
        info = opened.info
    assert (info.vendor, info.shape, info.um_per_px, info.objective) == ("aperio", SHAPE, UM, 20)
    assert [level.shape for level in info.levels] == [SHAPE, (450, 650)]
    assert info.notes == ()


def test_a_region_at_full_scale_is_what_was_scanned(slide: Path) -> None:
    found = read_region(SlideRegion(slide, 600, 500, 300, 200, UM))
    wanted = core_on_glass()[500:700, 600:900]
    assert found.shape == wanted.shape
    # JPEG loses a little.
    assert np.abs(found.astype(int) - wanted).mean() < 4


@pytest.mark.parametrize("um", [0.8, 1.0, 2.0, 3.3])
def test_a_region_at_a_coarser_scale_is_the_mean_of_its_area(slide: Path, um: float) -> None:
    step = um / UM
    size = 120
    corner = round(800 / step), round(600 / step)
    found = read_region(SlideRegion(slide, *corner, size, size, um))
    x, y = (round(c * step) for c in corner)
    part = core_on_glass()[y : y + round(size * step), x : x + round(size * step)]
    wanted = cv2.resize(part, (size, size), interpolation=cv2.INTER_AREA)
    assert np.abs(found.astype(int) - wanted).mean() < 5
    assert np.abs(found.astype(int).mean((0, 1)) - wanted.mean((0, 1))).max() < 1.5


def test_neighbouring_regions_agree_where_they_overlap(slide: Path) -> None:
    left = read_region(SlideRegion(slide, 300, 300, 200, 200, 0.7))
    right = read_region(SlideRegion(slide, 400, 300, 200, 200, 0.7))
    assert (left[:, 100:] == right[:, :100]).all()


def test_an_image_may_be_a_place_in_a_slide(slide: Path) -> None:
    place = SlideRegion(slide, 600, 500, 300, 200, UM).path
    assert exists_on_disk(place) and not exists_on_disk(place.parent.parent / "no.svs" / place.name)
    image = read_image(place, ReadSettings())
    assert image.shape == (200, 300) and image.um_per_px == UM
    assert image.id == read_image(place, ReadSettings()).id


def test_a_region_beyond_the_slide_is_refused(slide: Path) -> None:
    with pytest.raises(ImageError, match="inside 2600 x 1800 px"):
        read_region(SlideRegion(slide, 2500, 0, 101, 10, UM))


def test_tissue_with_its_fat_is_found_and_glass_is_not(slide: Path) -> None:
    with open_slide(slide) as opened:
        overview, step = opened.overview(650)
    assert overview.shape == (450, 650, 3) and step == 4.0
    mask = tissue_mask(overview, step * UM)
    wanted = np.zeros(SHAPE, np.bool_)
    height, width = tissue().shape[:2]
    wanted[CORNER[0] : CORNER[0] + height, CORNER[1] : CORNER[1] + width] = True
    small = wanted[::4, ::4]
    assert (mask & small).sum() / (mask | small).sum() > 0.93


def test_ink_dust_and_glass_are_no_tissue() -> None:
    slide = np.empty((400, 600, 3), np.uint8)
    slide[:] = GLASS
    cv2.line(slide, (50, 50), (500, 60), (20, 120, 60), 12)
    cv2.line(slide, (50, 350), (500, 340), (30, 60, 170), 12)
    cv2.circle(slide, (300, 200), 3, (150, 90, 120), -1)
    assert not tissue_mask(slide, 8.0).any()


def test_sizes_that_contradict_the_objective_are_told(tmp_path: Path) -> None:
    pixels = core_on_glass()[:600, :600]
    with open_slide(write_svs(tmp_path / "odd.svs", pixels, um=2.0, magnification=40)) as opened:
        assert opened.info.um_per_px == 2.0
        assert "do not fit each other" in opened.info.notes[0]


def test_without_a_pixel_size_a_person_says_it(tmp_path: Path) -> None:
    path = write_svs(tmp_path / "a.svs", core_on_glass()[:600, :600], um=None)
    with open_slide(path) as opened:
        assert opened.info.um_per_px is None
        with pytest.raises(ImageError, match="--slide-um-per-px"):
            opened.shape_at(1.0)
        assert opened.shape_at(1.0, 0.25) == (150, 150)
    place = SlideRegion(path, 10, 10, 50, 50, 1.0, 0.25)
    assert read_image(place.path, ReadSettings()).shape == (50, 50)


def test_levels_of_another_aspect_are_told(tmp_path: Path) -> None:
    path = write_svs(tmp_path / "a.svs", core_on_glass(), factors=((4, 5),))
    with open_slide(path) as opened:
        assert any("stretched" in note for note in opened.info.notes)


def test_damaged_data_are_named_with_their_place_and_the_rest_is_read(tmp_path: Path) -> None:
    path = write_svs(tmp_path / "a.svs", core_on_glass())
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        offset, count = page.dataoffsets[0], page.databytecounts[0]
    data = bytearray(path.read_bytes())
    data[offset : offset + count] = bytes(count)
    path.write_bytes(data)
    with pytest.raises(ImageError, match="damaged at x 0, y 0"):
        read_region(SlideRegion(path, 0, 0, 100, 100, UM))
    assert read_region(SlideRegion(path, 600, 600, 100, 100, UM)).shape == (100, 100, 3)


@pytest.mark.parametrize(
    ("name", "data"), [("gone.svs", None), ("text.svs", b"no slide"), ("cut.svs", b"II*\0")]
)
def test_what_is_no_slide_is_refused_in_words(tmp_path: Path, name: str, data: bytes) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(ImageError, match=r"expected|cannot be opened"):
        open_slide(tmp_path / name)


def test_a_slide_that_was_cut_short_is_refused_in_words(tmp_path: Path) -> None:
    path = write_svs(tmp_path / "a.svs", core_on_glass())
    path.write_bytes(path.read_bytes()[:-20_000])
    with pytest.raises(ImageError, match=r"expected|cannot be opened|damaged"):
        read_region(SlideRegion(path, 0, 0, 2600, 1800, UM))

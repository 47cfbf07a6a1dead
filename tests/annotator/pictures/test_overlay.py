from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from annotator.core.classes import DEFAULT_SCHEMA, ClassSchema
from annotator.core.label_maps import LabelMaps
from annotator.pictures.overlay import (
    THUMBNAIL,
    SheetTile,
    caption,
    contact_sheet,
    overlay,
    printable,
    shorten,
    thumbnail,
)


def label_maps() -> LabelMaps:
    """Fat 1 and fat 2 side by side, cell below, one unlabelled pixel, a strip of bg."""
    classes = np.full((12, 12), 2, np.uint8)
    instances = np.zeros((12, 12), np.int32)
    classes[0:6] = 1
    instances[0:6, :6], instances[0:6, 6:] = 1, 2
    classes[11, 11] = 255
    classes[11, :6] = 0
    return LabelMaps(classes, instances)


def grey(value: int = 200) -> np.ndarray:
    return np.full((12, 12, 3), value, np.uint8)


def tile(name: str, shape: tuple[int, int] = (20, 32)) -> SheetTile:
    small = np.full((*shape, 3), 90, np.uint8)
    return SheetTile(name, small, small, (0.1, 0.2, 0.7, 0.0), 0.7)


def test_overlay_tints_regions_and_draws_rims_opaque() -> None:
    painted = overlay(grey(), label_maps(), DEFAULT_SCHEMA, alpha=0.5)
    assert painted[2, 2].tolist() == [164, 100, 100]  # half fat, half grey
    assert painted[2, 5].tolist() == painted[2, 6].tolist() == [128, 0, 0]  # fat touches fat
    assert painted[5, 2].tolist() == [128, 0, 0]  # fat touches cell: the rim is fat's
    assert painted[6, 2].tolist() == [164, 164, 100]  # and cell's side stays free
    assert painted[11, 11].tolist() == [200, 200, 200]  # unlabelled: as it was


def test_overlay_leaves_its_inputs_alone_and_takes_colours_from_the_schema() -> None:
    pixels = grey()
    schema = ClassSchema(("#008000", "#123456", "#808000", "#000080"))
    painted = overlay(pixels, label_maps(), schema, alpha=1.0)
    assert np.array_equal(pixels, grey())
    assert painted[2, 2].tolist() == [0x12, 0x34, 0x56]


def test_overlay_refuses_another_shape() -> None:
    with pytest.raises(ValueError, match=r"\(5, 5\)"):
        overlay(np.zeros((5, 5, 3), np.uint8), label_maps(), DEFAULT_SCHEMA)


def test_overlay_of_one_pixel() -> None:
    one = LabelMaps(np.array([[2]], np.uint8), np.array([[0]], np.int32))
    assert overlay(np.zeros((1, 1, 3), np.uint8), one, DEFAULT_SCHEMA, 1.0).tolist() == [
        [[128, 128, 0]]
    ]


@pytest.mark.parametrize("shape", [(1200, 1920), (1920, 1200), (1, 1), (3, 4000), (4000, 3)])
def test_thumbnails_fit_and_keep_the_aspect(shape: tuple[int, int]) -> None:
    small = thumbnail(np.zeros((*shape, 3), np.uint8))
    height, width = small.shape[:2]
    assert 1 <= width <= THUMBNAIL[0] and 1 <= height <= THUMBNAIL[1]
    assert abs(height * shape[1] / shape[0] - width) <= max(shape[1] / shape[0], 1)


def test_contact_sheets_are_paged_and_take_tiles_a_page_at_a_time() -> None:
    taken = 0

    def tiles() -> Iterator[SheetTile]:
        nonlocal taken
        for number in range(7):
            taken += 1
            yield tile(f"field {number}")

    pages = contact_sheet(tiles(), DEFAULT_SCHEMA, per_page=3)
    first = next(pages)
    assert taken == 3
    assert first.ndim == 3 and first.dtype == np.uint8
    assert len(list(pages)) == 2


def test_no_tiles_make_no_sheet() -> None:
    assert list(contact_sheet([], DEFAULT_SCHEMA)) == []


def test_a_sheet_shows_image_overlay_and_legend() -> None:
    image, painted = np.full((20, 32, 3), 7, np.uint8), np.full((20, 32, 3), 9, np.uint8)
    (page,) = contact_sheet([SheetTile("a", image, painted, (0, 0, 1, 0), 1.0)], DEFAULT_SCHEMA)
    assert np.count_nonzero((page == 7).all(axis=2)) == np.count_nonzero((page == 9).all(axis=2))
    assert np.count_nonzero((page == 7).all(axis=2)) == 20 * 32
    for name in ("bg", "fat", "cell", "bone"):
        assert (page == DEFAULT_SCHEMA.rgb(name)).all(axis=2).any()


def test_names_of_any_script_are_drawn() -> None:
    one, other = (
        next(contact_sheet([tile(name)], DEFAULT_SCHEMA)) for name in ("Ödem Ωμέγα", "生検")
    )
    assert not np.array_equal(one, other)
    assert printable("é") == "é"  # decomposed, as some file systems give it
    assert printable("生a") == "<751F>a"


def test_long_names_keep_both_ends() -> None:
    assert shorten("a" * 50 + "z", 11) == "aaaaa…aaaaz"
    assert shorten("short", 11) == "short"


def test_captions_say_when_there_is_no_cellularity() -> None:
    dot = np.zeros((1, 1, 3), np.uint8)
    assert caption(SheetTile("x", dot, dot, (1, 0, 0, 0), None)).startswith("cellularity none")


def test_tiles_need_pictures_of_one_shape() -> None:
    with pytest.raises(ValueError, match="one"):
        SheetTile("x", np.zeros((2, 2, 3), np.uint8), np.zeros((3, 2, 3), np.uint8), (), None)


def test_a_sheet_of_square_fields_is_not_half_empty() -> None:
    square = np.full((214, 214, 3), 7, np.uint8)
    tiles = [SheetTile(f"field {n}", square, square, (0.0, 0.4, 0.6, 0.0), 0.6) for n in range(8)]
    (page,) = contact_sheet(tiles, DEFAULT_SCHEMA)
    assert (page == 7).all(axis=2).sum() == 16 * 214 * 214
    assert (page == 7).all(axis=2).mean() > 0.7


def test_pairs_of_any_shape_do_not_overlap() -> None:
    shapes = [(214, 320), (214, 100), (60, 320), (214, 214), (30, 30)] * 3
    pictures = [np.full((*shape, 3), 40 + n, np.uint8) for n, shape in enumerate(shapes)]
    tiles = [SheetTile(f"f {n}", one, one, (0, 0, 1, 0), None) for n, one in enumerate(pictures)]
    (page,) = contact_sheet(tiles, DEFAULT_SCHEMA)
    for n, (height, width) in enumerate(shapes):
        assert (page == 40 + n).all(axis=2).sum() >= 2 * height * width

"""The pictures of README and docs: how a field is drawn on its way, and the house."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from bench.figure import classes_picture, draw_figure, proposals_picture, side_by_side
from bench.house import PURPOSE, arrows, draw_house, floors
from PIL import Image as PilImage

from annotator.core.classes import DEFAULT_SCHEMA
from annotator.core.errors import UsageError
from annotator.core.objects import Image, objects_from_masks
from annotator.synthetic.settings import PhantomSettings

ROOT = Path(__file__).resolve().parent.parent
SMALL = PhantomSettings(seed=0, shape=(120, 160), um_per_px=1.0)


def test_pictures_of_proposals_and_classes_show_each_object() -> None:
    pixels = np.zeros((10, 20, 3), np.uint8)
    pixels[:, 10:] = (100, 50, 10)
    image = Image.from_pixels(pixels)
    full = np.ones((10, 10), np.bool_)
    objects = objects_from_masks(image.id, (10, 20), [((0, 0), full), ((0, 10), full)])
    shown = proposals_picture(image, objects)
    assert shown[5, 15].tolist() == [100, 50, 10]
    assert shown[5, 10].tolist() == [33, 16, 3]
    named = classes_picture(objects, np.array([1, 3], np.uint8), DEFAULT_SCHEMA)
    assert named[5, 5].tolist() == [128, 0, 0]
    assert named[5, 15].tolist() == [0, 0, 128]


def test_small_objects_lie_on_top_of_large_ones_whatever_their_order() -> None:
    image = Image.from_pixels(np.zeros((9, 9, 3), np.uint8))
    parts = [((3, 3), np.ones((3, 3), np.bool_)), ((0, 0), np.ones((9, 9), np.bool_))]
    objects = objects_from_masks(image.id, (9, 9), parts)
    named = classes_picture(objects, np.array([1, 3], np.uint8), DEFAULT_SCHEMA)
    assert named[4, 4].tolist() == [128, 0, 0]
    assert named[1, 1].tolist() == [0, 0, 128]


def test_figures_stand_side_by_side() -> None:
    panel = np.full((100, 200, 3), 50, np.uint8)
    drawn = side_by_side([("one", panel), ("two", panel)], width=100)
    assert drawn.shape[1] == 2 * 100 + 36
    assert (drawn[-50:, :100] == 50).all() and (drawn[-50:, -100:] == 50).all()
    assert not (drawn[-50:, 100:-100] == 50).all()


def test_the_figure_has_four_panels(tmp_path: Path) -> None:
    draw_figure(tmp_path / "figure.png", SMALL)
    with PilImage.open(tmp_path / "figure.png") as drawn:
        assert drawn.size[0] == 4 * 480 + 3 * 36
    with pytest.raises(UsageError, match=r"\.png"):
        draw_figure(tmp_path / "figure.jpg", SMALL)


def test_the_picture_of_the_house_names_every_room() -> None:
    """Of the contract as it is now; the counts may be those of an earlier day."""
    drawn = ElementTree.fromstring((ROOT / "docs" / "house.svg").read_text("utf-8"))
    words = {element.text for element in drawn.iter() if element.tag.endswith("text")}
    rooms = [name for floor in floors() for name in floor]
    assert [name for name in rooms if name.removeprefix("annotator.") not in words] == []
    assert sorted(rooms) == sorted(PURPOSE)


def test_the_house_is_drawn_alike_twice_and_its_arrows_point_down() -> None:
    assert draw_house() == draw_house()
    floor_of = {name: number for number, floor in enumerate(floors()) for name in floor}
    pairs = arrows(list(floor_of))
    assert ("annotator.settings", "annotator.core") in pairs
    assert ("annotator.cli", "annotator.core") not in pairs, "it follows from others"
    assert all(floor_of[here] < floor_of[there] for here, there in pairs)

"""The pictures of README and docs: how a field is drawn on its way, and the house."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from bench.figure import draw_figure, panels, side_by_side
from bench.house import PURPOSE, arrows, draw_house, floors
from PIL import Image as PilImage

from annotator.core.classes import CELL, DEFAULT_SCHEMA
from annotator.core.errors import UsageError
from annotator.demo import Places
from annotator.imaging.codecs import decode_png
from annotator.study.study import Study
from annotator.synthetic.field_files import draw_fields
from annotator.synthetic.settings import PhantomSettings

ROOT = Path(__file__).resolve().parent.parent
SMALL = PhantomSettings(seed=0, shape=(120, 160), um_per_px=1.0)


def test_pictures_of_one_field_stand_side_by_side() -> None:
    panel = np.full((100, 200, 3), 50, np.uint8)
    drawn = side_by_side([("one", panel), ("two", panel)], DEFAULT_SCHEMA, width=100)
    assert drawn.shape[1] == 2 * 100 + 12
    pictures = drawn[34:84]
    assert (pictures[:, :100] == 50).all() and (pictures[:, -100:] == 50).all()
    assert not (pictures[:, 100:-100] == 50).any()
    assert (drawn[84:] == (170, 212, 170)).all(axis=2).any(), "the tint of background"


@pytest.mark.slow
def test_the_figure_shows_a_field_its_rough_annotation_and_its_truth(tmp_path: Path) -> None:
    places = Places(tmp_path)
    draw_fields(places.images, places.truth, [SMALL], 1, lambda step: None)
    draw_figure(tmp_path / "figure.png", places, "field-1")
    with PilImage.open(tmp_path / "figure.png") as drawn:
        assert drawn.size[0] == 3 * 480 + 2 * 12
    with Study.open(places.study) as study:
        titled = panels(study, places, "field-1")
    assert [title for title, _ in titled] == ["image", "rough annotation", "truth"]
    codes = decode_png((places.truth / "field-1.png").read_bytes())
    image, _, truth = (picture for _, picture in titled)
    assert (truth[codes == CELL] != image[codes == CELL]).any(axis=1).mean() > 0.9
    with pytest.raises(UsageError, match=r"\.png"):
        draw_figure(tmp_path / "figure.jpg", places, "field-1")


def test_the_picture_of_the_readme_is_a_small_file() -> None:
    assert (ROOT / "docs" / "figure.png").stat().st_size < 600_000


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

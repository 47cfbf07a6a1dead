"""Masks as PNG in any code: grey levels, palettes, colours, and what nobody explained."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from support.annotation_files import classes_of, read_by_name
from support.cvat_archives import FRAME, png_of, zip_of

from annotator.core.classes import BG, BONE, CELL, DEFAULT_SCHEMA, FAT, UNLABELLED, ClassSchema
from annotator.core.errors import UsageError
from annotator.core.label_names import OUR_NAMES, LabelNames, label_names
from export.readers.corrected import Corrected
from export.readers.detect import reading
from export.readers.mask_pictures import image_stems

TRUTH = np.random.default_rng(5).choice([0, 1, 2, 3, 255], FRAME).astype(np.uint8)


def recoded(codes: dict[int, int | tuple[int, ...]], depth: int = 1) -> NDArray[np.uint8]:
    """The truth with other codes, by our codes."""
    shape = FRAME if depth == 1 else (*FRAME, depth)
    found = np.zeros(shape, np.uint8)
    for code, other in codes.items():
        found[code == TRUTH] = other
    return found


def saved(path: Path, pixels: NDArray[np.generic], name: str = "a.png") -> Path:
    path.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path / name)
    return path


def one(path: Path, names: str = "") -> NDArray[np.uint8]:
    images, _ = read_by_name(path, label_names(names))
    return classes_of(images, "a")


def refused(path: Path, names: LabelNames = OUR_NAMES) -> str:
    images, _ = read_by_name(path, names)
    (image,) = images.values()
    return image.refused


GREY = {0: 10, 1: 80, 2: 160, 3: 200, 255: 0}
GREY_MAP = "10=bg,80=fat,160=cell,200=bone,0=ignore"
COLOURS = {0: (9, 9, 9), 1: (255, 0, 0), 2: (0, 255, 1), 3: (0, 0, 255), 255: (0, 0, 0)}
COLOUR_MAP = "#090909=bg,#FF0000=fat,#00ff01=cell,#0000ff=bone"


def test_our_own_codes_need_no_map_and_this_is_told(tmp_path: Path) -> None:
    images, notes = read_by_name(saved(tmp_path / "m", TRUTH))
    assert np.array_equal(classes_of(images, "a"), TRUTH)
    assert notes[0].startswith("the codes of the masks were taken as our own: 0 bg, 1 fat")


def test_grey_levels(tmp_path: Path) -> None:
    assert np.array_equal(one(saved(tmp_path / "m", recoded(GREY)), GREY_MAP), TRUTH)


def test_a_code_can_exclude(tmp_path: Path) -> None:
    images, _ = read_by_name(
        saved(tmp_path / "m", recoded(GREY)), label_names(GREY_MAP.replace("=bone", "=exclude"))
    )
    painted = images["a"].painted
    assert painted is not None
    assert painted.excluded is not None
    assert np.array_equal(painted.excluded, TRUTH == BONE)
    assert np.array_equal(painted.classes, np.where(TRUTH == BONE, UNLABELLED, TRUTH))
    assert not painted.instances[TRUTH == BONE].any()


def test_grey_levels_of_16_bits(tmp_path: Path) -> None:
    codes = recoded(GREY).astype(np.uint16) * 300
    names = ",".join(f"{300 * int(n)}={c}" for n, c in (p.split("=") for p in GREY_MAP.split(",")))
    assert np.array_equal(one(saved(tmp_path / "m", codes), names), TRUTH)


def test_grey_levels_in_three_channels(tmp_path: Path) -> None:
    pixels = np.repeat(recoded(GREY)[..., None], 3, axis=2)
    assert np.array_equal(one(saved(tmp_path / "m", pixels), GREY_MAP), TRUTH)


def test_colours(tmp_path: Path) -> None:
    path = saved(tmp_path / "m", recoded(COLOURS, 3))
    assert np.array_equal(one(path, f"{COLOUR_MAP},#000000=ignore"), TRUTH)
    # Black says nothing in our own masks; for a colour map it must be said.
    assert "codes that nobody explained" not in refused(path, label_names(COLOUR_MAP))


def test_the_colours_of_the_study_need_no_map(tmp_path: Path) -> None:
    schema = ClassSchema(("#111111", "#ff0000", "#00ff00", "#0000ff"))
    palette = schema.palette()
    path = saved(tmp_path / "m", palette[TRUTH])
    with reading(path, lambda _: FRAME, schema=schema) as found:
        (image,) = found.images
    assert image.painted is not None
    assert np.array_equal(image.painted.classes, TRUTH)


def test_what_is_transparent_is_not_painted(tmp_path: Path) -> None:
    pixels = np.dstack([recoded(COLOURS, 3), np.where(TRUTH == 255, 0, 255).astype(np.uint8)])
    assert np.array_equal(one(saved(tmp_path / "m", pixels), COLOUR_MAP), TRUTH)


@pytest.mark.parametrize(
    "names", ["1=bone,2=bg,3=cell,4=fat,0=ignore", f"{COLOUR_MAP},#000000=ignore"]
)
def test_a_palette_is_read_by_number_or_by_colour(tmp_path: Path, names: str) -> None:
    numbers = {3: 1, 0: 2, 2: 3, 1: 4, 255: 0}
    picture = Image.fromarray(recoded(numbers), "L").copy()
    picture.putpalette([v for code in (255, 3, 0, 2, 1) for v in COLOURS[code]])
    (tmp_path / "m").mkdir()
    picture.save(tmp_path / "m" / "a.png")
    assert np.array_equal(one(tmp_path / "m", names), TRUTH)


def test_a_palette_whose_colours_contradict_its_numbers_is_refused(tmp_path: Path) -> None:
    picture = Image.fromarray(recoded({0: 0, 1: 1, 2: 2, 3: 3, 255: 4}), "L")
    picture.putpalette([0, 0, 0, *DEFAULT_SCHEMA.rgb("bone"), 1, 2, 3, 4, 5, 6, 7, 8, 9])
    (tmp_path / "m").mkdir()
    picture.save(tmp_path / "m" / "a.png")
    assert "#000080 of bone as number 1, which is fat" in refused(tmp_path / "m")


def test_a_mask_of_one_bit_needs_a_map(tmp_path: Path) -> None:
    path = saved(tmp_path / "m", TRUTH == 3)
    assert "black and white" in refused(path)
    for names in ("1=bone,0=ignore", "255=bone,0=ignore"):
        assert np.array_equal(one(path, names) == BONE, TRUTH == 3)
    assert set(np.unique(one(path, "1=bone,0=bg"))) == {BG, BONE}


@pytest.mark.parametrize("other", [0, 255])
def test_black_and_white_needs_a_map(tmp_path: Path, other: int) -> None:
    pixels = np.where(TRUTH == 1, other, 0).astype(np.uint8)
    path = saved(tmp_path / "m", pixels)
    assert "--map '255=bone,0=ignore'" in refused(path)
    assert np.array_equal(one(path, "0=bg,255=cell") == CELL, pixels == 255)


def test_our_codes_hold_only_beside_a_map_that_agrees_with_them(tmp_path: Path) -> None:
    path = saved(tmp_path / "m", TRUTH)
    assert np.array_equal(one(path, "adipocyte=fat,vessel=ignore,0=bg,255=ignore"), TRUTH)
    images, notes = read_by_name(path, label_names("1=bone,2=cell,255=ignore,0=bg"))
    found = classes_of(images, "a")
    assert (found[TRUTH == 1] == BONE).all()
    assert (found[TRUTH == 3] == UNLABELLED).all()
    assert "label '3' is none of our classes (1 time(s), in a.png)" in notes[0]


def test_unknown_codes_stay_open_and_are_told_up_to_half_of_the_picture(tmp_path: Path) -> None:
    pixels = np.full(FRAME, CELL, np.uint8)
    pixels[: FRAME[0] // 2] = 7
    path = saved(tmp_path / "m", pixels)
    images, notes = read_by_name(path)
    assert (classes_of(images, "a")[: FRAME[0] // 2] == UNLABELLED).all()
    assert "label '7' is none of our classes" in notes[-1]
    pixels[: FRAME[0] // 2 + 1] = 7
    why = refused(saved(tmp_path / "m", pixels))
    assert why.startswith("51 % of its pixels have codes that nobody explained: 7 (51 %); say")


def test_a_picture_is_no_mask(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (*FRAME, 3)).astype(np.uint8)
    assert "it looks like a picture, not like a mask" in refused(saved(tmp_path / "m", noise))


def test_pictures_may_lie_beside_their_masks(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (*FRAME, 3)).astype(np.uint8)
    path = saved(saved(tmp_path / "m", noise, "a.png"), TRUTH, "a_mask.png")
    (path / "classes.json").write_text('{"0": "bg"}', "utf-8")
    with reading(path, lambda name: FRAME if name == "a" else None) as found:
        (image,) = found.images
    assert image.painted is not None
    assert np.array_equal(image.painted.classes, TRUTH)


def test_one_bad_mask_does_not_stop_the_others(tmp_path: Path) -> None:
    path = saved(tmp_path / "m", TRUTH)
    saved(path, TRUTH[:, :-1], "small.png")
    (path / "cut.png").write_bytes(png_of(TRUTH)[:200])
    (path / "no.png").write_bytes(b"GIF89a")
    images, _ = read_by_name(path)
    assert np.array_equal(classes_of(images, "a"), TRUTH)
    assert "expected 120 x 90 pixels, as in the study, got 119 x 90" in images["small.png"].refused
    assert "not a whole PNG" in images["cut.png"].refused
    assert "not a whole PNG" in images["no.png"].refused


def test_pieces_take_the_place_of_instances(tmp_path: Path) -> None:
    pixels = np.full(FRAME, 255, np.uint8)
    pixels[5:10, 5:10] = pixels[20:30, 5:10] = FAT
    images, _ = read_by_name(saved(tmp_path / "m", pixels))
    painted = images["a"].painted
    assert painted is not None
    assert sorted(np.unique(painted.instances)) == [0, 1, 2]


# Names


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("Fall 12_mask", "Fall 12"),
        ("a-labels", "a"),
        ("a_Label", "a"),
        ("a.tif_MASK", "a.tif"),
        ("a_segmentation", "a"),
        ("a_gt", "a"),
        ("a_annotations", "a"),
    ],
)
def test_endings_of_masks(name: str, stem: str) -> None:
    assert image_stems(name) == [name, stem]


@pytest.mark.parametrize("name", ["a_2", "gt", "_mask", "unmasked", "amask"])
def test_other_names_have_no_ending(name: str) -> None:
    assert image_stems(name) == [name]


def found_names(path: Path, known: set[str]) -> list[Corrected]:
    with reading(path, lambda name: FRAME if name in known else None) as found:
        return list(found.images)


def test_the_whole_name_goes_before_the_name_without_its_ending(tmp_path: Path) -> None:
    path = saved(tmp_path / "m", TRUTH, "a_mask.png")
    assert [image.name for image in found_names(path, {"a", "a_mask"})] == ["a_mask"]
    assert [image.name for image in found_names(path, {"a"})] == ["a"]
    (unknown,) = found_names(path, {"b"})
    assert (unknown.name, unknown.painted) == ("a_mask.png", None)


def test_masks_in_a_zip_and_in_folders(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "x.zip", {"lab/masks/a.PNG": png_of(TRUTH), ".DS_Store": b"x"})
    assert np.array_equal(one(path), TRUTH)


def test_jpeg_masks_are_refused_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "m"
    path.mkdir()
    Image.fromarray(TRUTH).save(path / "a.jpg")
    with pytest.raises(UsageError, match="JPEG has other codes"):
        read_by_name(path)

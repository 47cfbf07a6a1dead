"""Drawn tissue must look like what its truth says, at every magnification."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from annotator.core.classes import BG, BONE, CELL, FAT, UNLABELLED
from annotator.core.errors import SettingsError
from annotator.imaging.codecs import decode_png
from annotator.synthetic.tissue_fields import (
    TissueField,
    TissueSettings,
    make_tissue_field,
    tissue_set,
    write_tissue_field,
)
from annotator.synthetic.tissue_settings import SCALES

SMALL = (200, 320)
# What a field of each kind must show; what else it shows is left to chance.
CLASSES = {
    "adipose": {FAT},
    "torn adipose": {FAT, BG},
    "bone": {BONE},
    "bone on slide": {BONE, BG},
    "trabeculae on slide": {BONE},
    "bone fragments": {BONE, BG},
    "bone in tissue": {BONE},
    "cartilage": {BONE},
    "calcified bone": {BONE},
    "fibrous tissue": {CELL},
    "loose tissue": {CELL},
    "core": {CELL, BG},
    "mixed": set(),
}


@pytest.fixture(scope="module")
def drawn() -> tuple[TissueField, ...]:
    return tuple(make_tissue_field(s) for s in tissue_set(20, SMALL))


def lightness(field: TissueField) -> np.ndarray:
    scaled = field.image.pixels.astype(np.float32) / 255
    return cv2.cvtColor(scaled, cv2.COLOR_RGB2LAB)[..., 0]


def share(field: TissueField, code: int) -> float:
    return float(np.mean(field.codes == code))


def test_equal_settings_give_equal_pixels_and_another_seed_others() -> None:
    settings = TissueSettings(seed=3, shape=SMALL, kind="mixed", printed=5, jpeg=80, pleats=1)
    one, two = make_tissue_field(settings), make_tissue_field(settings)
    assert one.image.id == two.image.id
    assert np.array_equal(one.codes, two.codes)
    assert np.array_equal(one.instances, two.instances)
    assert make_tissue_field(replace(settings, seed=4)).image.id != one.image.id


def test_another_camera_leaves_the_truth() -> None:
    settings = TissueSettings(seed=4, shape=SMALL, kind="bone in tissue")
    other = replace(settings, haematoxylin=1.4, white=(230, 229, 232), blur=1.0, film=1.0)
    one, two = make_tissue_field(settings), make_tissue_field(other)
    assert one.image.id != two.image.id
    assert np.array_equal(one.codes, two.codes)


@pytest.mark.parametrize("kind", SCALES)
def test_every_kind_shows_its_classes(kind: str) -> None:
    um = 5.0 if kind == "core" else 1.4
    shown = [
        make_tissue_field(TissueSettings(seed=seed, shape=SMALL, um_per_px=um, kind=kind))
        for seed in range(3)
    ]
    for code in CLASSES[kind]:
        assert np.mean([share(field, code) for field in shown]) > 0.03


@pytest.mark.slow
@pytest.mark.parametrize("um", [0.1, 0.25, 1.0, 4.0, 10.0])
@pytest.mark.parametrize("kind", SCALES)
def test_every_kind_can_be_drawn_at_every_scale(kind: str, um: float) -> None:
    field = make_tissue_field(TissueSettings(seed=5, shape=(128, 160), um_per_px=um, kind=kind))
    assert field.codes.shape == field.instances.shape == field.image.shape == (128, 160)
    assert set(np.unique(field.codes)) <= {BG, FAT, CELL, BONE, UNLABELLED}
    assert share(field, UNLABELLED) < 0.85
    assert field.image.um_per_px == um


def test_lumens_and_slide_are_white_and_tissue_is_stained(drawn: tuple[TissueField, ...]) -> None:
    for field in drawn:
        light, white = lightness(field), max(field.settings.white) / 255 * 100
        for code in (BG, FAT):
            if share(field, code) > 0.01:
                assert np.median(light[field.codes == code]) > white - 9, field.settings
        if share(field, BONE) > 0.01:
            red, green, _ = field.image.pixels[field.codes == BONE].mean(axis=0)
            assert light[field.codes == BONE].mean() < white - 8, field.settings
            assert red > green + 8


def test_adipose_tissue_is_nearly_all_fat_in_whole_adipocytes() -> None:
    settings = [TissueSettings(seed=s, shape=(400, 500), kind="adipose") for s in range(4)]
    fields_of_fat = [make_tissue_field(s) for s in settings]
    assert max(share(field, FAT) for field in fields_of_fat) > 0.75
    for field in fields_of_fat:
        ids = field.instances
        assert ids.dtype == np.uint16
        assert np.array_equal(np.unique(ids[ids > 0]), np.arange(1, ids.max() + 1))
        assert np.all(ids[field.codes == FAT] > 0)
        assert np.isin(field.codes[ids > 0], (FAT, UNLABELLED)).all()
        # Thin membranes shade the band between adipocytes, which does not count.
        light = lightness(field)
        between = (field.codes == UNLABELLED) & (ids > 0)
        assert light[between].mean() < light[field.codes == FAT].mean() - 1


def test_boundaries_are_not_counted(drawn: tuple[TissueField, ...]) -> None:
    for field in drawn:
        codes = field.codes
        for one, two in ((codes[1:], codes[:-1]), (codes[:, 1:], codes[:, :-1])):
            meet = (one != two) & (one != UNLABELLED) & (two != UNLABELLED)
            assert not meet.any()


def test_print_lies_over_the_picture_and_does_not_count() -> None:
    plain = TissueSettings(seed=2, shape=SMALL, kind="bone on slide", blur=0.0, noise=0.0)
    one = make_tissue_field(plain)
    two = make_tissue_field(replace(plain, printed=12))
    changed = (one.image.pixels != two.image.pixels).any(axis=2)
    assert 0.002 < changed.mean() < 0.4
    assert (two.codes[changed] == UNLABELLED).all()


def test_slide_can_fill_most_of_a_field_and_bone_all_of_it(drawn: tuple[TissueField, ...]) -> None:
    kinds = [
        make_tissue_field(TissueSettings(seed=s, shape=SMALL, um_per_px=1.0, kind=kind))
        for s in range(8)
        for kind in ("bone on slide", "bone")
    ]
    assert max(share(f, BG) for f in kinds) > 0.6
    assert max(share(f, BONE) for f in kinds) > 0.9
    assert len({round(share(f, CELL), 1) for f in drawn}) > 4


def test_the_set_is_wide_and_a_longer_one_begins_with_the_shorter() -> None:
    wide = tissue_set(80)
    assert wide[:20] == tissue_set(20)
    assert tissue_set(6, seed=1) != tissue_set(6)
    assert {s.kind for s in wide} == set(SCALES)
    um = np.array([s.um_per_px for s in wide])
    assert um.min() < 0.3 and um.max() > 6.0
    white = np.array([max(s.white) for s in wide])
    assert white.min() < 232 and white.max() > 250
    assert 4 <= sum(s.printed > 0 for s in wide) <= 14
    assert len({s.seed for s in wide}) == 80


def test_files_hold_what_was_drawn(tmp_path: Path) -> None:
    settings = TissueSettings(seed=1, shape=(96, 128), kind="adipose", um_per_px=2.0)
    for name in ("images", "gt", "instances"):
        (tmp_path / name).mkdir()
    write_tissue_field(settings, "field-1.png", tmp_path)
    field = make_tissue_field(settings)
    image = cv2.imread(str(tmp_path / "images" / "field-1.png"))[..., ::-1]
    assert np.array_equal(image, field.image.pixels)
    for name, drawn in (("gt", field.codes), ("instances", field.instances)):
        assert np.array_equal(decode_png((tmp_path / name / "field-1.png").read_bytes()), drawn)


def test_bad_settings_are_refused_with_their_name() -> None:
    with pytest.raises(SettingsError, match="kind"):
        TissueSettings(kind="muscle")
    with pytest.raises(SettingsError, match="um_per_px"):
        TissueSettings(um_per_px=20.0)
    assert all(f.metadata["doc"].endswith(".") for f in fields(TissueSettings))

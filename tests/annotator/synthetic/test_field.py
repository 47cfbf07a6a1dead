"""The phantom is the ground that the segmenter stands on: its truth must be exact."""

from dataclasses import fields, replace

import cv2
import numpy as np
import pytest

from annotator.core.classes import BG, BONE, CELL, FAT
from annotator.core.errors import SettingsError
from annotator.synthetic.field import Phantom, make_phantom
from annotator.synthetic.settings import PhantomSettings, phantom_set

SMALL = (300, 480)


@pytest.fixture(scope="module")
def demo() -> tuple[Phantom, ...]:
    return tuple(make_phantom(s) for s in phantom_set(6, SMALL))


def lightness(phantom: Phantom) -> np.ndarray:
    scaled = phantom.image.pixels.astype(np.float32) / 255
    return cv2.cvtColor(scaled, cv2.COLOR_RGB2LAB)[..., 0]


def test_equal_settings_give_equal_pixels() -> None:
    settings = PhantomSettings(seed=3, shape=(120, 160), bone=0.2, edge=0.1, folds=0.5, jpeg=80)
    one, two = make_phantom(settings), make_phantom(settings)
    assert one.image.id == two.image.id
    assert np.array_equal(one.classes, two.classes)
    assert np.array_equal(one.instances, two.instances)


def test_another_seed_gives_another_field() -> None:
    settings = PhantomSettings(shape=(120, 160))
    other = make_phantom(replace(settings, seed=1))
    assert make_phantom(settings).image.id != other.image.id


def test_the_look_does_not_move_the_truth() -> None:
    settings = PhantomSettings(seed=4, shape=(120, 160), um_per_px=1.0, bone=0.2)
    stained = replace(
        settings, stained_fat=0.9, folds=0.9, haematoxylin=1.4, white=(215, 215, 225), blur=1.2
    )
    one, two = make_phantom(settings), make_phantom(stained)
    assert np.array_equal(one.instances, two.instances)
    fat = one.classes == FAT
    assert lightness(two)[fat].mean() < lightness(one)[fat].mean() - 3


def test_a_wall_thinner_than_a_pixel_still_shades_the_lumens_it_parts() -> None:
    phantom = make_phantom(
        PhantomSettings(
            shape=SMALL, um_per_px=3.0, cellularity=0.15, broken=0.0, stained_fat=0.0, folds=0.0
        )
    )
    ids = phantom.instances
    seam = np.zeros(SMALL, bool)
    seam[:, 1:] = (ids[:, 1:] != ids[:, :-1]) & (ids[:, 1:] > 0) & (ids[:, :-1] > 0)
    light, fat = lightness(phantom), phantom.classes == FAT
    assert seam.sum() > 100
    assert light[seam].mean() < np.median(light[fat]) - 3


def test_every_setting_says_what_it_is() -> None:
    assert all(f.metadata["doc"].endswith(".") for f in fields(PhantomSettings))


@pytest.mark.slow
def test_arrays_have_the_promised_form(demo: tuple[Phantom, ...]) -> None:
    for phantom in demo:
        assert phantom.image.shape == phantom.classes.shape == phantom.instances.shape == SMALL
        assert phantom.classes.dtype == np.uint8
        assert phantom.instances.dtype == np.int32
        assert phantom.image.um_per_px == phantom.settings.um_per_px
        assert not phantom.classes.flags.writeable


@pytest.mark.slow
def test_every_pixel_is_labelled_and_every_instance_is_one_thing(demo: tuple[Phantom, ...]) -> None:
    for phantom in demo:
        solid = (phantom.classes == FAT) | (phantom.classes == BONE)
        assert phantom.classes.max() <= BONE
        assert np.array_equal(phantom.instances > 0, solid)
        for value in range(1, phantom.instances.max() + 1):
            mask = phantom.instances == value
            assert len(np.unique(phantom.classes[mask])) == 1
            assert cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)[0] == 2


def test_background_has_no_specks(demo: tuple[Phantom, ...]) -> None:
    for phantom in demo:
        bg = (phantom.classes == BG).astype(np.uint8)
        areas = cv2.connectedComponentsWithStats(bg, connectivity=4)[2][1:, cv2.CC_STAT_AREA]
        assert np.all(areas * phantom.settings.um_per_px**2 >= 55.0)


@pytest.mark.slow
def test_contents_follow_the_settings() -> None:
    for cellularity in (0.2, 0.5, 0.85):
        settings = PhantomSettings(shape=SMALL, um_per_px=1.0, cellularity=cellularity, seed=2)
        classes = make_phantom(settings).classes
        fat, cell = np.mean(classes == FAT), np.mean(classes == CELL)
        assert cell / (cell + fat) == pytest.approx(cellularity, abs=0.06)
    settings = PhantomSettings(shape=SMALL, um_per_px=2.0, bone=0.25, edge=0.2)
    classes = make_phantom(settings).classes
    assert np.mean(classes == BONE) == pytest.approx(0.25, abs=0.1)
    assert np.mean(classes == BG) > 0.18


def test_classes_have_their_colours(demo: tuple[Phantom, ...]) -> None:
    for phantom in demo:
        light, rgb = lightness(phantom), phantom.image.pixels.astype(float)
        cell = phantom.classes == CELL
        for white in (FAT, BG):
            mask = phantom.classes == white
            if mask.mean() > 0.01:
                assert light[mask].mean() > light[cell].mean() + 15
        for stained in (CELL, BONE):
            mask = phantom.classes == stained
            if mask.any():
                red, green, blue = rgb[mask].mean(axis=0)
                assert red > green + 15
                assert blue > green


def test_nuclei_lie_in_tissue_and_are_many_enough() -> None:
    phantom = make_phantom(PhantomSettings(shape=SMALL, um_per_px=0.5, honeycomb=0.1, blood=0.0))
    dark = lightness(phantom) < 45
    cell = phantom.classes == CELL
    assert 0.08 < dark[cell].mean() < 0.5
    assert dark[phantom.classes == FAT].mean() < 0.02


@pytest.mark.slow
def test_adipocytes_keep_their_size_in_microns() -> None:
    sizes = []
    for um, shape in ((0.5, (600, 600)), (2.0, (300, 300))):
        settings = PhantomSettings(shape=shape, um_per_px=um, cellularity=0.5, seed=5)
        phantom = make_phantom(settings)
        areas = np.bincount(phantom.instances.ravel())[1:] * um**2
        sizes.append(2 * np.sqrt(np.median(areas) / np.pi))
    assert 30 < sizes[0] < 90
    assert sizes[0] == pytest.approx(sizes[1], rel=0.25)


def test_bone_at_high_magnification_can_fill_the_field() -> None:
    phantom = make_phantom(PhantomSettings(shape=SMALL, um_per_px=0.25, bone=0.5))
    assert np.mean(phantom.classes == BONE) > 0.35


def test_the_set_is_wide_and_a_longer_one_begins_with_the_shorter() -> None:
    wide = phantom_set(40)
    assert wide[:6] == phantom_set(6)
    assert phantom_set(6, seed=1) != phantom_set(6)
    um = np.array([s.um_per_px for s in wide])
    assert um.min() < 0.35 and um.max() > 3.0
    assert 15 <= sum(s.bone > 0 for s in wide) <= 30
    assert sum(s.bone > 0.4 for s in wide) >= 2
    assert sum(s.edge > 0 for s in wide) >= 8
    assert min(s.cellularity for s in wide) < 0.2 < 0.85 < max(s.cellularity for s in wide)
    assert min(max(s.white) for s in wide) <= 215 < 240 <= max(max(s.white) for s in wide)
    assert len({s.seed for s in wide}) == 40


def test_the_demonstration_shows_every_class(demo: tuple[Phantom, ...]) -> None:
    assert sum((p.classes == BONE).any() for p in demo) >= 3
    assert sum(p.settings.edge > 0 for p in demo) >= 1
    assert sum(p.settings.folds >= 0.4 and p.settings.stained_fat >= 0.4 for p in demo) >= 1
    assert all((p.classes == FAT).any() for p in demo)


def test_bad_settings_are_refused_with_their_name() -> None:
    with pytest.raises(SettingsError, match="cellularity"):
        PhantomSettings(cellularity=1.5)
    with pytest.raises(SettingsError, match="shape"):
        PhantomSettings(shape=(10, 10))

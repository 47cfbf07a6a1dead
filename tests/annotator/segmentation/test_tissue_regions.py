"""Stained regions: bone whole, the rest in compact pieces, nothing twice."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from annotator.core.classes import BONE, CELL
from annotator.imaging.stains import red_density
from annotator.imaging.white import to_lab, white_reference, whiteness
from annotator.segmentation.tissue_regions import enlarge, stain_planes, tissue_regions
from annotator.synthetic.field import make_phantom
from annotator.synthetic.settings import PhantomSettings

SLIDE, PINK, NUCLEUS = (236, 230, 238), (214, 130, 180), (85, 55, 125)


def drawn(um_per_px=0.5, shape=(300, 400)):
    """Left half: smooth pink bone; right half: tissue full of nuclei; a white band between."""
    rng = np.random.default_rng(0)
    height, width = shape
    pixels = np.array(PINK) + rng.normal(0, 1.0, (*shape, 3))
    nuclei = np.zeros(shape, np.uint8)
    size = max(2, round(3 / um_per_px))
    for y in range(0, height, 3 * size):
        for x in range(width // 2, width, 3 * size):
            jitter = rng.integers(-size // 2, size // 2 + 1, 2)
            cv2.circle(nuclei, (x + int(jitter[0]), y + int(jitter[1])), size, 1, -1)
    pixels[nuclei > 0] = NUCLEUS
    pixels[:, int(width * 0.45) : int(width * 0.55)] = SLIDE
    return np.clip(pixels, 0, 255).astype(np.uint8)


def planes_of(pixels, reference, white, um_per_px):
    density = red_density(pixels, reference)
    return stain_planes(cv2.split(to_lab(pixels)), density, white, um_per_px)


def cut(pixels, um_per_px=0.5):
    """Smooth and compact labels, and the white that was given."""
    reference = white_reference(pixels)
    white = whiteness(pixels, reference) <= reference.threshold
    stain = planes_of(pixels, reference, white, um_per_px)
    return *tissue_regions(stain, pixels.shape[:2]), white


@pytest.mark.parametrize("um_per_px", [0.25, 0.5, 1.0])
def test_smooth_eosinophilic_tissue_is_kept_whole_and_busy_tissue_is_not(um_per_px):
    pixels = drawn(um_per_px, (round(150 / um_per_px), round(200 / um_per_px)))
    smooth, compact, _ = cut(pixels, um_per_px)
    width = pixels.shape[1]
    bone, tissue = np.s_[:, : int(width * 0.42)], np.s_[:, int(width * 0.58) :]
    assert len(np.unique(smooth[bone][smooth[bone] > 0])) == 1
    assert (smooth[bone] > 0).mean() > 0.9
    assert (smooth[tissue] > 0).mean() < 0.02
    assert len(np.unique(compact[tissue])) > 5


def test_every_stained_pixel_is_claimed_by_exactly_one_region():
    smooth, compact, white = cut(drawn())
    claims = (smooth > 0).astype(int) + (compact > 0)
    assert claims.max() == 1
    # The grid of the planes is coarser than the image: a pixel at an edge may differ.
    assert (claims[~white] == 1).mean() > 0.98
    assert (claims[white] == 0).mean() > 0.95


def test_compact_regions_are_compact_and_of_a_size():
    _, compact, _ = cut(drawn())
    areas = np.bincount(compact.ravel())[1:]
    areas = areas[areas > 0]
    # Spacing is 20 um or more: 40 px, 1600 px of area.
    assert 400 < np.median(areas) < 6000


def test_two_runs_are_equal():
    one, two = cut(drawn()), cut(drawn())
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))


def test_labels_have_the_shape_of_the_image_and_are_int32():
    for labels in cut(drawn(shape=(97, 211)))[:2]:
        assert labels.shape == (97, 211) and labels.dtype == np.int32
        assert labels.min() == 0


@pytest.mark.parametrize("colour", [PINK, NUCLEUS, (0, 0, 0), (120, 120, 120)])
@pytest.mark.parametrize("shape", [(5, 7), (32, 32), (200, 90)])
def test_an_image_of_one_colour_all_stained(colour, shape):
    pixels = np.full((*shape, 3), colour, np.uint8)
    stain = planes_of(pixels, white_reference(drawn()), np.zeros(shape, np.bool_), 0.5)
    smooth, compact = tissue_regions(stain, shape)
    claims = (smooth > 0).astype(int) + (compact > 0)
    assert claims.max() <= 1
    assert claims.mean() > 0.95 or np.prod(shape) < 16 * 4


@pytest.mark.parametrize("shape", [(1, 1), (32, 32), (120, 160)])
def test_all_white_gives_nothing(shape):
    pixels = np.full((*shape, 3), 240, np.uint8)
    smooth, compact, white = cut(pixels)
    assert white.all()
    assert not smooth.any() and not compact.any()


@pytest.mark.slow
@pytest.mark.parametrize("um_per_px", [0.5, 1.0])
def test_bone_of_a_phantom_is_found_and_cells_are_not(um_per_px):
    asked = PhantomSettings(
        seed=4, shape=(400, 500), um_per_px=um_per_px, bone=0.3, cellularity=0.7
    )
    phantom = make_phantom(asked)
    smooth, _, _ = cut(phantom.image.pixels, um_per_px)
    assert (smooth > 0)[phantom.classes == BONE].mean() > 0.7
    assert (smooth > 0)[phantom.classes == CELL].mean() < 0.15


def test_planes_have_a_grid_of_about_a_micron():
    pixels = drawn(0.25, (400, 600))
    reference = white_reference(pixels)
    white = np.zeros((400, 600), np.bool_)
    white[:, 300:] = True
    stain = planes_of(pixels, reference, white, 0.25)
    assert stain.um == pytest.approx(1.0)
    assert stain.lab.shape == (100, 150, 3)
    for plane in (stain.nuclear, stain.busy, stain.white):
        assert plane.shape == (100, 150)
    assert (stain.white[:, :75] == 0).all() and (stain.white[:, 75:] == 1).all()
    assert 0 <= stain.nuclear.min() <= stain.nuclear.max() <= 1


def test_coarse_images_are_never_enlarged_for_the_planes():
    pixels = drawn(2.0, (100, 120))
    stain = planes_of(pixels, white_reference(pixels), np.zeros((100, 120), np.bool_), 2.0)
    assert stain.um == 2.0
    assert stain.white.shape == (100, 120)


def test_nuclei_are_nuclear_and_plain_eosin_is_not():
    stain = planes_of(drawn(), white_reference(drawn()), np.zeros((300, 400), np.bool_), 0.5)
    width = stain.nuclear.shape[1]
    assert stain.nuclear[:, int(width * 0.6) :].mean() > 0.1
    assert stain.nuclear[:, : int(width * 0.4)].mean() < 0.01


def test_enlarging_repeats_the_labels():
    labels = np.array([[1, 2], [0, 70_000]], np.int32)
    assert np.array_equal(enlarge(labels, (4, 6)), np.kron(labels, np.ones((2, 3), np.int32)))

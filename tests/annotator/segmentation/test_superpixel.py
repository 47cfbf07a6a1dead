"""The embedded proposer: nothing twice, next to nothing left out, at any magnification."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from annotator.core.classes import BONE, FAT
from annotator.core.objects import Image, ImageObjects
from annotator.imaging.appearance import Appearance
from annotator.segmentation.superpixel import SuperpixelProposer
from annotator.settings.annotation import SuperpixelSettings
from annotator.synthetic.field import Phantom, make_phantom
from annotator.synthetic.settings import PhantomSettings

PROPOSER = SuperpixelProposer()
# Scale of the field, and its shape: a dozen adipocytes or more where that is quick.
FIELDS = [(0.2, (500, 700)), (0.5, (400, 500)), (1.0, (400, 500)), (2.0, (240, 320))]


def phantom(um_per_px=0.5, shape=(300, 400), **changes):
    return make_phantom(PhantomSettings(seed=1, shape=shape, um_per_px=um_per_px, **changes))


@pytest.fixture(scope="module")
def field() -> Phantom:
    return phantom(bone=0.2, edge=0.1)


@pytest.fixture(scope="module")
def found(field) -> ImageObjects:
    return PROPOSER.propose(Appearance(field.image))


def flat(colour, shape=(120, 160), um_per_px=0.5):
    return Image.from_pixels(np.full((*shape, 3), colour, np.uint8), um_per_px)


def recall(truth: Phantom, objects: ImageObjects) -> float:
    """Share of the adipocytes that one object covers with an IoU over 0.5."""
    labels, areas = objects.label_map(), objects.areas()
    hits = []
    for value in np.unique(truth.instances[truth.classes == FAT]):
        under = labels[truth.instances == value]
        shared = np.bincount(under, minlength=2)[1:]
        best = int(shared.argmax())
        union = len(under) + int(areas[best]) - int(shared[best])
        hits.append(shared[best] / union > 0.5)
    return float(np.mean(hits))


# What it promises of any image


@pytest.mark.slow
def test_no_pixel_belongs_to_two_objects(found):
    assert found.coverage().max() == 1


def test_nearly_every_stained_pixel_belongs_to_one(field, found):
    stained = ~Appearance(field.image.at_scale(0.5)).smooth_white
    assert (found.coverage() == 1)[stained].mean() > 0.95


def test_objects_belong_to_the_image_and_are_counted_through(field, found):
    assert (found.image_id, found.shape) == (field.image.id, field.image.shape)
    assert found.ids.tolist() == list(range(1, len(found) + 1))
    assert np.isnan(found.scores).all() and np.isnan(found.stability).all()


def test_white_lies_in_white_objects_and_stain_in_stained_ones(field, found):
    white = Appearance(field.image.at_scale(0.5)).smooth_white
    labels = found.label_map()
    share = np.bincount(labels.ravel(), white.ravel()) / np.maximum(np.bincount(labels.ravel()), 1)
    # Gaps between cells and debris in lumens are meant to be on the other side.
    assert ((share > 0.5)[labels] == white)[labels > 0].mean() > 0.95


def test_two_runs_are_equal(field, found):
    again = PROPOSER.propose(Appearance(field.image))
    assert np.array_equal(again.label_map(), found.label_map())
    assert np.array_equal(again.boxes, found.boxes)


@pytest.mark.parametrize("colour", [(236, 230, 238), (255, 255, 255)])
def test_an_all_white_image_is_one_object(colour):
    objects = PROPOSER.propose(Appearance(flat(colour)))
    assert objects.areas().tolist() == [120 * 160]


@pytest.mark.parametrize(
    "colour", [(214, 140, 185), (90, 60, 130), (0, 0, 0), (255, 0, 0)], ids=str
)
def test_an_image_of_one_stain_is_cut_without_gaps_or_overlaps(colour):
    coverage = PROPOSER.propose(Appearance(flat(colour))).coverage()
    assert coverage.max() == 1
    assert coverage.mean() > 0.95


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (9, 9), (32, 32)])
@pytest.mark.parametrize("um_per_px", [0.2, 2.0, None])
@pytest.mark.parametrize("seed", [0, 1, None])
def test_tiny_images(shape, um_per_px, seed):
    if seed is None:
        pixels = np.full((*shape, 3), 238, np.uint8)
    else:
        pixels = np.random.default_rng(seed).integers(0, 256, (*shape, 3)).astype(np.uint8)
    objects = PROPOSER.propose(Appearance(Image.from_pixels(pixels, um_per_px)))
    assert objects.shape == shape
    assert objects.coverage().max() <= 1


# What it finds


@pytest.mark.slow
@pytest.mark.parametrize(("um_per_px", "shape"), FIELDS, ids=[str(um) for um, _ in FIELDS])
def test_adipocytes_are_found_one_by_one_at_every_magnification(um_per_px, shape):
    truth = phantom(um_per_px, shape)
    objects = PROPOSER.propose(Appearance(truth.image))
    assert recall(truth, objects) > 0.85


@pytest.mark.slow
@pytest.mark.parametrize("um_per_px", [0.25, 0.5, 1.0])
def test_adipocytes_are_found_when_nobody_tells_the_scale(um_per_px):
    truth = phantom(um_per_px, (400, 500))
    objects = PROPOSER.propose(Appearance(replace(truth.image, um_per_px=None)))
    assert recall(truth, objects) > 0.8


@pytest.mark.slow
@pytest.mark.parametrize("white", [(206, 204, 212), (246, 246, 246), (244, 241, 228)], ids=str)
def test_adipocytes_are_found_on_any_slide(white):
    truth = phantom(1.0, white=white)
    assert recall(truth, PROPOSER.propose(Appearance(truth.image))) > 0.85


@pytest.mark.slow
def test_adipocytes_under_folds_and_with_haze_are_found():
    truth = phantom(0.75, (400, 500), folds=0.5, stained_fat=0.3)
    assert recall(truth, PROPOSER.propose(Appearance(truth.image))) > 0.7


@pytest.mark.slow
def test_stained_pieces_take_nothing_from_adipocytes():
    truth = phantom(0.2, (400, 500))
    labels = PROPOSER.propose(Appearance(truth.image)).label_map()
    outlines = []
    for value in np.unique(truth.instances[truth.classes == FAT]):
        mask = truth.instances == value
        best = labels == np.bincount(labels[mask]).argmax()
        outlines.append(np.count_nonzero(mask & best) / np.count_nonzero(mask | best))
    assert np.median(outlines) > 0.95


def test_bone_lies_in_few_objects(field, found):
    labels = found.label_map()
    bone = np.bincount(labels[field.classes == BONE], minlength=len(found) + 1)[1:]
    mostly = bone > 0.6 * found.areas()
    assert bone[mostly].sum() > 0.7 * np.count_nonzero(field.classes == BONE)
    assert bone.max() > 0.3 * bone.sum()


# What stands for it


def test_the_fingerprint_tells_settings_apart():
    assert PROPOSER.name == "superpixel"
    assert re.fullmatch("[0-9a-f]{16}", PROPOSER.fingerprint)
    assert PROPOSER.fingerprint == SuperpixelProposer(SuperpixelSettings()).fingerprint
    other = SuperpixelProposer(SuperpixelSettings(grid_um=1.0))
    assert other.fingerprint != PROPOSER.fingerprint


def test_a_coarser_grid_finds_the_same_adipocytes():
    truth = phantom(0.25, (400, 500))
    coarse = SuperpixelProposer(SuperpixelSettings(grid_um=1.0)).propose(Appearance(truth.image))
    assert coarse.shape == truth.image.shape
    assert recall(truth, coarse) > 0.75


@pytest.mark.slow
def test_it_proposes_without_torch():
    code = """
import sys
import numpy as np
from annotator.core.objects import Image
from annotator.imaging.appearance import Appearance
from annotator.segmentation.superpixel import SuperpixelProposer
pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
print(len(SuperpixelProposer().propose(Appearance(Image.from_pixels(pixels, 0.5)))))
print(*sorted(name for name in sys.modules if name.split(".")[0] in ("torch", "torchvision")))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    count, loaded = done.stdout.split("\n")[:2]
    assert int(count) > 0
    assert loaded == ""

"""The straight line for one image: what it keeps true, and what its keys tell apart."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from support.pipeline_fakes import BandSource, field

from active_learning.classification import Classification
from annotator.core.classes import BONE, CELL, FAT, ClassSchema
from annotator.core.objects import Image, objects_from_masks
from annotator.imaging.appearance import Appearance
from annotator.pipeline.steps import (
    annotation_key,
    classify_image,
    describe_image,
    objects_key,
    propose,
    propose_key,
    union,
)
from annotator.settings.annotation import CellMaskSettings
from annotator.settings.study import Settings
from features.table import FeatureTable

SETTINGS = Settings()


class Always:
    """A classifier of one opinion."""

    source = "model"

    def __init__(self, code: int) -> None:
        self.code = code
        self.fingerprint = f"always {code}"

    def classify(self, table: FeatureTable) -> Classification:
        odds = np.zeros((len(table), 4))
        odds[:, self.code] = 9.0
        return Classification.of(odds)


@pytest.fixture(scope="module")
def image() -> Image:
    return Image.from_pixels(field(3))


def test_looking_gives_a_row_for_each_object_and_the_white_is_claimed(image: Image):
    proposed = propose(Appearance(image), BandSource().make())
    described = describe_image(Appearance(image), proposed, SETTINGS)
    assert len(described.table) == len(described.objects) > 0
    assert described.key == objects_key(proposed.key, SETTINGS)
    assert sum(described.coverage) == pytest.approx(1.0)


@pytest.mark.parametrize("code", [FAT, BONE])
def test_a_judgement_gives_the_objects_their_class(image: Image, code: int):
    described = describe_image(
        Appearance(image), propose(Appearance(image), BandSource().make()), SETTINGS
    )
    judged = classify_image(described, Always(code), SETTINGS)
    covered = described.objects.coverage() > 0
    assert judged.label_maps.classes.shape == image.shape
    # Touching fat instances are parted by a line of cell.
    assert np.isin(judged.label_maps.classes[covered], (code, CELL)).all()
    assert (judged.codes == code).all()


def test_union_of_chosen_objects():
    square = np.ones((2, 2), bool)
    objects = objects_from_masks("x", (4, 6), [((0, 0), square), ((1, 1), square)])
    both = union(objects, np.array([True, True]))
    assert np.count_nonzero(both) == 7
    assert not union(objects, np.array([False, False])).any()


def test_another_scale_keeps_the_pixels(image: Image):
    scaled = image.at_scale(0.5)
    assert (scaled.um_per_px, scaled.id) == (0.5, image.id)
    assert scaled.pixels is image.pixels or np.array_equal(scaled.pixels, image.pixels)


def test_everything_that_shapes_a_result_changes_its_key():
    proposals = {
        propose_key(image_id, scale, proposer)
        for image_id in ("a", "b")
        for scale in (None, 0.5)
        for proposer in ("p", "q")
    }
    assert len(proposals) == 8

    pruned = replace(SETTINGS, prune=replace(SETTINGS.prune, min_area_px=99))
    masked = replace(SETTINGS, cellmask=CellMaskSettings(preset="bambo"))
    features = replace(SETTINGS, describe=replace(SETTINGS.describe, preset="bambo"))
    coloured = replace(SETTINGS, classes=ClassSchema(("#010101", "#020202", "#030303", "#040404")))
    label_maps = replace(SETTINGS, stitch=replace(SETTINGS.stitch, fragment_px=3))
    object_runs = [objects_key("p", s) for s in (SETTINGS, pruned, masked, features)]
    judgements = [annotation_key("l", "c", s) for s in (SETTINGS, masked, coloured, label_maps)]
    for keys in (object_runs, judgements):
        assert all(one != other for one, other in combinations(keys, 2))
    assert annotation_key("l", "c", SETTINGS) != annotation_key("l", "d", SETTINGS)


def test_what_does_not_shape_the_objects_keeps_their_key():
    coloured = replace(SETTINGS, classes=ClassSchema(("#010101", "#020202", "#030303", "#040404")))
    assert objects_key("p", coloured) == objects_key("p", SETTINGS)

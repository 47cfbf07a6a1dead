"""The promise about synthetic fields: forty of the wide set, no weights, nobody's labels.

Dice comes from one confusion matrix pooled over all fields. The fields are small, so
that the test is quick; every one has another magnification, stain and content.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray

from active_learning.seed.seed_model import SeedModel, fit_seed
from annotator.core.classes import CLASS_NAMES
from annotator.core.objects import Image
from annotator.core.workers import Done, Workers
from annotator.imaging.appearance import Appearance
from annotator.pipeline.steps import classify_image, describe_image, propose
from annotator.segmentation.superpixel import SuperpixelProposer
from annotator.settings.study import Settings
from annotator.study.objects_file import ImageFeatures
from annotator.synthetic.field import make_phantom
from annotator.synthetic.settings import PhantomSettings, phantom_set
from features.table import concatenate

FIELDS, SHAPE = 40, (500, 800)
SETTINGS = Settings()


@dataclass(frozen=True)
class ScoredField:
    """A field that was looked at, and the truth about it."""

    image: Image
    truth: NDArray[np.uint8]
    described: ImageFeatures


def see(asked: PhantomSettings) -> ScoredField:
    phantom = make_phantom(asked)
    appearance = Appearance(phantom.image)
    proposed = propose(appearance, SuperpixelProposer(SETTINGS.superpixel))
    return ScoredField(
        phantom.image, phantom.classes, describe_image(appearance, proposed, SETTINGS)
    )


def confusion(seen: ScoredField, model: SeedModel) -> NDArray[np.int64]:
    """Pixels by true class (4) and by given class (4 and, last, none)."""
    given = classify_image(seen.described, model, SETTINGS).label_maps.classes
    cells = seen.truth.astype(np.int64) * 5 + np.minimum(given, 4)
    return np.bincount(cells.ravel(), minlength=20).reshape(4, 5)


def dice(matrix: NDArray[np.int64]) -> NDArray[np.float64]:
    """Dice of each class, (4,); NaN for a class that is in neither."""
    hit = np.diagonal(matrix)
    both = matrix.sum(axis=1) + matrix[:, :4].sum(axis=0)
    return np.where(both > 0, 2 * hit / np.maximum(both, 1), np.nan)


def all_done(outcomes):
    results = [outcome.result for _, outcome in outcomes if isinstance(outcome, Done)]
    assert len(results) == FIELDS, "a field of the set could not be annotated"
    return results


@pytest.fixture(scope="module")
def matrices() -> NDArray[np.int64]:
    """Confusion of each field, (40, 4, 5)."""
    with Workers(2) as workers:
        seen = all_done(workers.run(see, phantom_set(FIELDS, SHAPE)))
        model = fit_seed(concatenate([one.described.table for one in seen]), SETTINGS.seed)
        return np.stack(all_done(workers.run(partial(confusion, model=model), seen)))


def said(matrices: NDArray[np.int64]) -> str:
    """What a person needs to know when the promise is not kept."""
    pooled = dice(matrices.sum(axis=0))
    alone = [float(np.nanmean(dice(matrix))) for matrix in matrices]
    lines = ["pooled " + " ".join(f"{n} {d:.3f}" for n, d in zip(CLASS_NAMES, pooled, strict=True))]
    for at in np.argsort(alone)[:8]:
        classes = " ".join(f"{d:.2f}" for d in dice(matrices[at]))
        lines.append(f"field {at}: mean {alone[at]:.3f}, classes {classes}")
    return "\n".join(lines)


def test_dice_is_that_of_the_definition():
    truth = np.array([[3, 1, 0, 0, 0], [0, 4, 0, 0, 2], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]])
    assert dice(truth)[:2] == pytest.approx([2 * 3 / (4 + 3), 2 * 4 / (6 + 5)])
    assert np.isnan(dice(truth)[2:]).all()


@pytest.mark.slow
def test_no_pixel_of_any_field_is_left_without_a_class(matrices):
    assert matrices.sum() == FIELDS * SHAPE[0] * SHAPE[1]
    assert matrices[:, :, 4].sum() <= 0.001 * matrices.sum()


@pytest.mark.slow
def test_the_mean_dice_of_four_classes_is_at_least_090(matrices):
    assert dice(matrices.sum(axis=0)).mean() >= 0.90, said(matrices)


@pytest.mark.slow
@pytest.mark.parametrize("code", range(4), ids=CLASS_NAMES)
def test_no_class_is_given_up(matrices, code):
    assert dice(matrices.sum(axis=0))[code] >= 0.75, said(matrices)

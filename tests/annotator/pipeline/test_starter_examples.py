"""Fields with truth become labelled objects of the line, and those a starter classifier."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from active_learning.classifier.examples import Examples
from active_learning.classifier.model_file import load_model
from active_learning.network.patches import TruthField
from active_learning.network.starter_classifier import train_starter_classifier
from annotator.core.classes import UNLABELLED
from annotator.pipeline.starter_examples import SeeField, starter_examples
from annotator.settings.learning import TrainSettings
from annotator.synthetic.field import make_phantom
from annotator.synthetic.settings import PhantomSettings


def known(seed: int) -> tuple[TruthField, SeeField]:
    """A drawn field, and a network that is right about it."""
    phantom = make_phantom(PhantomSettings(seed=seed, shape=(240, 320), um_per_px=1.0))
    codes = phantom.classes
    truth = TruthField(f"f{seed}", f"p{seed}", phantom.image.pixels, codes, None, 1.0)

    def see(pixels: np.ndarray, um_per_px: float) -> np.ndarray:
        assert um_per_px == 1.0
        seen = np.full((5, *pixels.shape[:2]), 0.02, np.float32)
        for code in range(4):
            seen[code][codes == code] = 0.94
        return seen

    return truth, see


@pytest.fixture(scope="module")
def examples() -> Examples:
    return starter_examples([known(1), known(2)], "sees")


def test_each_field_gives_objects_of_its_patient_with_their_truth(examples: Examples):
    assert set(examples.groups.tolist()) == {"p1", "p2"}
    assert (examples.counts() > 0).sum() >= 3
    assert examples.weights is not None
    assert examples.weights.mean() == pytest.approx(1)
    # The network was right, and objects were cut along its borders.
    means = np.stack(
        [examples.table.column(f"network_{name}_mean") for name in ("bg", "fat", "cell", "bone")]
    )
    assert (means.argmax(axis=0) == examples.codes).mean() > 0.98


def test_what_nobody_says_gives_no_object():
    truth, see = known(1)
    silent = replace(truth, codes=np.full_like(truth.codes, UNLABELLED))
    both = starter_examples([known(2), (silent, see)], "sees")
    assert set(both.groups.tolist()) == {"p2"}


def test_a_starter_classifier_is_learned_from_them(examples: Examples):
    settings = TrainSettings(search_rows=100, fit_rows=200)
    data, record = train_starter_classifier(examples, settings, jobs=1)
    assert len(data) < 1_500_000
    assert load_model(data, record).record["labels"]["objects"] == len(examples)

"""The study's classifier: fitted once, kept while it holds, made again when it does not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from support.pipeline_fakes import BandSource, field

from active_learning.classification import Classifier
from active_learning.rounds.current_classifier import current_classifier
from annotator.core.objects import Image
from annotator.core.workers import Workers
from annotator.imaging.appearance import Appearance
from annotator.pipeline.steps import describe_image, propose
from annotator.study.objects_file import ImageFeatures, pack
from annotator.study.rough import KnownImage
from annotator.study.study import Study


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    with Study.create(tmp_path / "study") as made:
        yield made


def classifier(
    study: Study, ready: Sequence[KnownImage], key: str, force: bool = False
) -> Classifier:
    return current_classifier(study, ready, key, force, Workers(1))


def add(study: Study, seed: int, empty: bool = False) -> KnownImage:
    image = Image.from_pixels(field(seed))
    proposed = propose(Appearance(image), BandSource().make())
    described = describe_image(Appearance(image), proposed, study.settings)
    if empty:
        nobody = np.zeros(0, np.intp)
        table = described.table
        none = type(table)(
            table.image_ids[nobody],
            table.object_ids[nobody],
            table.X[nobody],
            table.names,
            table.fingerprint,
        )
        described = ImageFeatures(
            "k", described.objects.select(nobody), none, (1.0, 0.0, 0.0), 9, described.stained
        )
    known = study.register(image.id, f"{seed}.png", image.shape, None, ())
    study.save_objects(known, pack(proposed, described), 1.0)
    return known


@pytest.mark.slow
def test_groups_are_fitted_once_and_read_back(study: Study):
    ready = [add(study, seed) for seed in range(3)]
    fitted = classifier(study, ready, "key")
    again = classifier(study, ready, "key")
    assert fitted.fingerprint == again.fingerprint
    described = study.described(ready[0])
    assert described is not None
    first, second = (c.classify(described.table) for c in (fitted, again))
    assert np.array_equal(first.codes, second.codes)
    assert np.array_equal(first.confidence, second.confidence)


@pytest.mark.slow
def test_the_order_of_the_images_does_not_matter(study: Study):
    ready = [add(study, seed) for seed in range(3)]
    forward = classifier(study, ready, "key", force=True)
    backward = classifier(study, ready[::-1], "key", force=True)
    assert forward.fingerprint == backward.fingerprint


def fitted_on(study: Study) -> tuple[int, str]:
    content = study.read_model("seed")
    return content["images"], content["key"]


@pytest.mark.slow
def test_groups_hold_until_the_study_doubles(study: Study):
    ready = [add(study, seed) for seed in range(4)]
    classifier(study, ready[:2], "key")
    _, key = fitted_on(study)
    classifier(study, ready[:3], "key")
    assert fitted_on(study) == (2, key)
    classifier(study, ready, "key")
    assert fitted_on(study) == (4, key)


@pytest.mark.slow
def test_groups_hold_until_the_settings_change_or_they_are_forced(study: Study):
    ready = [add(study, seed) for seed in range(3)]
    classifier(study, ready[:2], "key")
    _, key = fitted_on(study)
    classifier(study, ready, "other")
    images, other = fitted_on(study)
    assert images == 3
    assert other != key
    classifier(study, ready[:2], "other", force=True)
    assert fitted_on(study) == (2, other)


def test_a_study_without_objects_has_nothing_to_classify(study: Study):
    ready = [add(study, 0, empty=True)]
    nothing = classifier(study, ready, "key")
    described = study.described(ready[0])
    assert described is not None
    assert nothing.source == "seed"
    assert nothing.classify(described.table).codes.shape == (0,)
    assert study.read_model("seed") is None

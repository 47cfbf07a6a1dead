"""What is kept of predictions: with a network's opinion, and without one as before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from support.review_objects import held

from annotator.review.object_index import ObjectIndex
from annotator.review.predictions import (
    ImagePredictions,
    Predictor,
    npz_of,
    predictions_path,
    read_predictions,
)
from annotator.study.study import Study

OPINION = np.array([[0.0, 0.25, 0.75, 0.0]])
CLASSES = np.array([[0.0, 1.0, 0.0, 0.0]])


def test_the_opinion_of_the_network_is_kept_where_there_is_one(tmp_path: Path):
    path = tmp_path / "views.npz"
    seen = ImagePredictions("a", CLASSES, np.array([2]), OPINION)
    unseen = ImagePredictions("b", CLASSES, np.array([-1]))
    path.write_bytes(npz_of("key", {"seen": seen, "unseen": unseen}))
    with np.load(path) as arrays:
        assert set(arrays) == {"header", "p/seen", "g/seen", "n/seen", "p/unseen", "g/unseen"}
    found = read_predictions(path, "key")
    assert found["seen"].network is not None
    assert found["seen"].network.tolist() == OPINION.tolist()
    assert found["unseen"].network is None
    assert read_predictions(path, "another") == {}


def test_images_that_no_network_saw_have_no_opinion(tmp_path: Path):
    Study.create(tmp_path).close()
    image = held(np.ones((2, 2), np.int32))
    objects = ObjectIndex({"0" * 16: image, "1" * 16: image})
    with Study.open(tmp_path) as study:
        views = {
            "0" * 16: ImagePredictions("a", CLASSES, np.array([0]), OPINION),
            "1" * 16: ImagePredictions("b", CLASSES, np.array([0])),
        }
        key = Predictor(study).key
        predictions_path(study).parent.mkdir(parents=True)
        predictions_path(study).write_bytes(npz_of(key, views))
        network = Predictor(study).predictions(objects).network
        assert network is not None
        assert network[0].tolist() == OPINION[0].tolist()
        assert np.isnan(network[1]).all()
        predictions_path(study).unlink()
        assert Predictor(study).predictions(objects).network is None

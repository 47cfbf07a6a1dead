"""Keys that lie in studies: were one to change, objects or models would be made anew.

The values are those of the first studies. A change of one of them is meant only together
with a change of what it stands for, and of the version beside it.
"""

from __future__ import annotations

import numpy as np
import pytest

from active_learning.classifier.training import TrainedModel
from active_learning.seed.seed_model import SeedModel
from annotator.core.hashing import fingerprint
from annotator.core.objects import image_id
from annotator.pipeline.steps import annotation_key, objects_key, propose_key
from annotator.segmentation.join import joined_fingerprint
from annotator.segmentation.sam.proposer import sam_fingerprint
from annotator.segmentation.superpixel import SuperpixelProposer
from annotator.settings.annotation import DescribeSettings, JoinSettings
from annotator.settings.learning import SeedSettings
from annotator.settings.sam import SamSettings
from annotator.settings.study import Settings
from annotator.study.labels import mask_key
from features import table
from features.describe import feature_fingerprint

WEIGHTS = "ab" * 32
SUPERPIXEL, SAM, FEATURES = "77d5192f29fe8cb1", "01ad6f5d344112a9", "db1eecef3f24fe05"
SEED = "c024cc0c1fbe8db1"
PIXELS = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)

STAGES = {
    "read": "f14e5ac5d51a685c",
    "superpixel": "93b0b928cf58840b",
    "sam": "1a0ed43d54aae132",
    "join": "d71aa1521b30ba8e",
    "prune": "be6cf462798be644",
    "network": "e35fd4c07745b219",
    "describe": "caf821a423f6c7fb",
    "seed": "f8774d37c695e785",
    "cellmask": "d3f2647b85415ae9",
    "stitch": "c5afcd2516a6b022",
    "patients": "aafadcb12b191b06",
    "labels": "bbe90b675779579a",
    "train": "c699d785aca24575",
    "query": "9ab9e6d14c587623",
    "simulate": "8716df7747e3f105",
    "cvat": "570cba11467dd951",
}


def test_the_proposers_have_the_keys_that_studies_hold():
    assert SuperpixelProposer().fingerprint == SUPERPIXEL
    assert sam_fingerprint(SamSettings(), WEIGHTS) == SAM
    assert sam_fingerprint(SamSettings.preset("bambo"), WEIGHTS) == "79fc702156d6f069"
    assert joined_fingerprint(SUPERPIXEL, SAM, JoinSettings()) == "628fa0f61a0da266"


def test_the_features_have_the_keys_that_studies_hold():
    assert feature_fingerprint(DescribeSettings()) == FEATURES
    assert feature_fingerprint(DescribeSettings("bambo")) == "b1f6cc693f085bfd"
    assert table.fingerprint(("a", "b"), "s") == "89660d7d1f267d76"


def test_models_have_the_keys_that_studies_hold():
    groups = np.array([[0.5, -1.0], [2.0, 0.25]])
    seed = SeedModel(
        FEATURES,
        SeedSettings(),
        centre=np.zeros(2),
        scale=np.ones(2),
        groups=groups,
        log_odds=np.full((2, 4), -1.5),
        sizes=np.array([3, 7]),
    )
    assert seed.fingerprint == SEED
    assert TrainedModel(None, b"archive", FEATURES, {}).fingerprint == "2d8850c575231b85"


def test_images_and_masks_have_the_keys_that_studies_hold():
    assert image_id(PIXELS) == "3a1e9e38cc037b3a"
    assert mask_key((0, 0, 2, 1), np.ones((1, 2), bool)) == "2a054a7294a2610b"


@pytest.mark.parametrize(("stage", "key"), STAGES.items())
def test_the_default_settings_have_the_keys_that_studies_hold(stage, key):
    assert fingerprint(stage, getattr(Settings(), stage)) == key


def test_what_is_stored_of_an_image_has_the_keys_that_studies_hold():
    proposals = propose_key("e6313b50127a40b8", 0.5, SUPERPIXEL)
    objects = objects_key(proposals, Settings())
    assert proposals == "769c8e318563a89b"
    assert objects == "af4a67bf2655bd38"
    assert annotation_key(objects, SEED, Settings()) == "e16dcef9dcdb5ecd"

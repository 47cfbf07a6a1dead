"""Small studies that the tests of the learning loop share; each test works on its own copy."""

from __future__ import annotations

from pathlib import Path

import pytest
from learning_studies import QUICK, TRUTH, copy_of, give_truth, make_study, silent

SETTINGS = QUICK + "[clusters]\nclusters = 3\n[patients]\nheld_out = 0.3\n"


@pytest.fixture(scope="session")
def annotated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight annotated fields; their masks lie beside the study."""
    return make_study(tmp_path_factory.mktemp("made"), 8, SETTINGS)


@pytest.fixture(scope="session")
def trained(annotated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same after a round from six of the masks."""
    from active_learning.rounds.retrain import retrain
    from annotator.study.study import Study

    path = copy_of(annotated, tmp_path_factory.mktemp("trained") / "study")
    give_truth(path, annotated.parent / "masks", 0, 1, 2, 3, 5, 6)
    with Study.open(path) as study:
        retrain(study, TRUTH, silent)
    return path


@pytest.fixture
def path(annotated: Path, tmp_path: Path) -> Path:
    """A copy of the annotated study."""
    return copy_of(annotated, tmp_path / "study")


@pytest.fixture
def trained_path(trained: Path, tmp_path: Path) -> Path:
    """A copy of the study with a round."""
    return copy_of(trained, tmp_path / "study")

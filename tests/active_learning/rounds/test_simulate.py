"""The loop against known masks: it labels nothing and repeats itself."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from support.learning_studies import table_of

from active_learning.rounds.simulate import simulate_study
from annotator.core.errors import StudyError, UsageError
from annotator.core.progress import silent
from annotator.settings.learning import SimulateSettings
from annotator.study.study import Study


@pytest.mark.slow
def test_a_simulation_labels_nothing_and_repeats_itself(path, annotated):
    masks, settings = annotated.parent / "masks", SimulateSettings(2, 2, 1)
    with Study.open(path) as study:
        one = simulate_study(study, masks, settings, silent)
        two = simulate_study(study, masks, settings, silent)
        assert study.labels.count() == 0
        assert study.rounds.all() == ()
    assert one.to_dict() == two.to_dict()
    assert one.images == 8
    rows = table_of(one.folder / "curves.csv")
    assert {(row["strategy"], row["round"]) for row in rows} == {
        (strategy, number) for strategy in ("trephine", "random") for number in ("1", "2")
    }
    assert cv2.imread(str(one.folder / "curves.png")) is not None
    assert np.isfinite([float(row["macro_f1"]) for row in rows]).all()


@pytest.mark.slow
def test_a_committee_is_played_where_a_network_saw_the_images(seen_path):
    with Study.open(seen_path) as study:
        masks = seen_path.parent / "masks"
        found = simulate_study(study, masks, SimulateSettings(1, 2, 1), silent)
    assert set(found.to_dict()["means"]) == {"trephine", "committee", "random"}
    gain = found.to_dict()["committee_gain"]
    assert abs(gain["value"]) <= 1
    assert gain["low"] is None
    assert {row["strategy"] for row in table_of(found.folder / "curves.csv")} == {
        "trephine",
        "committee",
        "random",
    }


def test_masks_that_cannot_be_used_are_refused(path, tmp_path):
    with Study.open(path) as study:
        with pytest.raises(UsageError, match="none"):
            simulate_study(study, tmp_path / "none", SimulateSettings(), silent)
        (tmp_path / "masks").mkdir()
        with pytest.raises(UsageError, match="masks"):
            simulate_study(study, tmp_path / "masks", SimulateSettings(), silent)
        cv2.imwrite(str(tmp_path / "masks" / "p0_0.png"), np.zeros((3, 3), np.uint8))
        with pytest.raises(StudyError, match=r"\(64, 96\).*\(3, 3\)"):
            simulate_study(study, tmp_path / "masks", SimulateSettings(), silent)

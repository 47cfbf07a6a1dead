"""A round that is killed while it is stored leaves no round or a whole one."""

from __future__ import annotations

import multiprocessing
import signal
from pathlib import Path

import pytest
from support.labelled_studies import label_rows
from support.learning_studies import (
    TRUTH,
    before_each_step,
    copy_of,
    give_truth,
    make_study,
    retrain_and_die,
)

from active_learning.rounds.current_classifier import trained_model
from active_learning.rounds.retrain import retrain
from annotator.core.progress import silent
from annotator.study.study import Study

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    study = make_study(folder, 4)
    give_truth(study, folder / "masks", *range(4))
    return study


def is_whole(study: Path) -> bool:
    """Whether there is a round, which is then whole; else there is nothing of it."""
    labels = len(label_rows(study / "study.db"))
    with Study.open(study) as opened:
        current = opened.rounds.current()
        if current is None:
            assert labels == 0
            assert opened.rounds.next_index() == 1
            return False
        assert labels == current.metrics["truth"]["new"] > 0
        assert trained_model(opened, current).features == current.features
        assert len(opened.rounds.read_out_of_fold(1).mask_keys) == current.metrics["objects"]
        return True


def test_what_lies_on_disk_before_each_step_is_no_round_or_a_whole_one(path: Path, tmp_path: Path):
    # What a kill leaves is what the files hold at that moment: the system keeps all writes.
    study = copy_of(path, tmp_path / "study")
    steps = []

    def keep(number: int) -> None:
        steps.append(copy_of(study, tmp_path / str(number)))

    with before_each_step(study, keep) as opened:
        retrain(opened, TRUTH, silent)
    assert len(steps) > 9
    assert [is_whole(step) for step in steps] == [False] * len(steps)
    assert is_whole(study)


def test_a_round_after_a_kill_is_the_first_one(path: Path, tmp_path: Path):
    study = copy_of(path, tmp_path / "study")
    context = multiprocessing.get_context("forkserver")
    # In the midst of the second file: the first one lies there then.
    process = context.Process(target=retrain_and_die, args=(study, 4))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert (study / "models" / "round-01.skops").exists()
    assert not is_whole(study)
    with Study.open(study) as opened:
        assert retrain(opened, TRUTH, silent).index == 1
    assert is_whole(study)

"""The model of a study's current round, read and checked."""

from __future__ import annotations

from active_learning.classifier.model_file import load_model
from active_learning.classifier.training import TrainedModel
from annotator.core.errors import ModelError
from annotator.study.rounds import Round
from annotator.study.study import Study


def trained_model(study: Study, round_: Round) -> TrainedModel:
    """Read the model of a round.

    Raises
    ------
    ModelError
        When its files are missing, damaged, or not those that the round was stored with.
    """
    data, record = study.rounds.read_model(round_.index)
    model = load_model(data, record)
    if model.record["sha256"] != round_.model_sha256:
        raise ModelError(
            f"round {round_.index}: expected a model with sha256 {round_.model_sha256[:16]}…, "
            f"got {model.record['sha256'][:16]}…: the file is of another study or round; "
            "restore it from a backup, or run trephine retrain to make a new round"
        )
    return model


def must_fit(round_: Round, features: str) -> None:
    """Refuse objects that the model of a round cannot classify.

    Raises
    ------
    ModelError
    """
    if round_.features != features:
        raise ModelError(
            f"round {round_.index}: its model was trained on features {round_.features}, the "
            f"study has {features} now; run trephine retrain, or restore the former [describe] "
            "settings, then annotate again"
        )

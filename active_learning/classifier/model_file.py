"""A trained model on its way to and from disk: skops bytes beside a JSON of what made it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from active_learning.classifier.archive import load_pipeline
from active_learning.classifier.training import VERSION, TrainedModel
from annotator.core.errors import ModelError

FORMAT = 1

_ANEW = "run retrain to make it anew"


def save_model(
    model: TrainedModel, scores: Mapping[str, Any] | None = None
) -> tuple[bytes, dict[str, Any]]:
    """Give the skops bytes and the JSON values of a model.

    Parameters
    ----------
    model : TrainedModel
    scores : mapping or None
        Figures to keep with it, as JSON values; they shape nothing.
    """
    record = {"format": FORMAT, **model.record, "scores": None if scores is None else dict(scores)}
    return model.archive, record


def load_model(data: bytes, record: Mapping[str, Any]) -> TrainedModel:
    """Read what :func:`save_model` gave.

    Nothing of the bytes is built before their hash and all types in them are checked.

    Raises
    ------
    ModelError
        When the format is newer, the record is incomplete, the bytes are not the ones that
        the record was written for, or they hold a type that no model of ours has.
    """
    _refuse_newer(record)
    saved = _record_of(record)
    sha256 = hashlib.sha256(data).hexdigest()
    if sha256 != saved["sha256"]:
        raise ModelError(
            f"expected a model with sha256 {str(saved['sha256'])[:16]}…, got {sha256[:16]}… "
            f"({len(data)} bytes): the file is damaged, cut short or another one; {_ANEW}"
        )
    pipeline = load_pipeline(data)
    _must_be_pipeline(pipeline, len(saved["names"]))
    return TrainedModel(pipeline, data, saved["features"], saved)


def _refuse_newer(record: Mapping[str, Any]) -> None:
    for key, supported in (("format", FORMAT), ("version", VERSION)):
        version = record.get(key)
        if not isinstance(version, int) or isinstance(version, bool):
            raise ModelError(f"expected a model with a {key}, got {version!r}; {_ANEW}")
        if version > supported:
            raise ModelError(
                f"expected a model of {key} {supported} or older, got {version}: "
                "a newer Trephine wrote it; update Trephine"
            )


def _record_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """What the model itself holds of the record."""
    kinds = {
        **dict.fromkeys(("features", "sha256"), str),
        **dict.fromkeys(("settings", "labels", "versions"), dict),
        **dict.fromkeys(("names", "tried", "notes"), list),
    }
    wrong = sorted(name for name, kind in kinds.items() if not isinstance(record.get(name), kind))
    if wrong:
        raise ModelError(
            f"expected {', '.join(wrong)} in the model's JSON, got "
            f"{'none' if len(wrong) > 1 else repr(record.get(wrong[0]))}; {_ANEW}"
        )
    return {key: value for key, value in record.items() if key not in ("format", "scores")}


def _must_be_pipeline(pipeline: Any, features: int) -> None:
    """The types are known to be ours; whether they form a classifier is not."""
    taken = getattr(pipeline, "n_features_in_", None)
    if not hasattr(pipeline, "predict_proba") or taken != features:
        raise ModelError(
            f"expected a classifier of {features} features, got "
            f"{type(pipeline).__name__} of {taken}; {_ANEW}"
        )

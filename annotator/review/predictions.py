"""The class that the study's classifier predicts for each object, kept in ``cache/review/``.

Features are large and slow to read, four probabilities an object are neither.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from active_learning.classification import Classifier
from active_learning.rounds.current_classifier import (
    starter_of,
    stored_seed_groups,
    trained_model,
)
from annotator.core.arrays import Floats
from annotator.core.classes import CLASS_NAMES
from annotator.core.files import write_atomic
from annotator.core.hashing import fingerprint
from annotator.review.object_index import ObjectIndex
from annotator.study.objects_file import ImageFeatures
from annotator.study.rough import KnownImage
from annotator.study.study import Study
from features.network import network_probabilities

# Raised whenever a view means something else than before.
VERSION = 2
NO_GROUP = -1


@dataclass(frozen=True, slots=True, eq=False)
class ImagePredictions:
    """Predicted classes of the objects of one image.

    Parameters
    ----------
    objects_key : str
        The objects that it holds for.
    probabilities : (N, 4) float64
        NaN where no classifier fits.
    groups : (N,) int64
        In which seed cluster each object is shown; -1 for none.
    network : (N, 4) float64 or None
        What the segmentation network holds of each object; None where it saw none.
    """

    objects_key: str
    probabilities: Floats
    groups: NDArray[np.int64]
    network: Floats | None = None


@dataclass(frozen=True)
class Predictions:
    """Predicted classes of all objects, row by row as :attr:`ObjectIndex.keys` has them.

    Parameters
    ----------
    key : str
        Another one whenever the classes could be others.
    round : int or None
        The round whose model it is; None for seed groups, or nothing at all.
    probabilities : (M, 4) float64
    groups : (M,) int64
        Number of the seed cluster of each object; -1 for none.
    group_names : tuple of str
        Name of each seed cluster, by its number, as ``trephine seed`` shows it.
    proposed : tuple of int
        The class that each seed cluster looks like, by its number.
    network : (M, 4) float64 or None
        What the segmentation network holds of each object, NaN where it did not see the image;
        None where it saw none.
    """

    key: str
    round: int | None
    probabilities: Floats
    groups: NDArray[np.int64]
    group_names: tuple[str, ...]
    proposed: tuple[int, ...]
    network: Floats | None = None

    @cached_property
    def known(self) -> NDArray[np.bool_]:
        """Rows of which something is predicted, (M,) bool."""
        return np.asarray(np.isfinite(self.probabilities).all(axis=1))

    @cached_property
    def codes(self) -> NDArray[np.int64]:
        """Predicted class, (M,) int64; -1 for none.

        Examples
        --------
        >>> p = np.array([[0.25, 0.75, 0.0, 0.0], [np.nan] * 4])
        >>> predictions = Predictions("k", 1, p, np.array([0, -1]), (), ())
        >>> predictions.codes.tolist(), predictions.confidence.tolist()
        ([1, -1], [0.75, 0.0])
        """
        filled = np.where(self.known[:, None], self.probabilities, 0.0)
        return np.where(self.known, filled.argmax(axis=1), -1).astype(np.int64)

    @cached_property
    def confidence(self) -> Floats:
        """Probability of the predicted class, (M,) float64 0..1; 0 for none."""
        best: Floats = np.where(self.known[:, None], self.probabilities, 0.0).max(
            axis=1, initial=0.0
        )
        return best


class Predictor:
    """Predicts classes by the study's present classifier, which is read when it is needed.

    Parameters
    ----------
    study : Study
    """

    def __init__(self, study: Study) -> None:
        self._study = study
        self._round = study.rounds.current()
        self._features = study.features
        self._groups = stored_seed_groups(study)
        self._starter = None if self._round else starter_of(study)
        self.key = self._key()
        self._views = read_predictions(predictions_path(study), self.key)
        self._fresh = False

    @property
    def round(self) -> int | None:
        """Number of the current round; None where there has been none."""
        return None if self._round is None else self._round.index

    def _key(self) -> str:
        groups = None if self._groups is None else self._groups.fingerprint
        model = None if self._round is None else self._round.model_sha256
        starter = () if self._starter is None else (self._starter.fingerprint,)
        # Without a network the key, and so what is kept, stays as it was before there was one.
        network = () if self._study.network is None else ("with the network's opinion",)
        return fingerprint("views", VERSION, self._features, groups, model, *starter, *network)

    @cached_property
    def _classifier(self) -> Classifier | None:
        if self._round is None:
            return self._starter or self._groups
        return trained_model(self._study, self._round)

    def predict(self, image: KnownImage, described: ImageFeatures) -> None:
        """Predict the classes of the objects of an image, unless they are known.

        Raises
        ------
        ModelError
            When the model of the current round is damaged.
        """
        known = self._views.get(image.id)
        if known is None or known.objects_key != described.key:
            self._views[image.id] = self._view(described)
            self._fresh = True

    def _view(self, described: ImageFeatures) -> ImagePredictions:
        n, table = len(described.table), described.table
        probabilities = np.full((n, len(CLASS_NAMES)), np.nan)
        groups = np.full(n, NO_GROUP, np.int64)
        network = None
        if n and table.fingerprint == self._features:
            network = network_probabilities(table)
            if self._groups is not None:
                groups = self._groups.cluster_of(table)
            if self._classifier is not None and self._fits:
                probabilities = self._classifier.classify(table).probabilities
        return ImagePredictions(described.key, probabilities, groups, network)

    @property
    def _fits(self) -> bool:
        return self._round is None or self._round.features == self._features

    def complete(self, object_index: ObjectIndex) -> None:
        """Predict what is not known yet, and keep it for the next time."""
        for indexed in object_index.indexed.values():
            known = self._views.get(indexed.image.id)
            if known is None or known.objects_key != indexed.objects_key:
                described = self._study.described(indexed.image)
                if described is not None:
                    self.predict(indexed.image, described)
        if self._fresh:
            kept = {one: view for one, view in self._views.items() if one in object_index.indexed}
            write_atomic(predictions_path(self._study), npz_of(self.key, kept))
            self._fresh = False

    def predictions(self, object_index: ObjectIndex) -> Predictions:
        """Predictions of all objects of an index; unknown for those that were never predicted."""
        views = [
            self._known(image_id, len(indexed))
            for image_id, indexed in object_index.indexed.items()
        ]
        names = () if self._groups is None else self._groups.cluster_names()
        proposed = () if self._groups is None else self._groups.cluster_codes()
        probabilities = np.concatenate([np.zeros((0, 4)), *(view.probabilities for view in views)])
        groups = np.concatenate([np.zeros(0, np.int64), *(view.groups for view in views)])
        if self._starter is not None and names:
            # As ``trephine seed`` shows them: by what their members are in the first draft.
            proposed = looks_of_groups(proposed, probabilities, groups)
        return Predictions(
            self.key,
            self.round,
            probabilities,
            groups,
            names,
            proposed,
            _joined([view.network for view in views], [len(view.groups) for view in views]),
        )

    def _known(self, image_id: str, count: int) -> ImagePredictions:
        view = self._views.get(image_id)
        if view is not None and len(view.groups) == count:
            return view
        return ImagePredictions("", np.full((count, 4), np.nan), np.full(count, NO_GROUP, np.int64))


def looks_of_groups(
    codes: Sequence[int], probabilities: Floats, groups: NDArray[np.int64]
) -> tuple[int, ...]:
    """The class that most of each group has.

    Parameters
    ----------
    codes : sequence of K int
        For groups without a member.
    probabilities : (M, 4) float64
        NaN for unknown objects, which do not count.
    groups : (M,) int64
        -1 for none.

    Examples
    --------
    >>> p = np.array([[0.9, 0.1, 0.0, 0.0], [0.2, 0.8, 0.0, 0.0], [np.nan] * 4])
    >>> looks_of_groups((3, 3, 3), p, np.array([0, 1, 1]))
    (0, 1, 3)
    """
    known = np.isfinite(probabilities).all(axis=1)
    sums = np.stack([probabilities[known & (groups == k)].sum(axis=0) for k in range(len(codes))])
    return tuple(
        int(of.argmax()) if of.any() else code for of, code in zip(sums, codes, strict=True)
    )


def predictions_path(study: Study) -> Path:
    """Where predictions are kept; the file can be removed at any time."""
    return cache_folder(study.path) / "views.npz"


def cache_folder(study: Path) -> Path:
    """Where the review page keeps what it makes ahead; can be removed at any time."""
    return study / "cache" / "review"


def _joined(opinions: Sequence[Floats | None], counts: Sequence[int]) -> Floats | None:
    """The network's opinions of all images, NaN for those that it did not see; None for none."""
    if all(opinion is None for opinion in opinions):
        return None
    parts = [
        np.full((count, len(CLASS_NAMES)), np.nan) if opinion is None else opinion
        for opinion, count in zip(opinions, counts, strict=True)
    ]
    return np.concatenate(parts)


def npz_of(key: str, views: dict[str, ImagePredictions]) -> bytes:
    """The file of predictions, by the id of the image."""
    header = {"key": key, "looks": {one: view.objects_key for one, view in views.items()}}
    arrays = {f"p/{one}": view.probabilities for one, view in views.items()}
    arrays |= {f"g/{one}": view.groups.astype(np.float64) for one, view in views.items()}
    arrays |= {f"n/{one}": view.network for one, view in views.items() if view.network is not None}
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def read_predictions(path: Path, key: str) -> dict[str, ImagePredictions]:
    """The predictions in a file that the same classifier made; none where it is damaged."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            header = json.loads(arrays["header"].tobytes())
            if header["key"] != key:
                return {}
            return {
                one: ImagePredictions(
                    objects_key,
                    arrays[f"p/{one}"],
                    arrays[f"g/{one}"].astype(np.int64),
                    arrays.get(f"n/{one}"),
                )
                for one, objects_key in header["looks"].items()
            }
    except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile):
        return {}

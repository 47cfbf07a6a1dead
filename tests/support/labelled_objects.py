"""Made-up labelled objects: four blobs in a few features, spread over groups."""

from __future__ import annotations

import numpy as np

from active_learning.classifier.examples import Examples
from annotator.settings.learning import TrainSettings
from features.table import FeatureTable

QUICK = TrainSettings(folds=3, inner_folds=2, search_rows=200, importance_rows=200)
WIDTH = 5
CENTRES = np.array([[0, 0, 4, 0, 0], [4, 0, 0, 0, 0], [0, 4, 0, 0, 0], [4, 4, 4, 0, 0]], float)


def rows_of(X: np.ndarray, fingerprint: str = "a" * 16) -> FeatureTable:
    names = tuple(f"f{at}" for at in range(X.shape[1]))
    ids = np.array([f"image{at % 7}" for at in range(len(X))], dtype="<U8")
    return FeatureTable(ids, np.arange(len(X), dtype=np.int32), X, names, fingerprint)


def blobs(counts, groups: int = 6, spread: float = 0.7, seed: int = 0) -> Examples:
    """So many objects of bg, fat, cell and bone; the last two features are noise."""
    generator = np.random.default_rng(seed)
    codes = np.repeat(np.arange(4), counts).astype(np.uint8)
    X = CENTRES[codes] + generator.normal(scale=spread, size=(len(codes), WIDTH))
    names = np.array([f"g{at % groups}" for at in range(len(codes))], dtype="<U4")
    return Examples(rows_of(X), codes, names)


def with_groups(examples: Examples, groups) -> Examples:
    return Examples(examples.table, examples.codes, np.array(groups), examples.weights)

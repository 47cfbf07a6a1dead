"""Labelled objects to learn from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotator.core.arrays import Floats
from annotator.core.classes import CLASS_NAMES
from annotator.core.objects import freeze
from features.table import FeatureTable

Index = NDArray[np.int64]
CLASSES = len(CLASS_NAMES)


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Objects with the class that somebody gave them.

    Parameters
    ----------
    table : FeatureTable
        Of M objects.
    codes : (M,) uint8
        0 bg, 1 fat, 2 cell, 3 bone.
    groups : (M,) str
        Patient or image: what is never on both sides of a split.
    weights : (M,) float64 or None
        How much each object counts in training, above 0; None: all the same.

    Raises
    ------
    ValueError
        When the lengths differ, a code is no class, or a weight is not above 0.
    """

    table: FeatureTable
    codes: NDArray[np.uint8]
    groups: NDArray[np.str_]
    weights: Floats | None = None

    def __post_init__(self) -> None:
        m = len(self.table)
        if self.codes.shape != (m,) or self.codes.dtype != np.uint8:
            raise ValueError(f"codes must be ({m},) uint8, got {self.codes.shape}")
        if m and self.codes.max() >= CLASSES:
            raise ValueError(f"codes must be below {CLASSES}, got {self.codes.max()}")
        if self.groups.shape != (m,) or self.groups.dtype.kind != "U":
            raise ValueError(f"groups must be ({m},) str, got {self.groups.shape}")
        if self.weights is not None:
            if self.weights.shape != (m,) or not (self.weights > 0).all():
                raise ValueError(f"weights must be ({m},) above 0, got {self.weights.shape}")
            object.__setattr__(self, "weights", freeze(self.weights))
        for name in ("codes", "groups"):
            object.__setattr__(self, name, freeze(getattr(self, name)))

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, rows: NDArray[Any]) -> Examples:
        """Some of the examples.

        Parameters
        ----------
        rows : (K,) int or (M,) bool
            Row numbers, or which rows.
        """
        weights = None if self.weights is None else self.weights[rows]
        return Examples(take_rows(self.table, rows), self.codes[rows], self.groups[rows], weights)

    def in_order(self) -> Examples:
        """Sorted by image and object, so that the order of labelling shapes nothing."""
        return self.take(np.lexsort((self.table.object_ids, self.table.image_ids)))

    def counts(self) -> Index:
        """Objects of each class, (4,) int64."""
        return np.bincount(self.codes, minlength=CLASSES).astype(np.int64)

    def sha256(self) -> str:
        """Hash of all that a model is made of: objects, features, classes, groups, weights."""
        table = self.table
        digest = hashlib.sha256(f"{table.fingerprint} {len(self)}".encode())
        for texts in (table.image_ids, self.groups):
            digest.update("\n".join(texts.tolist()).encode() + b"\0")
        weights = np.ones(0) if self.weights is None else self.weights
        for values in (table.object_ids, table.X, self.codes, weights):
            digest.update(np.ascontiguousarray(values).tobytes())
        return digest.hexdigest()


def take_rows(table: FeatureTable, rows: NDArray[Any]) -> FeatureTable:
    """Some of the rows of a table.

    Parameters
    ----------
    table : FeatureTable
        M objects.
    rows : (K,) int or (M,) bool
        Row numbers, or which rows.

    Examples
    --------
    >>> ids = np.array([7, 8, 9], np.int32)
    >>> table = FeatureTable(np.array(["a"] * 3), ids, np.eye(3), ("x", "y", "z"), "f")
    >>> take_rows(table, np.array([2, 0])).object_ids.tolist()
    [9, 7]
    """
    return FeatureTable(
        table.image_ids[rows],
        table.object_ids[rows],
        table.X[rows],
        table.names,
        table.fingerprint,
    )


def area_weights(areas: Floats, power: float) -> Floats:
    """Weights that grow with the area to this power, 1 on average, (M,) float64.

    Parameters
    ----------
    areas : (M,) float64
        Pixels of each object, above 0.
    power : float
        0 (all alike) to 1 (as their areas).

    Examples
    --------
    >>> area_weights(np.array([4.0, 16.0]), 0.5).round(2)
    array([0.67, 1.33])
    """
    weights: Floats = areas**power
    return weights / weights.mean() if len(weights) else weights


def subsample(codes: NDArray[np.uint8], most: int, seed: int, least: int = 100) -> Index:
    """Row numbers of at most about `most` objects, in rising order.

    Classes keep their shares, but none goes below `least` objects (or what it has).

    Parameters
    ----------
    codes : (M,) uint8
        Class of each object.
    most : int
        Objects that are wanted; with rare classes it can be a few more.
    seed : int
        Start of the random generator.
    least : int

    Examples
    --------
    >>> codes = np.repeat(np.array([1, 3], np.uint8), [1000, 20])
    >>> rows = subsample(codes, 200, seed=0)
    >>> np.bincount(codes[rows]).tolist()
    [0, 196, 0, 20]
    """
    if len(codes) <= most:
        return np.arange(len(codes))
    generator = np.random.default_rng(seed)
    chosen = []
    for code in np.unique(codes):
        rows = np.flatnonzero(codes == code)
        quota = max(round(most * len(rows) / len(codes)), least)
        chosen.append(generator.permutation(rows)[:quota])
    return np.sort(np.concatenate(chosen))

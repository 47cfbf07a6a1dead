"""The table that features come in: one row an object, one named column a feature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotator.core.hashing import short_hash
from annotator.core.objects import freeze


@dataclass(frozen=True, slots=True)
class Column:
    """What one feature is.

    Parameters
    ----------
    name : str
        With its unit where it has one.
    unit : str
        ``1`` for a pure number.
    range : str
        Values it can take; says so when NaN is one of them.
    doc : str
        One line: what is measured, how, and the source.
    """

    name: str
    unit: str
    range: str
    doc: str


@dataclass(frozen=True, slots=True, eq=False)
class FeatureTable:
    """Features of M objects, from one image or many.

    Parameters
    ----------
    image_ids : (M,) str
    object_ids : (M,) int32
    X : (M, F) float64
        NaN where a feature does not exist for an object.
    names : tuple of F str
        Columns, each with its unit in the name where it has one.
    fingerprint : str
        Hash of the names and of the settings that shaped them: tables and
        models fit together only when theirs are the same.
    """

    image_ids: NDArray[np.str_]
    object_ids: NDArray[np.int32]
    X: NDArray[np.float64]
    names: tuple[str, ...]
    fingerprint: str

    def __post_init__(self) -> None:
        m = len(self.object_ids)
        if self.X.shape != (m, len(self.names)) or self.X.dtype != np.float64:
            raise ValueError(f"X must be ({m}, {len(self.names)}) float64, got {self.X.shape}")
        if self.image_ids.shape != (m,) or self.image_ids.dtype.kind != "U":
            raise ValueError(f"image_ids must be ({m},) str, got {self.image_ids.shape}")
        if self.object_ids.dtype != np.int32:
            raise ValueError(f"object_ids must be int32, got {self.object_ids.dtype}")
        if len(set(self.names)) != len(self.names):
            raise ValueError("column names must differ")
        for name in ("image_ids", "object_ids", "X"):
            object.__setattr__(self, name, freeze(getattr(self, name)))

    def __len__(self) -> int:
        return len(self.object_ids)

    def column(self, name: str) -> NDArray[np.float64]:
        """One feature of all objects, (M,) float64.

        Raises
        ------
        ValueError
            When there is no feature of this name.

        Examples
        --------
        >>> of = np.array(["a1", "a1"]), np.array([1, 2], np.int32), np.array([[0.5], [0.2]])
        >>> FeatureTable(*of, ("area_share",), "0").column("area_share").tolist()
        [0.5, 0.2]
        """
        values: NDArray[np.float64] = self.X[:, self.names.index(name)]
        return values


def fingerprint(names: Sequence[str], settings: str) -> str:
    """First 16 hex digits of a sha256 over the column names and the settings."""
    return short_hash("\n".join([*names, settings]))


def concatenate(tables: Sequence[FeatureTable]) -> FeatureTable:
    """Join tables of the same columns, in the order given.

    Raises
    ------
    ValueError
        When there is none, or when two of them have different fingerprints.
    """
    if len({t.fingerprint for t in tables}) != 1:
        raise ValueError("expected one or more tables with one and the same fingerprint")
    return FeatureTable(
        np.concatenate([t.image_ids for t in tables]),
        np.concatenate([t.object_ids for t in tables]),
        np.concatenate([t.X for t in tables]),
        tables[0].names,
        tables[0].fingerprint,
    )

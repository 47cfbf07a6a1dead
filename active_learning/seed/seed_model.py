"""Classes before anyone has labelled anything: k-means groups, named by prototypes.

The groups adapt to the stain and the magnification of the study; the prototypes
say what a group is. An object follows its group as far as ``group_weight`` says,
and its own traits for the rest, so that one odd object can leave its group.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from active_learning.classification import Classification
from active_learning.seed.kmeans import best_partition, squared_distances
from active_learning.seed.prototypes import prototypes_for
from active_learning.seed.scaling import Scaling, fit_scaling
from annotator.core.arrays import Floats
from annotator.core.classes import CLASS_NAMES
from annotator.core.errors import ModelError, SettingsError
from annotator.core.hashing import short_hash
from annotator.core.objects import freeze
from annotator.settings.learning import SeedSettings
from features.describe import own_features
from features.table import FeatureTable

# Raised whenever the same table could be given other classes than before.
_VERSION = 1


@dataclass(frozen=True, slots=True, eq=False)
class SeedModel:
    """Groups of objects with the class that each one looks like.

    Parameters
    ----------
    features : str
        Fingerprint of the tables that it fits.
    settings : SeedSettings
    centre, scale : (F,) float64
        Median and half the 16-84 % range of each column.
    groups : (K, F) float64
        Centres of the groups in scaled units.
    log_odds : (K, 4) float64
        Log of the mean probability of each class over the members.
    sizes : (K,) int64
        Members of each group among the objects that it was fitted on.
    """

    features: str
    settings: SeedSettings
    centre: Floats
    scale: Floats
    groups: Floats
    log_odds: Floats
    sizes: NDArray[np.int64]

    def __post_init__(self) -> None:
        k, f = self.groups.shape
        shapes = {"centre": (f,), "scale": (f,), "log_odds": (k, 4), "sizes": (k,)}
        for name, want in shapes.items():
            if getattr(self, name).shape != want:
                raise ValueError(f"{name} must be {want}, got {getattr(self, name).shape}")
        for name in ("centre", "scale", "groups", "log_odds", "sizes"):
            object.__setattr__(self, name, freeze(getattr(self, name)))

    @property
    def source(self) -> str:
        """``seed``: nobody has reviewed these classes."""
        return "seed"

    @property
    def fingerprint(self) -> str:
        """First 16 hex digits of a sha256 over all that shapes a classification."""
        return short_hash(json.dumps([_VERSION, self.to_dict()], sort_keys=True))

    def group_of(self, table: FeatureTable) -> NDArray[np.int64]:
        """The nearest group of each object, (M,) int64; raises like :meth:`scaled`.

        Examples
        --------
        >>> X, ids = np.array([[1.0], [9.0]]), np.array([1, 2], np.int32)
        >>> table = FeatureTable(np.array(["a", "a"]), ids, X, ("size",), "f")
        >>> scale, groups = (np.zeros(1), np.ones(1)), np.array([[0.0], [4.0]])
        >>> model = SeedModel("f", SeedSettings(), *scale, groups, np.zeros((2, 4)), np.ones(2))
        >>> model.scaled(table).tolist(), model.group_of(table).tolist()
        ([[1.0], [4.0]], [0, 1])
        """
        distances = squared_distances(self.scaled(table), self.groups)
        return np.asarray(distances.argmin(axis=1), np.int64)

    def scaled(self, table: FeatureTable) -> Floats:
        """Features as the groups were made from them, (M, F) float64 in -4..4.

        Raises
        ------
        ModelError
            When the table has other features than the groups were made from.
        """
        self._must_fit(table)
        return Scaling(self.centre, self.scale)(own_features(table))

    def classify(self, table: FeatureTable) -> Classification:
        """Name the class of each object of a table.

        Raises
        ------
        ModelError
            When the table has other features than the groups were made from.
        """
        group = self.group_of(table)
        own = _log_softmax(prototypes_for(table.names).log_odds(table))
        weight = self.settings.group_weight
        return Classification.of((1 - weight) * own + weight * self.log_odds[group])

    def class_codes(self) -> tuple[int, ...]:
        """The class that each group looks like most, 0..3."""
        return tuple(int(code) for code in self.log_odds.argmax(axis=1))

    def cluster_of(self, table: FeatureTable) -> NDArray[np.int64]:
        """In which cluster a person is shown each object, (M,) int64 0..K + 3.

        Its group, 0..K - 1, where the object got the class of its group. An object that
        got another one left its group, and is shown with all that left theirs for the same
        class: K plus the code of that class. Trabeculae are so few among small gaps and
        cells that no group is theirs; in this way they are seen together all the same.
        """
        group, codes = self.group_of(table), self.classify(table).codes
        stays = codes == np.array(self.class_codes())[group]
        return np.where(stays, group, len(self.groups) + codes.astype(np.int64))

    def cluster_names(self) -> tuple[str, ...]:
        """Name of each of the K + 4 clusters, wherever it is shown.

        ``"1"`` is the largest group of the objects that the model was fitted on; after
        the groups come the objects that left theirs for bg, fat, cell or bone.
        """
        rank = np.argsort(np.argsort(-self.sizes, kind="stable"))
        places = (*rank.tolist(), *range(len(rank), len(rank) + len(CLASS_NAMES)))
        return tuple(str(place + 1) for place in places)

    def cluster_codes(self) -> tuple[int, ...]:
        """The class that each of the K + 4 clusters stands for, 0..3."""
        return (*self.class_codes(), *range(len(CLASS_NAMES)))

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return {
            "features": self.features,
            "settings": {
                name: getattr(self.settings, name) for name in SeedSettings.__dataclass_fields__
            },
            **{
                name: getattr(self, name).tolist()
                for name in ("centre", "scale", "groups", "log_odds", "sizes")
            },
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> SeedModel:
        """Read what :meth:`to_dict` wrote; KeyError, TypeError or ValueError if damaged."""
        floats = {
            name: np.array(content[name], np.float64)
            for name in ("centre", "scale", "groups", "log_odds")
        }
        try:
            settings = SeedSettings(**content["settings"])
        except SettingsError as error:
            raise ValueError(str(error)) from error
        sizes = np.array(content["sizes"], np.int64)
        return cls(str(content["features"]), settings, **floats, sizes=sizes)

    def _must_fit(self, table: FeatureTable) -> None:
        if table.fingerprint != self.features:
            raise ModelError(
                f"expected features {self.features}, got {table.fingerprint}: the groups were "
                "made from other features; run annotate with --force to make them anew"
            )


def fit_seed(table: FeatureTable, settings: SeedSettings) -> SeedModel:
    """Group the objects of a study and name the groups.

    The features are centred on their median, scaled by half their 16-84 % range and
    cut at 4 units; a missing value counts as the median. The number of groups is the
    one with the best silhouette (Rousseeuw 1987). The same table and settings give
    the same groups, bit for bit, on any number of threads.

    Parameters
    ----------
    table : FeatureTable
        Of one object or more.
    settings : SeedSettings

    Raises
    ------
    ModelError
        When there is no object at all.
    """
    if not len(table):
        raise ModelError("expected objects to group, got none; annotate at least one image")
    # Evenly over the table, which has the images one after the other: each has its share.
    rows = np.unique(np.linspace(0, len(table) - 1, min(len(table), settings.sample)).astype(int))
    sample = own_features(table)[rows]
    scaling = fit_scaling(sample)
    numbers = range(settings.groups_min, settings.groups_max + 1)
    partition = best_partition(scaling(sample), numbers, settings.random_state)
    groups, member = partition.centres, partition.member
    own = np.exp(_log_softmax(prototypes_for(table.names).log_odds(table)[rows]))
    sizes = np.bincount(member, minlength=len(groups))
    # Sums of probabilities, not votes: a group between two classes keeps some of both.
    mean = np.stack([np.bincount(member, p, minlength=len(groups)) for p in own.T], axis=1)
    # A class that no member looks like would be log 0: then no trait could outweigh the group.
    log_odds = np.log(np.maximum(mean / np.maximum(sizes, 1)[:, None], 1e-6))
    return SeedModel(
        table.fingerprint, settings, scaling.centre, scaling.scale, groups, log_odds, sizes
    )


def _log_softmax(log_odds: Floats) -> Floats:
    """Of each row."""
    # scipy.special takes half a second to import: only where it is needed.
    from scipy.special import log_softmax

    return np.asarray(log_softmax(log_odds, axis=1))

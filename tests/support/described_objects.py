"""Tables of made-up objects that look like what the prototypes describe."""

from __future__ import annotations

import numpy as np

from annotator.core.classes import CLASS_NAMES
from annotator.settings.annotation import DescribeSettings
from features.describe import feature_fingerprint, feature_names
from features.table import FeatureTable

TREPHINE, BAMBO = DescribeSettings(), DescribeSettings("bambo")

# What a person would write down of a plain example of each class.
PLAIN = {
    "bg": {
        "white_distance_mean": 2.0,
        "pink_share": 0.0,
        "nuclear_share": 0.0,
        "local_std_coarse": 1.5,
        "log_area_nominal_um2": 10.5,
        "ellipse_residual": 0.35,
        "circle_residual": 0.55,
        "solidity": 0.6,
        "thickness": 0.3,
        "min_feret_ratio": 0.5,
        "local_cellularity": 0.2,
        "curvature_roughness": 2.5,
        "border_share": 0.35,
        "rim_continuity": 0.5,
    },
    "fat": {
        "white_distance_mean": 3.0,
        "pink_share": 0.05,
        "nuclear_share": 0.0,
        "local_std_coarse": 1.5,
        "log_area_nominal_um2": 7.8,
        "ellipse_residual": 0.03,
        "circle_residual": 0.08,
        "solidity": 0.97,
        "thickness": 0.5,
        "min_feret_ratio": 0.9,
        "local_cellularity": 0.5,
        "curvature_roughness": 1.0,
        "border_share": 0.0,
        "rim_continuity": 1.0,
    },
    "cell": {
        "white_distance_mean": 45.0,
        "pink_share": 0.35,
        "nuclear_share": 0.3,
        "local_std_coarse": 14.0,
        "log_area_nominal_um2": 6.0,
        "ellipse_residual": 0.2,
        "circle_residual": 0.3,
        "solidity": 0.85,
        "thickness": 0.4,
        "min_feret_ratio": 0.7,
        "local_cellularity": 0.7,
        "curvature_roughness": 2.5,
        "border_share": 0.0,
        "rim_continuity": 0.5,
    },
    "bone": {
        "white_distance_mean": 38.0,
        "pink_share": 0.98,
        "nuclear_share": 0.005,
        "local_std_coarse": 2.0,
        "log_area_nominal_um2": 9.8,
        "ellipse_residual": 0.25,
        "circle_residual": 0.45,
        "solidity": 0.9,
        "thickness": 0.45,
        "min_feret_ratio": 0.45,
        "local_cellularity": 0.85,
        "curvature_roughness": 1.2,
        "border_share": 0.1,
        "rim_continuity": 0.8,
    },
}


def table_of(X: np.ndarray, settings: DescribeSettings = TREPHINE) -> FeatureTable:
    """A table with these values, (M, F), in the columns of a feature set."""
    return FeatureTable(
        np.full(len(X), "field"),
        np.arange(1, len(X) + 1, dtype=np.int32),
        np.asarray(X, np.float64),
        feature_names(settings),
        feature_fingerprint(settings),
    )


def plain(*classes: str, **changes: float) -> FeatureTable:
    """One plain object of each class named; columns nobody wrote down are 0."""
    names = feature_names(TREPHINE)
    values = [{**PLAIN[name], **changes} for name in classes]
    return table_of(np.array([[one.get(name, 0.0) for name in names] for one in values]))


def study(each: int = 40, seed: int = 0, spread: float = 0.03) -> FeatureTable:
    """Objects of all four classes in turn, each a little off the plain example."""
    rng = np.random.default_rng(seed)
    exact = plain(*CLASS_NAMES * each).X
    size = np.abs(exact) + 0.01
    return table_of(exact + spread * size * rng.standard_normal(exact.shape))


def published(count: int = 60, seed: int = 0) -> FeatureTable:
    """A table of the feature set bambo with values in the ranges of its columns."""
    rng = np.random.default_rng(seed)
    X = rng.random((count, len(feature_names(BAMBO))))
    X[:, feature_names(BAMBO).index("bambo_green_std")] *= 40
    return table_of(X, BAMBO)

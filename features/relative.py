"""How an object differs from the others of its image.

Stains and scanners differ more from slide to slide than fat from slide background; within
one image they do not.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from features._segments import Floats
from features.scaling import fit_scaling
from features.table import Column

_COMPARED = (
    "lab_l_mean",
    "lab_a_mean",
    "lab_b_mean",
    "hematoxylin_mean_od",
    "eosin_mean_od",
    "eosin_std_od",
    "white_distance_mean",
    "white_distance_p90",
    "nuclear_share",
    "entropy_mean",
    "gradient_mean",
    "local_std_fine",
    "local_std_coarse",
    "log_area_px",
    "circularity",
    "solidity",
    "ring_lab_l_mean",
    "ring_lab_a_mean",
    "ring_lab_b_mean",
    "ring_hematoxylin_mean_od",
    "ring_eosin_mean_od",
    "ring_white_share",
    "ring_nuclear_share",
    "ring_entropy_mean",
    "rim_contrast",
    "rim_darkness",
    "rim_eosin_max_od",
    "rim_thickness",
    "smooth_share",
    "lbp_entropy",
)
_DOC = "{0} minus its median over the objects of the image, over half their 16-84 % range."

COLUMNS = tuple(Column(f"{name}_relative", "1", "-4..4", _DOC.format(name)) for name in _COMPARED)


def relative(columns: Mapping[str, Floats]) -> dict[str, Floats]:
    """Columns of :data:`COLUMNS` from those of all objects of one image, (N,) float64 each."""
    X = np.stack([columns[name] for name in _COMPARED], axis=1)
    scaled = fit_scaling(X)(X)
    return {column.name: scaled[:, i] for i, column in enumerate(COLUMNS)}

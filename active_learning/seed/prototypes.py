"""What each class looks like before anyone has labelled anything.

A trait is a ramp over one feature, 0 at `off` and 1 at `on`; each class weighs the
traits. The weights are a regularised multinomial regression on synthetic fields
with exact truth (``tests/bench/fit_prototypes.py`` prints them anew), rounded, and
"huge", "anuclear" and the start of bone set by hand. What they say, in words:

- fat: white, elliptic, thick, of an adipocyte's size, rimmed all around;
- bg: white, and huge, ragged, small, on the border or open to other white;
- bone: pink, calm, large, with hardly any nucleus in it;
- cell: the rest, stained and uneven.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from annotator.core.arrays import Floats
from annotator.core.errors import ModelError
from features.table import FeatureTable

# From this share of the outline on the image border on, an object counts as cut.
_CUT = 0.15


@dataclass(frozen=True, slots=True)
class Trait:
    """A ramp over one feature, and its weight for bg, fat, cell and bone (natural log odds).

    A trait that holds ``whole`` only fades out for objects that the image border
    cuts: nobody knows how large those are.
    """

    name: str
    feature: str
    off: float
    on: float
    weights: tuple[float, float, float, float]
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Prototypes:
    """Traits, and the weight that each class starts with (bg, fat, cell, bone)."""

    traits: tuple[Trait, ...]
    start: tuple[float, float, float, float]

    def log_odds(self, table: FeatureTable) -> Floats:
        """Unnormalised log probability of each class, (M, 4) float64.

        A feature that does not exist for an object leaves its trait at 0.

        Examples
        --------
        >>> white = Trait("white", "white", off=0.0, on=1.0, weights=(1.0, 2.0, -1.0, 0.0))
        >>> X, ids = np.array([[0.5], [9.0]]), np.array([1, 2], np.int32)
        >>> table = FeatureTable(np.array(["a", "a"]), ids, X, ("white",), "f")
        >>> Prototypes((white,), start=(0.0, 0.0, 1.5, 0.0)).log_odds(table).tolist()
        [[0.5, 1.0, 1.0, 0.0], [1.0, 2.0, 0.5, 0.0]]
        """
        weights = np.array([trait.weights for trait in self.traits])
        result: Floats = self.strengths(table) @ weights + np.array(self.start)
        return result

    def strengths(self, table: FeatureTable) -> Floats:
        """How far each of the T traits holds for each object, (M, T) float64 0..1."""
        return np.stack([_ramp(table, trait) for trait in self.traits], axis=1)


def _ramp(table: FeatureTable, trait: Trait) -> Floats:
    share = (table.column(trait.feature) - trait.off) / (trait.on - trait.off)
    # A missing feature speaks for no class.
    strength = np.nan_to_num(np.clip(share, 0.0, 1.0))
    if trait.whole:
        strength *= 1.0 - np.nan_to_num(np.clip(table.column("border_share") / _CUT, 0, 1))
    return strength


TREPHINE = Prototypes(
    (
        Trait("white", "white_distance_mean", 24.0, 10.0, (6.1, 0.7, -3.3, -3.5)),
        Trait("pink", "pink_share", 0.5, 0.95, (-1.2, -0.9, -0.9, 3.0)),
        Trait("anuclear", "nuclear_share", 0.1, 0.01, (0.6, 1.2, -1.2, 0.3)),
        Trait("calm", "local_std_coarse", 6.0, 1.5, (-0.7, 0.5, -2.6, 2.8)),
        Trait("large", "log_area_nominal_um2", 7.0, 9.5, (-0.3, 0.1, 0.2, 0.0)),
        Trait("elliptic", "ellipse_residual", 0.16, 0.05, (-0.4, 0.6, -2.0, 1.8)),
        Trait("disk", "circle_residual", 0.32, 0.1, (-0.7, 1.3, 0.4, -0.9)),
        Trait("solid", "solidity", 0.8, 0.96, (-0.1, 1.0, -0.6, -0.3)),
        Trait("thick", "thickness", 0.38, 0.5, (0.0, -0.2, -0.2, 0.4)),
        Trait("small", "log_area_nominal_um2", 6.2, 4.8, (0.2, -1.5, -0.3, 1.7), whole=True),
        Trait("huge", "log_area_nominal_um2", 8.7, 9.4, (3.0, -4.5, -0.7, 1.8)),
        Trait("in_tissue", "local_cellularity", 0.35, 0.8, (0.8, -2.2, 0.1, 1.3)),
        Trait("ragged", "curvature_roughness", 1.2, 3.2, (-0.1, -0.5, 0.7, -0.2)),
        Trait("rimmed", "rim_continuity", 0.7, 1.0, (-2.0, 1.4, 0.0, 0.6)),
        Trait("slender", "min_feret_ratio", 0.6, 0.35, (0.3, 0.0, -0.6, 0.3), whole=True),
    ),
    start=(-1.8, -0.7, 5.9, -4.0),
)

# The seven published features hold no size and no surroundings; these are plain
# readings of what is left of the four descriptions.
BAMBO = Prototypes(
    (
        Trait("white", "bambo_white_share", 0.2, 0.8, (3.0, 2.5, -3.0, -2.0)),
        Trait("white and round", "bambo_white_circularity", 0.3, 0.8, (-1.5, 3.0, -1.0, -1.0)),
        Trait("pink", "bambo_pink_share", 0.2, 0.8, (-1.0, -1.0, 0.5, 1.5)),
        Trait("purple", "bambo_purple_share", 0.1, 0.6, (-1.0, -1.0, 2.0, -1.0)),
        Trait("even", "bambo_green_std", 30.0, 5.0, (0.0, 0.0, -1.0, 1.5)),
    ),
    start=(0.0, 0.0, 2.0, -1.0),
)


def prototypes_for(names: Sequence[str]) -> Prototypes:
    """The prototypes that a table with these columns can be compared with.

    Raises
    ------
    ModelError
        When the table has the columns of neither feature set.
    """
    for prototypes in (TREPHINE, BAMBO):
        if {trait.feature for trait in prototypes.traits} <= set(names):
            return prototypes
    raise ModelError(
        f"expected a table of the feature set trephine or bambo, got {len(names)} columns "
        f"starting with {list(names[:3])}; describe the objects again"
    )

"""What names the class of an object: the interface and its answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from annotator.core.arrays import Floats
from features.table import FeatureTable


class Classifier(Protocol):
    """Names the classes of described objects.

    ``source`` says who stands behind the classes: ``seed`` for the groups that nobody
    has reviewed, ``model`` for one trained on labels.
    """

    @property
    def source(self) -> str:
        """``seed`` or ``model``."""

    @property
    def fingerprint(self) -> str:
        """Changes whenever the same table could get other classes."""

    def classify(self, table: FeatureTable) -> Classification:
        """Class code and confidence of each row."""


@dataclass(frozen=True, slots=True, eq=False)
class Classification:
    """The class of each object.

    Parameters
    ----------
    codes : (M,) uint8
        0 bg, 1 fat, 2 cell, 3 bone.
    confidence : (M,) float64
        Probability of that class, 0.25..1.
    probabilities : (M, 4) float64
        Of all classes, in the order of their codes; rows sum to 1.
    """

    codes: NDArray[np.uint8]
    confidence: Floats
    probabilities: Floats

    @classmethod
    def of(cls, log_odds: Floats) -> Classification:
        """Normalise unnormalised log probabilities by the softmax.

        Parameters
        ----------
        log_odds : (M, 4) float64
            Natural logarithms, in the order of the codes.

        Examples
        --------
        >>> found = Classification.of(np.log([[0.1, 0.6, 0.2, 0.1]]))
        >>> found.codes.tolist(), found.confidence.round(2).tolist()
        ([1], [0.6])
        """
        # scipy.special takes half a second to import: only where it is needed.
        from scipy.special import softmax

        probabilities = softmax(log_odds, axis=1)
        codes = probabilities.argmax(axis=1).astype(np.uint8)
        return cls(codes, probabilities.max(axis=1, initial=0.0), probabilities)

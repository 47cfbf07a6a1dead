"""Query by committee: how far the segmentation network and the classifier disagree.

Both name the same objects. The network looks at pixels, and has seen the tissue of other
laboratories; the classifier looks at features of whole objects, and learns from the study's own
labels. Where they contradict each other one of them errs, also where each is sure of itself:
that is what the doubt of the classifier alone cannot show. It takes a classifier that has
learned from the study: the starter knows no more than the network told it.
"""

from __future__ import annotations

import numpy as np

from annotator.core.arrays import Floats


def disagreement(network: Floats, classifier: Floats) -> Floats:
    """Jensen-Shannon divergence of two opinions of each object, in bits, (M,) float64 0..1.

    The mean Kullback-Leibler divergence of the members of a committee to their mean opinion,
    here with two members. 0 where both say the same, be it that nobody can tell; 1 where each
    is sure of another class.

    Parameters
    ----------
    network, classifier : (M, C) float64
        Probabilities of C classes; rows sum to 1.

    Raises
    ------
    ValueError
        When they are of different shapes.

    References
    ----------
    McCallum and Nigam, "Employing EM and pool-based active learning for text classification",
    ICML 1998, section 4 (disagreement as divergence to the mean).
    Lin, "Divergence measures based on the Shannon entropy", IEEE Transactions on Information
    Theory 37 (1991) 145-151 (between 0 and 1 bit for two distributions).

    Examples
    --------
    >>> fat, cell, either = [0, 1, 0, 0], [0, 0, 1, 0], [0, 0.5, 0.5, 0]
    >>> network, classifier = np.array([fat, fat, either]), np.array([fat, cell, either])
    >>> disagreement(network, classifier)
    array([0., 1., 0.])
    """
    if network.shape != classifier.shape:
        raise ValueError(f"expected equal shapes, got {network.shape} and {classifier.shape}")
    mean = consensus(network, classifier)
    # scipy.special takes half a second to import: only where it is needed.
    from scipy.special import rel_entr

    # rel_entr(0, 0) is 0: a class that neither holds possible adds nothing.
    divergences = rel_entr(network, mean).sum(axis=1) + rel_entr(classifier, mean).sum(axis=1)
    # Rounding can leave equal opinions a hair below 0.
    result: Floats = np.clip(divergences / (2.0 * np.log(2.0)), 0.0, 1.0)
    return result


def consensus(network: Floats, classifier: Floats) -> Floats:
    """Mean opinion of both, (M, C) float64; rows sum to 1.

    Examples
    --------
    >>> consensus(np.array([[0.0, 1.0]]), np.array([[0.5, 0.5]]))
    array([[0.25, 0.75]])
    """
    result: Floats = (network + classifier) / 2.0
    return result

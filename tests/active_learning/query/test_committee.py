"""How far network and classifier disagree, against scipy's distance and by its properties."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from active_learning.query.committee import consensus, disagreement

rng = np.random.default_rng(0)
NETWORK, CLASSIFIER = rng.dirichlet([0.4] * 4, 50), rng.dirichlet([0.4] * 4, 50)


def test_it_is_the_square_of_the_distance_that_scipy_measures():
    expected = jensenshannon(NETWORK, CLASSIFIER, base=2.0, axis=1) ** 2
    assert disagreement(NETWORK, CLASSIFIER) == pytest.approx(expected)


def test_it_is_what_the_mean_opinion_is_less_sure_of_than_its_members():
    def entropy(p):
        return -(p * np.log2(np.maximum(p, 1e-300))).sum(axis=1)

    members = (entropy(NETWORK) + entropy(CLASSIFIER)) / 2
    expected = entropy(consensus(NETWORK, CLASSIFIER)) - members
    assert disagreement(NETWORK, CLASSIFIER) == pytest.approx(expected)


def test_it_lies_between_0_and_1_and_does_not_ask_who_is_who():
    found = disagreement(NETWORK, CLASSIFIER)
    assert ((found >= 0) & (found <= 1)).all()
    assert found == pytest.approx(disagreement(CLASSIFIER, NETWORK))
    assert (disagreement(NETWORK, NETWORK) == 0).all()
    assert disagreement(np.eye(4), np.eye(4)[::-1]).tolist() == [1.0] * 4


def test_the_surer_both_are_of_their_own_class_the_more_they_disagree():
    shares = np.array([0.5, 0.6, 0.8, 1.0])
    fat, cell = (np.zeros((4, 4)) for _ in range(2))
    fat[:, 1], fat[:, 2] = shares, 1 - shares
    cell[:, 1], cell[:, 2] = 1 - shares, shares
    assert (np.diff(disagreement(fat, cell)) > 0).all()


def test_opinions_of_other_objects_are_refused():
    with pytest.raises(ValueError, match=r"\(50, 4\) and \(3, 4\)"):
        disagreement(NETWORK, CLASSIFIER[:3])
    assert len(disagreement(np.zeros((0, 4)), np.zeros((0, 4)))) == 0

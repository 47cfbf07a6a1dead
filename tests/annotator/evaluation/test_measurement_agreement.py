"""ICC, bias and limits of agreement, checked against published figures and by hand."""

from __future__ import annotations

import numpy as np
import pytest

from annotator.evaluation.measurement_agreement import (
    bias,
    deviation,
    icc,
    limits,
    mean_absolute,
    moments,
)

# Shrout and Fleiss 1979, table 2: six things, four judges.
PUBLISHED = np.array(
    [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], float
)


def totals(table: np.ndarray) -> dict[str, np.ndarray]:
    return {name: part.sum(axis=0) for name, part in moments(table).items()}


def by_mean_squares(table: np.ndarray) -> float:
    """ICC(2,1) from the mean squares of the analysis of variance, as in the paper."""
    n, k = table.shape
    whole = table.mean()
    things = k * ((table.mean(axis=1) - whole) ** 2).sum() / (n - 1)
    judges = n * ((table.mean(axis=0) - whole) ** 2).sum() / (k - 1)
    rest = table - table.mean(axis=1)[:, None] - table.mean(axis=0) + whole
    error = (rest**2).sum() / ((n - 1) * (k - 1))
    return (things - error) / (things + (k - 1) * error + k * (judges - error) / n)


def test_the_published_example() -> None:
    # The paper gives 0.29; the mean squares of its table 3 are 11.24, 32.49 and 1.02.
    assert float(icc(totals(PUBLISHED))) == pytest.approx(0.2898, abs=5e-5)
    assert float(icc(totals(PUBLISHED))) == pytest.approx(by_mean_squares(PUBLISHED), rel=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_icc_of_two_is_that_of_the_mean_squares(seed: int) -> None:
    generator = np.random.default_rng(seed)
    truth = generator.uniform(0, 100, 25)
    table = np.stack([truth, 0.9 * truth + generator.normal(4, 6, 25)], axis=1)
    assert float(icc(totals(table))) == pytest.approx(by_mean_squares(table), rel=1e-9)
    # It is the same from any common value, and with the sides changed.
    assert float(icc(totals(table - 50))) == pytest.approx(by_mean_squares(table), rel=1e-9)
    assert float(icc(totals(table[:, ::-1]))) == pytest.approx(by_mean_squares(table), rel=1e-9)


def test_icc_asks_for_absolute_agreement() -> None:
    truth = np.linspace(10, 90, 9)
    same = np.stack([truth, truth], axis=1)
    assert float(icc(totals(same))) == 1.0
    assert float(icc(totals(same + np.array([0.0, 20.0])))) < 0.8


def test_icc_is_undefined_where_nothing_varies() -> None:
    assert np.isnan(icc(totals(np.full((5, 2), 33.3))))
    assert np.isnan(icc(totals(np.array([[10.0, 20.0]]))))


def test_bias_and_limits_by_hand() -> None:
    table = np.array([[10.0, 12.0], [20.0, 19.0], [30.0, 35.0], [40.0, 42.0]])
    found = totals(table)
    differences = table[:, 1] - table[:, 0]
    sd = float(np.std(differences, ddof=1))
    assert float(bias(found)) == 2.0
    assert float(mean_absolute(found)) == 2.5
    assert float(deviation(found)) == pytest.approx(sd)
    assert limits(found).tolist() == pytest.approx([2 - 1.96 * sd, 2 + 1.96 * sd])


def test_identical_measurements_give_zero() -> None:
    found = totals(np.array([[33.3, 33.3], [66.6, 66.6], [12.1, 12.1]]))
    assert float(bias(found)) == float(mean_absolute(found)) == float(deviation(found)) == 0.0
    assert limits(found).tolist() == [0.0, 0.0]


def test_what_is_undefined_counts_for_nothing() -> None:
    table = np.array([[10.0, 12.0], [np.nan, 50.0], [20.0, 19.0]])
    whole, known = totals(table), totals(table[[0, 2]])
    assert {name: part.tolist() for name, part in whole.items()} == {
        name: part.tolist() for name, part in known.items()
    }


def test_one_difference_has_no_deviation() -> None:
    found = totals(np.array([[10.0, 12.0]]))
    assert float(bias(found)) == 2.0
    assert np.isnan(deviation(found))

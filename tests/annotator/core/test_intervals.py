"""Intervals over patients."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from annotator.core.intervals import Estimate, PatientBootstrap, over, wilson_interval


def share(sums: dict[str, np.ndarray]) -> np.ndarray:
    return over(sums["right"], sums["all"])


def counted(seed: int = 0, images: int = 40) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    whole = generator.integers(50, 100, images).astype(float)
    return {"right": np.floor(whole * generator.uniform(0.4, 1, images)), "all": whole}


def test_an_interval_is_that_of_patients_drawn_one_by_one() -> None:
    values = counted()
    patients = [f"p{number // 4}" for number in range(40)]
    found = PatientBootstrap(values, patients).estimate(share)
    generator = np.random.default_rng(1)
    names = np.array(sorted(set(patients)))
    drawn = []
    for _ in range(2000):
        rows = np.concatenate(
            [np.flatnonzero(np.array(patients) == one) for one in generator.choice(names, 10)]
        )
        drawn.append(values["right"][rows].sum() / values["all"][rows].sum())
    low, high = np.percentile(drawn, [2.5, 97.5])
    assert found.value == values["right"].sum() / values["all"].sum()
    assert found.low == pytest.approx(low, abs=0.006)
    assert found.high == pytest.approx(high, abs=0.006)


def test_images_of_few_patients_say_less_than_as_many_of_many() -> None:
    # Images of one patient are alike.
    right = np.repeat(np.random.default_rng(2).uniform(0, 100, 8), 10)
    values = {"right": right, "all": np.full(80, 100.0)}
    few = PatientBootstrap(values, [f"p{n // 10}" for n in range(80)]).estimate(share)
    many = PatientBootstrap(values, [f"p{n}" for n in range(80)]).estimate(share)
    assert few.value == many.value
    assert few.low is not None and few.high is not None
    assert many.low is not None and many.high is not None
    assert few.high - few.low > 2 * (many.high - many.low)


def test_the_order_of_images_changes_nothing() -> None:
    values, patients = counted(3), [f"p{number // 4}" for number in range(40)]
    turned = {name: part[::-1] for name, part in values.items()}
    found = PatientBootstrap(values, patients).estimate(share)
    assert found == PatientBootstrap(turned, patients[::-1]).estimate(share)


def test_one_patient_has_no_interval() -> None:
    found = PatientBootstrap(counted(4), ["p"] * 40).estimate(share)
    assert found.value is not None
    assert (found.low, found.high) == (None, None)


def test_nothing_to_measure_is_none() -> None:
    values = {"right": np.zeros(6), "all": np.zeros(6)}
    assert PatientBootstrap(values, list("abcdef")).estimate(share) == Estimate(None)


def test_no_interval_from_the_draws_that_happen_to_hold_a_rare_thing() -> None:
    values = {"right": np.eye(6)[0], "all": np.eye(6)[0]}
    # A third of the draws lacks the only patient that counts.
    assert PatientBootstrap(values, list("abcdef")).estimate(share) == Estimate(1.0)


def test_several_figures_at_once() -> None:
    values = {"right": np.array([[1.0, 0.0], [1.0, 0.0]]), "all": np.array([[1.0, 0.0], [1.0, 0]])}
    found = PatientBootstrap(values, ["a", "b"]).estimates(share)
    assert found == (Estimate(1.0, 1.0, 1.0), Estimate(None))


def test_where_a_value_is_asked_for_there_must_be_one() -> None:
    with pytest.raises(ValueError, match="expected an estimate with a value"):
        _ = Estimate(None).known


@pytest.mark.parametrize(("right", "of"), [(0, 1), (1, 1), (0, 50), (50, 50), (7, 30), (29, 30)])
def test_the_interval_of_a_share_is_that_of_scipy(right: int, of: int) -> None:
    theirs = binomtest(right, of).proportion_ci(0.95, method="wilson")
    assert wilson_interval(right, of) == pytest.approx((theirs.low, theirs.high), abs=1e-7)


@pytest.mark.parametrize(("right", "of"), [(0, 0), (3, 2), (-1, 2)])
def test_a_share_of_nothing_has_no_interval(right: int, of: int) -> None:
    with pytest.raises(ValueError, match="expected a share of one or more things"):
        wilson_interval(right, of)

"""How an object differs from the others of its image."""

import numpy as np

from features.relative import COLUMNS, relative


def columns(values: list[float]) -> dict[str, np.ndarray]:
    return {c.name.removesuffix("_relative"): np.array(values) for c in COLUMNS}


def test_another_stain_or_exposure_changes_nothing() -> None:
    values = np.random.default_rng(5).normal(size=60)
    first, second = relative(columns(list(values))), relative(columns(list(3 * values + 7)))
    for name in first:
        np.testing.assert_allclose(first[name], second[name], atol=1e-12)


def test_it_counts_from_the_median_in_units_of_spread() -> None:
    found = relative(columns([0.0, 1.0, 2.0, 3.0, 4.0]))["lab_l_mean_relative"]
    assert found[2] == 0
    assert found[3] == -found[1] > 0


def test_the_far_out_are_cut_and_the_missing_are_the_median() -> None:
    found = relative(columns([*np.linspace(0, 1, 50), 1e6, np.nan]))["circularity_relative"]
    assert found[50] == 4
    assert found[51] == 0


def test_a_single_object_is_the_median_itself() -> None:
    assert all(column.tolist() == [0] for column in relative(columns([3.0])).values())

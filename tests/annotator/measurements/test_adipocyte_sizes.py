"""Diameters and densities of adipocytes against values worked out by hand."""

from __future__ import annotations

from itertools import pairwise
from math import inf, pi, sqrt

import numpy as np
import pytest

from annotator.core.intervals import Estimate
from annotator.measurements.adipocyte_sizes import (
    PUBLISHED_DIAMETER_UM,
    PUBLISHED_PER_MM2,
    AdipocyteField,
    adipocyte_sizes,
    diameter_histogram,
    diameters_of,
    equivalent_diameters,
    per_mm2,
    tissue_area_mm2,
)


def field(patient: str, count: int, tissue: float, *diameters: float) -> AdipocyteField:
    return AdipocyteField(patient, count, tissue, np.array(diameters, np.float64))


@pytest.mark.parametrize("um_per_px", [0.25, 1.0, 4.0])
def test_the_diameter_is_that_of_a_disc_of_the_same_area(um_per_px: float) -> None:
    found = equivalent_diameters([1, 100, 12_345], um_per_px)
    assert (pi * (found / 2) ** 2 / um_per_px**2).tolist() == pytest.approx([1, 100, 12_345])
    assert equivalent_diameters([], um_per_px).tolist() == []


def test_tissue_is_all_but_background() -> None:
    areas = {"bg": 40.0, "fat": 30.0, "cell": 10.0, "bone": 15.0, "unlabelled": 5.0}
    # 6,000 of 10,000 px of 2 um: 24,000 um2.
    assert tissue_area_mm2(areas, (100, 100), 2.0) == pytest.approx(0.024)
    assert per_mm2(12, 0.024) == pytest.approx(500)
    assert per_mm2(0, 0.0) is None


def test_density_and_mean_are_pooled_with_intervals_over_patients() -> None:
    fields = [
        field("ann", 30, 0.2, 40.0, 50.0),
        field("ann", 10, 0.2, 60.0),
        field("bob", 20, 0.1, 80.0),
        field("cy", 0, 0.1),
    ]
    found = adipocyte_sizes(fields)
    assert (found.images, found.patients, found.count, found.measured) == (4, 3, 60, 4)
    assert found.tissue_mm2 == pytest.approx(0.6)
    assert found.per_mm2.value == pytest.approx(100)
    assert found.mean_um.value == pytest.approx(57.5)
    # The ends are those of one patient alone: cy has none, bob 200 per mm2.
    low, high = found.per_mm2.low, found.per_mm2.high
    assert low is not None and high is not None
    assert 0 <= low < 100 < high <= 200
    assert found.diameters is not None
    assert found.diameters.median == 55.0


def test_one_patient_gives_no_interval() -> None:
    found = adipocyte_sizes([field("ann", 30, 0.2, 40.0), field("ann", 30, 0.2, 50.0)])
    assert found.per_mm2 == Estimate(pytest.approx(150))
    assert found.mean_um == Estimate(45.0)


def test_without_a_scale_or_a_whole_adipocyte_nothing_is_measured() -> None:
    bare = adipocyte_sizes([])
    assert (bare.images, bare.per_mm2, bare.mean_um) == (0, Estimate(None), Estimate(None))
    assert (bare.diameters, bare.histogram) == (None, ())
    cut = adipocyte_sizes([field("ann", 3, 0.1), field("bob", 1, 0.1)])
    assert cut.per_mm2.value == pytest.approx(20)
    assert (cut.mean_um, cut.diameters, cut.histogram) == (Estimate(None), None, ())


def test_percentiles_of_many() -> None:
    found = diameters_of(np.arange(0.0, 101.0))
    assert found is not None
    assert (found.n, found.mean, found.median, found.p5, found.p95) == (101, 50, 50, 5, 95)


def test_every_diameter_is_in_one_bin() -> None:
    values = np.array([0.1, 9.999, 10.0, 29.999999999999996, 149.9, 150.0, 4000.0])
    bins = diameter_histogram(values)
    assert [(one.low, one.high) for one in bins[:2]] == [(0, 10), (10, 20)]
    assert (bins[-1].low, bins[-1].high) == (150, None)
    edges = [(one.low, inf if one.high is None else one.high) for one in bins]
    assert all(first[1] == second[0] for first, second in pairwise(edges))
    assert {one.low: one.adipocytes for one in bins if one.adipocytes} == {
        0: 2,
        10: 1,
        30: 1,
        140: 1,
        150: 2,
    }


def test_a_square_of_known_side() -> None:
    (found,) = equivalent_diameters([10 * 10], 0.5)
    assert found == pytest.approx(2 * sqrt(25 / pi))


def test_published_figures_name_their_source() -> None:
    assert PUBLISHED_DIAMETER_UM.range == pytest.approx((71.4, 81.2))
    for one in (PUBLISHED_DIAMETER_UM, PUBLISHED_PER_MM2):
        assert "doi:10." in one.source
        assert one.short.split()[0] in one.source and one.short.split()[1] in one.source

"""Boundary F1, checked by hand and against an exact distance transform."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt, gaussian_filter
from skimage.segmentation import find_boundaries

from annotator.evaluation.boundaries import boundary, boundary_counts, boundary_f1, disc


def blobs(seed: int, shape: tuple[int, int] = (60, 80)) -> np.ndarray:
    """A smooth map of the four classes."""
    noise = gaussian_filter(np.random.default_rng(seed).random(shape), 4)
    return np.digitize(noise, np.quantile(noise, [0.2, 0.5, 0.8])).astype(np.uint8)


def by_distance(truth: np.ndarray, said: np.ndarray, tolerance: float) -> list[list[int]]:
    """The same counts, from scikit-image's boundaries and scipy's distances."""
    rows = []
    for code in range(4):
        edges = [
            find_boundaries(codes == code, connectivity=1, mode="inner") for codes in (said, truth)
        ]
        row = []
        for one, other in (edges, edges[::-1]):
            away = distance_transform_edt(~other) if other.any() else np.full(one.shape, np.inf)
            row += [int((one & (away <= tolerance)).sum()), int(one.sum())]
        rows.append(row)
    return rows


@pytest.mark.parametrize("tolerance", [0.0, 1.0, 1.5, 3.0, 7.3])
def test_counts_are_those_of_an_exact_distance_transform(tolerance: float) -> None:
    truth, said = blobs(1), blobs(2)
    assert boundary_counts(truth, said, tolerance).tolist() == by_distance(truth, said, tolerance)


def test_boundaries_are_those_of_scikit_image() -> None:
    mask = blobs(3) == 2
    theirs = find_boundaries(mask, connectivity=1, mode="inner")
    assert np.array_equal(boundary(mask), theirs)


def test_the_border_of_the_image_is_no_boundary() -> None:
    whole = np.full((5, 6), 2, np.uint8)
    counts = boundary_counts(whole, whole, 2.0)
    assert counts.sum() == 0
    assert np.isnan(boundary_f1(counts.astype(float))).all()


def test_a_shifted_square_by_hand() -> None:
    truth = np.full((20, 20), 2, np.uint8)
    said = truth.copy()
    truth[5:10, 5:10] = 1
    said[5:10, 7:12] = 1
    near, all_said, near_true, all_true = boundary_counts(truth, said, 1.0)[1].tolist()
    assert all_said == all_true == 16
    # Two columns away: above and below three of five columns are shared and a fourth is one
    # pixel away; of the near side, its two ends are one pixel from those rows.
    assert near == near_true == 2 * 4 + 2
    assert boundary_f1(np.array([[10.0, 16, 10, 16]]))[0] == pytest.approx(10 / 16)
    assert boundary_counts(truth, said, 2.0)[1].tolist() == [16, 16, 16, 16]


def test_identical_maps_give_one_at_any_tolerance() -> None:
    codes = blobs(4)
    codes[10:20, 10:30] = 255
    codes[:, 50] = 255
    for tolerance in (0.0, 2.0):
        counts = boundary_counts(codes, codes, tolerance).astype(float)
        assert boundary_f1(counts).tolist() == [1.0] * 4


def test_f1_is_symmetric_and_grows_with_the_tolerance() -> None:
    truth, said = blobs(5), blobs(6)
    figures = []
    for tolerance in (0.0, 1.0, 2.0, 4.0, 8.0):
        there = boundary_f1(boundary_counts(truth, said, tolerance).astype(float))
        back = boundary_f1(boundary_counts(said, truth, tolerance).astype(float))
        np.testing.assert_allclose(there, back, rtol=1e-12)
        figures.append(there)
    assert (np.diff(np.array(figures), axis=0) >= 0).all()
    assert (figures[-1] > figures[0]).all()


def test_a_class_that_one_map_lacks_gives_zero() -> None:
    truth = np.full((10, 10), 2, np.uint8)
    said = truth.copy()
    said[3:6, 3:6] = 1
    assert boundary_f1(boundary_counts(truth, said, 3.0).astype(float))[1] == 0.0


def test_boundary_beside_a_wide_open_part_is_left_out() -> None:
    truth = np.full((20, 40), 2, np.uint8)
    truth[:, :20] = 1
    truth[:8] = 255
    wrong = truth.copy()
    wrong[:8] = 3
    counts = boundary_counts(truth, wrong, 2.0)
    # Rows 8 and 9 are within 2 px of the open rows; of the other ten all is right.
    assert counts[1].tolist() == [10, 10, 10, 10]
    assert counts[3].tolist() == [0, 0, 0, 0]


def test_what_is_said_of_an_open_part_changes_nothing() -> None:
    truth, said = blobs(7), blobs(8)
    truth[20:40, 20:50] = 255
    truth[5, :] = 255
    other = np.where(truth == 255, np.uint8(3), said)
    assert boundary_counts(truth, said, 3.0).tolist() == boundary_counts(truth, other, 3.0).tolist()


def test_an_open_seam_between_classes_is_closed() -> None:
    truth = np.full((12, 30), 2, np.uint8)
    truth[:, :15] = 1
    said = truth.copy()
    truth[:, 13:17] = 255
    counts = boundary_counts(truth, said, 4.0)
    assert counts[1].tolist() == [12, 12, 12, 12]
    # Wider than the tolerance nobody knows where the boundary is.
    assert boundary_counts(truth, said, 1.0)[1].tolist() == [0, 0, 0, 0]


def test_a_truth_that_is_open_everywhere_counts_nothing() -> None:
    truth = np.full((6, 6), 255, np.uint8)
    assert boundary_counts(truth, blobs(9, (6, 6)), 2.0).sum() == 0


def test_what_the_prediction_leaves_open_has_a_boundary() -> None:
    truth = np.full((10, 10), 2, np.uint8)
    said = truth.copy()
    said[4:6, 4:6] = 255
    assert boundary_counts(truth, said, 1.0)[2].tolist() == [0, 8, 0, 0]


def test_a_disc_holds_what_is_within_its_radius() -> None:
    assert disc(0.9).tolist() == [[1]]
    assert disc(2.0).sum() == 13


def test_seams_of_any_form_are_closed_by_the_nearest_class() -> None:
    truth = blobs(10)
    is_open = np.random.default_rng(10).random(truth.shape) < 0.3
    seamed = np.where(is_open, np.uint8(255), truth)
    nearest = distance_transform_edt(is_open, return_distances=False, return_indices=True)
    said = blobs(11)
    closed, other = seamed[tuple(nearest)], said[tuple(nearest)]
    # No speck is wider than the tolerance: all of them are closed, in both maps.
    found = boundary_counts(seamed, said, 8.0)
    theirs = boundary_counts(closed, other, 8.0)
    # Among equally near classes either may be taken.
    np.testing.assert_allclose(found, theirs, rtol=0.1)
    assert (found[:, 1::2] > 0).all()

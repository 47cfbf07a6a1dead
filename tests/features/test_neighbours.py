"""What the objects look like that an object borders on."""

import numpy as np
import pytest

from features.neighbours import COLUMNS, contacts, neighbours


def around(columns: dict[str, list[float]], seen: list[list[int]], ids: list[int]):
    names = {c.name.removesuffix("_around") for c in COLUMNS if c.name.endswith("_around")}
    known = {name: np.zeros(len(ids)) for name in (*names, "white_share")}
    known |= {name: np.array(values) for name, values in columns.items()}
    areas = np.array([max(np.sum(np.array(seen) == i), 1) for i in ids])
    # 1 um a pixel: objects 2 px apart border on each other
    return neighbours(known, np.array(seen, np.int32), np.array(ids, np.int32), areas, 1.0)


ROWS = [[1, 1, 1, 2, 2, 2], [1, 1, 1, 3, 3, 3]] * 3


def test_contact_is_counted_on_both_sides() -> None:
    touch = contacts(np.array(ROWS, np.int32), np.array([1, 2, 3], np.int32), 1.0).toarray()
    assert np.array_equal(touch, touch.T)
    assert not touch.diagonal().any()
    # Two columns a row lie 2 px from the other side, and as many on each diagonal.
    assert touch[0, 1:].sum() == 6 * 2 + 2 * 4 * 2


def test_the_mean_goes_by_the_length_of_contact() -> None:
    seen = [[1] * 6, [1] * 6, [2, 2, 2, 2, 3, 3], [2, 2, 2, 2, 3, 3]]
    touch = contacts(np.array(seen, np.int32), np.array([1, 2, 3], np.int32), 1.0).toarray()
    found = around({"circularity": [0.5, 1.0, 0.0]}, seen, [1, 2, 3])
    want = touch[0, 1] / (touch[0, 1] + touch[0, 2])
    assert found["circularity_around"][0] == pytest.approx(want)
    assert 0.5 < want < 1


def test_a_neighbour_without_a_value_does_not_count() -> None:
    found = around({"circularity": [0.5, np.nan, 0.25]}, ROWS, [1, 2, 3])
    assert found["circularity_around"][0] == 0.25


def test_an_object_alone_has_no_neighbours() -> None:
    found = around({"circularity": [0.5]}, [[7, 7], [7, 0]], [7])
    assert np.isnan(found["circularity_around"]).all()
    assert np.isnan(found["white_contact_share"]).all()
    assert found["log_contact"].tolist() == [0]


def test_white_neighbours_are_a_share_of_the_contact() -> None:
    found = around({"white_share": [0.0, 0.9, 0.1]}, ROWS, [1, 2, 3])
    assert 0.4 < found["white_contact_share"][0] < 0.6
    assert found["white_contact_share"][1] < 0.4


def test_the_reach_follows_the_scale_between_its_bounds() -> None:
    gap = np.array([[1, 0, 0, 0, 0, 2]], np.int32)
    ids = np.array([1, 2], np.int32)
    assert not contacts(gap, ids, 1.0).nnz
    assert contacts(gap, ids, 0.4).toarray().tolist() == [[0, 1], [1, 0]]
    assert not contacts(gap, ids, 0.1).nnz  # 8 px at most: beyond this image


def test_ids_need_not_be_in_order_nor_small() -> None:
    seen = [[900, 900, 900, 5, 5, 5]] * 4
    found = around({"circularity": [0.1, 0.9]}, seen, [900, 5])
    assert found["circularity_around"].tolist() == [0.9, 0.1]


def test_an_object_that_nobody_sees_has_no_contact() -> None:
    found = around({"circularity": [0.1, 0.9, 0.5]}, [[1, 1, 2, 2]] * 4, [1, 2, 3])
    assert np.isnan(found["circularity_around"][2])

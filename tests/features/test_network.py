"""What a network makes of objects, as columns: there only where a network was."""

from __future__ import annotations

import numpy as np
import pytest

from annotator.core.objects import Image, objects_from_masks
from annotator.imaging.appearance import Appearance
from annotator.settings.annotation import DescribeSettings
from features.describe import describe, feature_fingerprint, own_features
from features.network import COLUMNS, network_codes

OURS, PUBLISHED = DescribeSettings(), DescribeSettings("bambo")


@pytest.fixture(scope="module")
def plain() -> Appearance:
    pixels = np.random.default_rng(0).integers(80, 240, (60, 60, 3), np.uint8)
    return Appearance(Image.from_pixels(pixels, 0.5))


@pytest.fixture(scope="module")
def seen(plain: Appearance) -> Appearance:
    """Bone on a square of 20 px in cell; a line through its upper half."""
    probabilities = np.zeros((5, 60, 60), np.float32)
    probabilities[2] = 1
    probabilities[2, 20:40, 20:40], probabilities[3, 20:40, 20:40] = 0.25, 0.75
    probabilities[4, 20:30] = 1
    return plain.seen_by("net", probabilities)


@pytest.fixture(scope="module")
def objects(plain: Appearance):
    return objects_from_masks(plain.image.id, (60, 60), [((20, 20), np.ones((20, 20), bool))])


def test_means_inside_and_in_the_ring(seen, objects):
    table = describe(seen, objects, OURS)
    found = {column.name: float(table.column(column.name)[0]) for column in COLUMNS}
    assert found["network_bone_mean"] == pytest.approx(0.75)
    assert found["network_cell_mean"] == pytest.approx(0.25)
    assert found["ring_network_cell_mean"] == pytest.approx(1.0)
    assert found["ring_network_bone_mean"] == pytest.approx(0.0)
    assert found["network_line_mean"] == pytest.approx(0.5)
    assert network_codes(table).tolist() == [3]


def test_other_columns_are_as_without_a_network(plain, seen, objects):
    before, after = describe(plain, objects, OURS), describe(seen, objects, OURS)
    assert after.names == (*before.names, *(column.name for column in COLUMNS))
    assert np.array_equal(after.X[:, : len(before.names)], before.X, equal_nan=True)
    assert network_codes(before) is None


def test_groups_see_nothing_of_the_network(plain, seen, objects):
    before, after = describe(plain, objects, OURS), describe(seen, objects, OURS)
    assert np.array_equal(own_features(after), own_features(before), equal_nan=True)


def test_the_published_features_stay_the_seven(seen, objects):
    assert len(describe(seen, objects, PUBLISHED).names) == 7


@pytest.mark.parametrize("settings", [OURS, PUBLISHED])
def test_the_fingerprint_tells_networks_apart(settings):
    keys = {feature_fingerprint(settings, key) for key in ("", "a", "b")}
    assert len(keys) == 3
    assert feature_fingerprint(settings) == feature_fingerprint(settings, "")


def test_a_table_carries_the_fingerprint_of_its_network(seen, objects):
    assert describe(seen, objects, OURS).fingerprint == feature_fingerprint(OURS, "net")

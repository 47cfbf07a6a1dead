"""The prototypes say what the documentation says that they say."""

from __future__ import annotations

import numpy as np
import pytest
from support.described_objects import PLAIN, plain, published, study, table_of

from active_learning.seed.prototypes import BAMBO, TREPHINE, Prototypes, Trait, prototypes_for
from annotator.core.classes import BG, BONE, CELL, CLASS_NAMES, FAT
from annotator.core.errors import ModelError
from annotator.settings.annotation import DescribeSettings
from features.describe import feature_names
from features.table import FeatureTable

BOTH = pytest.mark.parametrize(
    ("prototypes", "preset"), [(TREPHINE, "trephine"), (BAMBO, "bambo")], ids=["trephine", "bambo"]
)


def named(**changes):
    """The class of a plain adipocyte after these changes."""
    return CLASS_NAMES[TREPHINE.log_odds(plain("fat", **changes))[0].argmax()]


@pytest.mark.parametrize("name", CLASS_NAMES)
def test_a_plain_example_is_named(name):
    odds = TREPHINE.log_odds(plain(name))[0]
    assert CLASS_NAMES[odds.argmax()] == name
    # by a factor of 3 at least before the next class
    assert np.diff(np.sort(odds))[-1] > np.log(3)


@pytest.mark.parametrize("field", [3, 7])
def test_a_spread_around_the_examples_is_named(field):
    codes = TREPHINE.log_odds(study(each=50, seed=field, spread=0.1)).argmax(axis=1)
    assert (codes == np.tile([BG, FAT, CELL, BONE], 50)).mean() > 0.95


def test_what_turns_an_adipocyte_into_something_else():
    assert named() == "fat"
    assert named(log_area_nominal_um2=10.5, local_cellularity=0.1, solidity=0.6) == "bg"
    stained = {"white_distance_mean": 45.0, "local_std_coarse": 12.0, "nuclear_share": 0.3}
    ragged = {"ellipse_residual": 0.2, "circle_residual": 0.3, "curvature_roughness": 2.5}
    assert named(**stained, **ragged) == "cell"


@pytest.mark.parametrize(
    ("feature", "values", "code"),
    [
        ("white_distance_mean", (2.0, 50.0), CELL),
        ("log_area_nominal_um2", (7.8, 10.5), BG),
        ("pink_share", (0.0, 1.0), BONE),
        ("ellipse_residual", (0.4, 0.02), FAT),
        ("rim_continuity", (0.3, 1.0), FAT),
        ("local_std_coarse", (1.0, 12.0), CELL),
    ],
)
def test_which_way_a_feature_speaks(feature, values, code):
    share = []
    for value in values:
        odds = TREPHINE.log_odds(plain("fat", **{feature: value}))[0]
        share.append(odds[code] - np.log(np.exp(odds).sum()))
    assert share[1] > share[0]


# How they are made


@BOTH
def test_traits_use_columns_that_the_feature_set_has(prototypes, preset):
    names = feature_names(DescribeSettings(preset))
    assert {trait.feature for trait in prototypes.traits} <= set(names)
    assert prototypes_for(names) is prototypes
    for trait in prototypes.traits:
        assert len(trait.weights) == len(prototypes.start) == 4
        assert trait.off != trait.on
    assert len({trait.name for trait in prototypes.traits}) == len(prototypes.traits)


def test_the_examples_say_something_of_every_trait():
    said = {trait.feature for trait in TREPHINE.traits}
    assert all(said <= set(PLAIN[name]) for name in CLASS_NAMES)


def test_a_ramp_is_0_before_and_1_behind_and_linear_between():
    ramp = Prototypes((Trait("t", "solidity", 0.2, 0.6, (1.0, -2.0, 0.0, 4.0)),), (0.5, 0, 0, 0))
    for value, share in ((-9.0, 0), (0.2, 0), (0.3, 0.25), (0.6, 1), (9.0, 1), (np.nan, 0)):
        odds = ramp.log_odds(plain("cell", solidity=value))[0]
        assert odds == pytest.approx([0.5 + share, -2 * share, 0, 4 * share])


def test_a_ramp_may_run_downwards():
    ramp = Prototypes((Trait("t", "solidity", 0.6, 0.2, (1.0, 0, 0, 0)),), (0, 0, 0, 0))
    for value, share in ((0.1, 1), (0.3, 0.75), (0.7, 0)):
        assert ramp.log_odds(plain("cell", solidity=value))[0, 0] == pytest.approx(share)


@pytest.mark.parametrize("table", [study(3), published(9)], ids=["trephine", "bambo"])
def test_missing_values_leave_finite_odds(table):
    prototypes = prototypes_for(table.names)
    missing = FeatureTable(
        table.image_ids, table.object_ids, table.X * np.nan, table.names, table.fingerprint
    )
    odds = prototypes.log_odds(missing)
    assert odds == pytest.approx(np.tile(prototypes.start, (len(table), 1)))


@pytest.mark.parametrize("table", [study(3), published(9)], ids=["trephine", "bambo"])
def test_each_object_is_judged_by_itself(table):
    prototypes = prototypes_for(table.names)
    whole = prototypes.log_odds(table)
    assert whole.shape == (len(table), 4)
    for row in (0, len(table) - 1):
        alone = FeatureTable(
            table.image_ids[[row]],
            table.object_ids[[row]],
            table.X[[row]],
            table.names,
            table.fingerprint,
        )
        assert prototypes.log_odds(alone)[0] == pytest.approx(whole[row])


def test_no_object_gives_no_odds():
    empty = table_of(np.zeros((0, len(feature_names(DescribeSettings())))))
    assert TREPHINE.log_odds(empty).shape == (0, 4)


def test_other_columns_are_refused():
    with pytest.raises(ModelError, match=r"2 .*\['a', 'b'\]"):
        prototypes_for(["a", "b"])

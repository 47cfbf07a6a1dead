"""The loop against known labels: what it tells the learner, what it measures, what it says."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from active_learning.query.simulation import (
    Curve,
    Known,
    Simulation,
    mean_with_interval,
    simulate,
)
from annotator.core.classes import CLASS_NAMES
from annotator.core.errors import ModelError, SettingsError
from annotator.settings.learning import QuerySettings, SimulateSettings
from features.table import FeatureTable

IMAGES, EACH = 30, 12


def known(seed=0, every=6):
    """Images of a feature that tells the class; only every so many hold bone."""
    rng = np.random.default_rng(seed)
    image = np.repeat(np.arange(IMAGES), EACH)
    codes = rng.choice(3, IMAGES * EACH).astype(np.uint8)
    codes[(image % every == 0) & (np.arange(len(codes)) % 4 == 0)] = 3
    X = (codes + rng.normal(0, 0.2, len(codes)))[:, None]
    names = np.array([f"image {n:02d}" for n in image])
    ids = np.arange(1, len(codes) + 1, dtype=np.int32)
    table = FeatureTable(names, ids, X, ("x",), "0" * 16)
    return Known(table, np.ones(len(codes)), codes, names, np.full((len(codes), 4), 0.25))


class Nearest:
    """Gives each object the class of the nearest class mean; notes what it was taught."""

    def __init__(self, known):
        self.known, self.taught = known, []

    def __call__(self, rows):
        self.taught.append(rows)
        x, codes = self.known.table.X[:, 0], self.known.codes[rows]
        means = [x[rows][codes == c].mean() if (codes == c).any() else 99.0 for c in range(4)]
        closeness = np.exp(-((x[:, None] - np.array(means)) ** 2) / 0.1) + 1e-6
        return closeness / closeness.sum(axis=1, keepdims=True)


SETTINGS = SimulateSettings(rounds=4, batch=4, seeds=2, held_out=0.3)
QUERY = QuerySettings(random_share=0.0)


@pytest.fixture(scope="module")
def played():
    data = known()
    learner = Nearest(data)
    return simulate(data, learner, SETTINGS, QUERY), learner, data


def test_both_strategies_are_played_with_every_seed(played):
    simulation, *_ = played
    assert [(one.strategy, one.seed) for one in simulation.curves] == [
        ("trephine", 0),
        ("random", 0),
        ("trephine", 1),
        ("random", 1),
    ]


def seen_by_network(data):
    """The same objects, and a network that takes all bone for cell."""
    opinion = np.eye(4)[np.where(data.codes == 3, 2, data.codes)]
    names = tuple(f"network_{name}_mean" for name in CLASS_NAMES)
    X = np.hstack([data.table.X, opinion])
    return replace(data, table=replace(data.table, X=X, names=("x", *names)))


def test_the_committee_plays_where_a_network_saw_the_objects():
    data = seen_by_network(known())
    learner, one_seed = Nearest(data), replace(SETTINGS, seeds=1)
    simulation = simulate(data, learner, one_seed, replace(QUERY, strategy="committee"))
    assert simulation.strategies == ("trephine", "committee", "random")
    # each ends with other images, whatever strategy the study itself goes by
    last = [tuple(rows) for rows in learner.taught[3::4]]
    assert len(set(last)) == 3
    again = Nearest(data)
    simulate(data, again, one_seed, QUERY)
    assert [tuple(rows) for rows in again.taught[3::4]] == last


def test_every_round_adds_a_batch(played):
    simulation, *_ = played
    for one in simulation.curves:
        assert one.images == (4, 8, 12, 16)
        assert one.objects == tuple(EACH * n for n in one.images)


def test_held_out_images_are_never_taught(played):
    _, learner, data = played
    for first in range(0, 16, 4):
        rounds = learner.taught[first : first + 4]
        assert len({*np.unique(data.table.image_ids[rounds[-1]])}) == 16
        for earlier, later in pairwise(rounds):
            assert set(earlier) < set(later)
    # what one seed holds out is the same for both strategies
    pools = [set(learner.taught[last]) for last in (3, 7)]
    assert len(pools[0] | pools[1]) <= 0.9 * len(data.codes)


def test_choosing_finds_the_rare_class_sooner():
    data = known(every=5)
    one_by_one = SimulateSettings(rounds=5, batch=1, seeds=5, held_out=0.3)
    simulation = simulate(data, Nearest(data), one_by_one, QUERY)
    ours, chance = simulation.mean("trephine"), simulation.mean("random")
    assert sum(ours.macro_f1) > sum(chance.macro_f1)


def test_mixed_objects_are_neither_taught_nor_measured():
    data = known()
    codes = data.codes.copy()
    codes[::3] = 4
    mixed = replace(data, codes=codes)
    learner = Nearest(mixed)
    simulation = simulate(mixed, learner, replace(SETTINGS, seeds=1), QUERY)
    assert all((codes[rows] < 4).all() for rows in learner.taught)
    assert simulation.curves[0].objects[0] < 4 * EACH


def test_the_same_data_give_the_same_curves(played):
    simulation, _, data = played
    again = simulate(data, Nearest(data), SETTINGS, QUERY)
    assert [one.macro_f1 for one in again.curves] == [one.macro_f1 for one in simulation.curves]


def test_it_ends_when_there_is_nothing_left_to_label():
    data = known()
    one = simulate(data, Nearest(data), SimulateSettings(rounds=9, batch=12, seeds=1), QUERY)
    assert len(one.curves[0].images) == 2


def test_patients_are_never_on_both_sides():
    data = known()
    patients = np.array([name[:-1] for name in data.groups])
    learner = Nearest(data)
    simulate(replace(data, groups=patients), learner, replace(SETTINGS, seeds=1), QUERY)
    taught = set(patients[learner.taught[-1]].tolist())
    # one of the three is held out with all its ten images
    assert len(taught) == 2


def test_one_patient_alone_is_refused():
    data = known()
    one = replace(data, groups=np.full(len(data.codes), "a"))
    with pytest.raises(ModelError, match="got 1"):
        simulate(one, Nearest(one), SETTINGS, QUERY)


def test_progress_is_told():
    steps = []
    data = known()
    simulate(data, Nearest(data), SETTINGS, QUERY, lambda done, of: steps.append((done, of)))
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]


# What the curves come to


def curves(ours, chance):
    images = tuple(10 * n for n in range(1, len(ours) + 1))
    pair = (("trephine", ours), ("random", chance))
    return Simulation(tuple(Curve(n, 0, images, images, f, f) for n, f in pair))


def test_the_share_needed_is_read_off_between_rounds():
    simulation = curves((0.5, 0.7, 0.95, 0.95), (0.5, 0.6, 0.7, 0.8))
    assert simulation.share_needed() == pytest.approx(24 / 40)
    assert re.findall(r"\d+ %|\d+ images", simulation.sentence()) == ["40 images", "60 %"]


def test_never_reaching_it_is_said():
    simulation = curves((0.5, 0.6), (0.5, 0.7))
    assert simulation.share_needed() is None
    assert "not" in simulation.sentence() and "20 images" in simulation.sentence()


def three(ours, committee, chance):
    played = [
        Curve(name, seed, (10, 20), (10, 20), (f1, f1), (f1, f1))
        for name, figures in (("trephine", ours), ("committee", committee), ("random", chance))
        for seed, f1 in enumerate(figures)
    ]
    return Simulation(tuple(played))


@pytest.mark.parametrize(
    ("committee", "word"),
    [
        ((0.6, 0.71, 0.8), "it pays"),
        ((0.4, 0.51, 0.6), "it costs"),
        ((0.4, 0.7, 0.7), "no difference that shows"),
    ],
)
def test_the_committee_pays_only_by_its_interval_over_seeds(committee, word):
    simulation = three((0.5, 0.6, 0.7), committee, (0.1, 0.2, 0.3))
    gain = simulation.gain("committee", "trephine")
    assert gain == mean_with_interval(np.subtract(committee, (0.5, 0.6, 0.7)).tolist())
    assert simulation.sentences()[-1].endswith(word)
    assert f"{gain.value:+.3f}" in simulation.sentences()[-1]


def test_a_single_seed_has_no_interval():
    assert "more seeds" in three((0.5,), (0.6,), (0.1,)).sentences()[-1]


def test_the_table_holds_the_committee():
    lines = three((0.5,), (0.75,), (0.25,)).text().splitlines()
    assert lines[1].split() == ["images", *["trephine", "committee", "random"] * 2]
    assert lines[2].split() == ["10", *["0.500", "0.750", "0.250"] * 2]


def test_the_table_holds_both_curves():
    lines = curves((0.5, 0.75), (0.25, 0.625)).text().splitlines()
    assert lines[2].split() == ["10", "0.500", "0.250", "0.500", "0.250"]
    assert lines[3].split() == ["20", "0.750", "0.625", "0.750", "0.625"]


@pytest.mark.parametrize("bad", [{"rounds": 0}, {"seeds": 0}, {"held_out": 1.0}])
def test_settings_out_of_range_are_refused(bad):
    with pytest.raises(SettingsError, match=r"\[simulate\]"):
        SimulateSettings(**bad)
